"""What the demo measured: one record for programs, a page of tables for people."""

from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table


class Events(msgspec.Struct):
    """Events by way of entry; `per_second` of the live replay, from the first record to the last one's features."""

    history: int = 0
    live: int = 0
    dead_lettered: int = 0
    per_second: float = 0.0


class Features(msgspec.Struct):
    """Values of every entity and column compared with the oracle's."""

    checked: int = 0
    mismatched: int = 0
    examples: list[str] = []


class Training(msgspec.Struct):
    """Trainings; `trigger_to_live_s` from the newest trigger's record to the first answer by its model."""

    triggers: int = 0
    versions: list[int] = []
    trigger_to_live_s: float | None = None
    first_model_s: float | None = None


class Requests(msgspec.Struct):
    """Requests sent while events were streaming and the model was retrained."""

    sent: int = 0
    answered: int = 0
    failed: int = 0
    fallback: int = 0
    p50_ms: float | None = None
    p99_ms: float | None = None
    quiet_p50_ms: float | None = None
    quiet_p99_ms: float | None = None


class Freshness(msgspec.Struct):
    """From producing an event to receiving the first reply that had seen it."""

    p50_ms: float | None = None
    p99_ms: float | None = None
    events: int = 0


class Ranking(msgspec.Struct):
    """Protocol A of the answers that the service gave at the cut."""

    ndcg_at_10: float | None = None
    map_at_12: float | None = None
    hit_at_10: float | None = None
    novel_ndcg_at_10: float | None = None
    novel_map_at_12: float | None = None
    customers: int = 0
    most_bought_ndcg_at_10: float | None = None


class Story(msgspec.Struct):
    """One customer's answer before and after a few purchases."""

    customer_id: str = ""
    bought: list[str] = []
    before: list[str] = []
    after: list[str] = []
    entered: list[str] = []


class Report(msgspec.Struct):
    """Everything that ``build/demo.json`` holds."""

    events: Events = msgspec.field(default_factory=Events)
    features: Features = msgspec.field(default_factory=Features)
    training: Training = msgspec.field(default_factory=Training)
    requests: Requests = msgspec.field(default_factory=Requests)
    freshness: Freshness = msgspec.field(default_factory=Freshness)
    ranking: Ranking = msgspec.field(default_factory=Ranking)
    story: Story = msgspec.field(default_factory=Story)
    seconds: dict[str, float] = {}

    def write(self, path: Path) -> None:
        """Write the record as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(msgspec.json.format(msgspec.json.encode(self), indent=2))

    def problems(self) -> list[str]:
        """Return what fell short of the demo's promises, a sentence each."""
        checks = [
            (self.features.checked == 0, "no feature was checked"),
            (self.features.mismatched > 0, f"{self.features.mismatched} features differ from the oracle's"),
            (len(self.training.versions) < 2, "no model was retrained on a trigger"),
            (self.requests.failed > 0, f"{self.requests.failed} requests failed"),
            (
                self.requests.fallback > 0.01 * max(self.requests.sent, 1),
                f"{self.requests.fallback} of {self.requests.sent} answers were fallbacks",
            ),
            (self.freshness.p50_ms is None, "freshness was not measured"),
            (not self.story.entered, "a few purchases changed nothing in the next answer"),
            (
                (self.ranking.ndcg_at_10 or 0.0) <= (self.ranking.most_bought_ndcg_at_10 or 0.0),
                f"served nDCG@10 {self.ranking.ndcg_at_10} is not above the customer's most bought",
            ),
        ]
        return [sentence for failed, sentence in checks if failed]


def show(report: Report, console: Console) -> None:
    """Print the report."""
    console.print(Panel(Group(_story(report.story), "", _figures(report)), title="Headwater", border_style="cyan"))


def _story(story: Story) -> Table:
    table = Table(title=f"What customer {story.customer_id} is recommended", title_justify="left", expand=True)
    table.add_column("before")
    bought = ", ".join(story.bought)
    table.add_column(f"after buying {bought}")
    new = set(story.entered)
    for before, after in zip(story.before, story.after, strict=False):
        table.add_row(before, f"[bold green]{after}[/]" if after in new else after)
    return table


def _figures(report: Report) -> Table:
    table = Table.grid(padding=(0, 3))
    for name, text in _lines(report):
        table.add_row(f"[bold]{name}[/]", text)
    return table


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} ms"


def _lines(report: Report) -> list[tuple[str, Any]]:
    events, requests, ranking = report.events, report.requests, report.ranking
    training, fresh = report.training, report.freshness
    live = "-" if training.trigger_to_live_s is None else f"{training.trigger_to_live_s:.0f} s"
    return [
        ("events", f"{events.history:,} in bulk, {events.live:,} live at {events.per_second:,.0f}/s"),
        ("dead letters", f"{events.dead_lettered:,}, each with its reason"),
        ("features", f"{report.features.checked:,} checked against SQL, {report.features.mismatched} differ"),
        ("training", f"{training.triggers} triggers, versions {training.versions}, trigger to live {live}"),
        (
            "requests",
            f"{requests.sent:,} sent, {requests.failed} failed, {requests.fallback} fallbacks; while streaming and "
            f"training p50 {_ms(requests.p50_ms)}, p99 {_ms(requests.p99_ms)}; "
            f"quiet p50 {_ms(requests.quiet_p50_ms)}, p99 {_ms(requests.quiet_p99_ms)}",
        ),
        ("freshness", f"event to first answer that saw it: p50 {_ms(fresh.p50_ms)}, p99 {_ms(fresh.p99_ms)}"),
        (
            "ranking",
            f"nDCG@10 {ranking.ndcg_at_10 or 0:.4f}, MAP@12 {ranking.map_at_12 or 0:.4f}, novel nDCG@10 "
            f"{ranking.novel_ndcg_at_10 or 0:.4f} over {ranking.customers:,} customers "
            f"(most bought: {ranking.most_bought_ndcg_at_10 or 0:.4f})",
        ),
    ]
