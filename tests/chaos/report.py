"""What came of a run: one record for programs, a table for people."""

from typing import Any

import msgspec
import numpy as np
from rich.table import Table


class Report(msgspec.Struct):
    """Everything that ``build/chaos.json`` holds.

    Attributes
    ----------
    disturbed_seconds: for which things were killed, of all `seconds`.
    published: interactions, of which `valid` distinct ones; the rest are `duplicates` and `malformed`.
    kills: SIGKILLs by kind.
    failpoints: step -> how often a worker was killed there.
    pauses: workers put to sleep until others had their partitions, of which `ended_asleep` never woke; `naps`: shorter
        sleeps while Redis was set back.
    own_exits: workers that ended by themselves, as when Kafka is away at their start; they were replaced.
    stuck: workers that did not leave when told to, and were killed.
    read, read_again: events that workers read, and how many of these had been read before; at least.
    outcomes: what workers counted; at least, for what a killed one counted last is not known.
    recoveries: seconds from the first disturbance of a round until every partition went on.
    checks: comparison -> values checked, values that differ.
    problems: what else should not have happened.
    """

    seed: int
    seconds: float
    disturbed_seconds: float
    published: int
    valid: int
    duplicates: int
    late: int
    malformed: int
    kills: dict[str, int]
    failpoints: dict[str, int]
    pauses: int
    ended_asleep: int
    naps: int
    rewinds: int
    away: int
    scale_changes: int
    erased: int
    worker_starts: int
    own_exits: list[str]
    stuck: list[str]
    read: int
    read_again: int
    outcomes: dict[str, int]
    recoveries: list[float]
    peak_rss_mb: float
    checked: int
    mismatched: int
    checks: dict[str, tuple[int, int]]
    examples: list[str]
    problems: list[str]

    @property
    def good(self) -> bool:
        """Whether everything is as it must be."""
        return self.checked > 0 and self.mismatched == 0 and not self.problems

    def table(self) -> Table:
        """The report for people."""
        table = Table(title="Chaos", show_header=False, title_justify="left")
        table.add_column()
        table.add_column(justify="right")
        for name, value in self._rows():
            table.add_row(name, value)
        table.add_section()
        for name, (checked, mismatched) in self.checks.items():
            table.add_row(name, f"{checked:,} checked, {mismatched:,} differ")
        table.add_section()
        table.add_row("values checked", f"{self.checked:,}")
        table.add_row("mismatches", f"[{'green' if self.mismatched == 0 else 'red'}]{self.mismatched:,}")
        return table

    def _rows(self) -> list[tuple[str, str]]:
        hit = sum(1 for count in self.failpoints.values() if count)
        return [
            ("seconds, of these disturbed", f"{self.seconds:,.0f}, {self.disturbed_seconds:,.0f}"),
            ("interactions published", f"{self.published:,}"),
            ("  distinct and valid", f"{self.valid:,}"),
            ("  duplicates", f"{self.duplicates:,}"),
            ("  late by hours or days", f"{self.late:,}"),
            ("  malformed", f"{self.malformed:,}"),
            *((f"SIGKILL: {kind}", str(count)) for kind, count in self.kills.items()),
            ("failpoints come to", f"{hit} of {len(self.failpoints)}"),
            ("SIGSTOP until replaced, then SIGCONT", str(self.pauses)),
            ("  of these, ended in their sleep", str(self.ended_asleep)),
            ("SIGSTOP between two writes while Redis was set back", str(self.naps)),
            ("Redis set back by 2 s", str(self.rewinds)),
            ("Redis away for long", str(self.away)),
            ("changes of scale", str(self.scale_changes)),
            ("customers erased meanwhile", str(self.erased)),
            ("workers started", str(self.worker_starts)),
            ("workers that ended by themselves", str(len(self.own_exits))),
            ("workers killed because they did not leave", str(len(self.stuck))),
            ("events read (at least)", f"{self.read:,}"),
            ("  read again", f"{self.read_again:,}"),
            ("  duplicates dropped", f"{self.outcomes.get('duplicate', 0):,}"),
            ("recoveries", str(len(self.recoveries))),
            ("  p50, longest", f"{_percentile(self.recoveries, 50)}, {_percentile(self.recoveries, 100)}"),
            ("peak memory of a worker", f"{self.peak_rss_mb:,.0f} MB"),
        ]


def _percentile(seconds: list[float], percent: float) -> str:
    if not seconds:
        return "–"
    value: Any = np.percentile(seconds, percent)
    return f"{value:.1f} s"
