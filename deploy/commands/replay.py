"""Publish a data set, a file or synthetic events to Kafka."""

import datetime
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from confluent_kafka import KafkaException, Producer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from streams.contracts.events import instant, microseconds
from streams.publisher import DeliveryError
from streams.replay import ALL, Plan, Report, Summary, What, open_checkpoint, replay
from streams.settings import Settings
from streams.sources import Source, open_source
from streams.sources.open import EXAMPLES


@click.command("replay")
@click.option("--source", "name", default="complete_journey", show_default=True, help=f"One of {EXAMPLES}.")
@click.option(
    "--mapping",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="TOML file that says which column of FILE is what (docs/sources.md).",
)
@click.option("--since", metavar="TIME", help="Only events from then on: 2017-12-01, 2017-12-01T08:00Z, or -20d.")
@click.option("--until", metavar="TIME", help="Only events before then; -20d is 20 days before the last event.")
@click.option("--speed", default="max", show_default=True, metavar="max|N", help="N times real time.")
@click.option("--limit", type=click.IntRange(min=0), metavar="N", help="Stop after so many interactions in all.")
@click.option(
    "--what", default=",".join(ALL), show_default=True, metavar="KINDS", help="Comma-separated kinds of records."
)
@click.option("--restart", is_flag=True, help="Start over instead of going on where the last replay stopped.")
@click.option(
    "--inject-malformed", type=click.IntRange(min=0), default=0, metavar="N", help="Mix in N bad records of ten kinds."
)
def command(
    name: str,
    mapping: Path | None,
    since: str | None,
    until: str | None,
    speed: str,
    limit: int | None,
    what: str,
    restart: bool,
    inject_malformed: int,
) -> None:
    """Publish items and customers, then interactions in order of time.

    Event times are kept. A replay that was interrupted goes on where Kafka had acknowledged it; --restart starts
    over. The topics must exist.

    \b
    headwater replay --since=-20d --speed 3600
    headwater replay --source hm:downloads/hm
    headwater replay --source sales.csv --mapping sales.toml
    headwater replay --source synthetic:events=1000000,customers=50000
    """
    settings = Settings()
    console = Console(stderr=True)
    try:
        source = open_source(name, mapping)
        plan = Plan(
            start=moment(since, source, "--since"),
            stop=moment(until, source, "--until"),
            speed=_speed(speed),
            limit=limit,
            what=_kinds(what),
            malformed=inject_malformed,
        )
        checkpoint = open_checkpoint(source, settings, plan, cluster_id(settings, plan))
        if restart:
            checkpoint.reset()
        with _progress(console) as report:
            summary = replay(source, settings, plan, checkpoint, report)
    except (DeliveryError, FileNotFoundError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    except KeyboardInterrupt:
        console.print("stopped; the same command goes on from here")
        raise click.exceptions.Exit(130) from None
    for line in told(summary, settings):
        click.echo(line)


def told(summary: Summary, settings: Settings) -> list[str]:
    """The summary for people."""
    topics = {kind: getattr(settings.topics, kind).name for kind in ALL}
    lines = []
    for kind, count in summary.sent.items():
        line = f"{count:,} {kind} to topic {topics[kind]}"
        if kind == "interactions" and count:
            line += f" in {summary.seconds:.1f} s ({summary.rate:,.0f}/s)"
        if before := summary.already_sent.get(kind):
            line += f"; {before:,} were there from an earlier run (--restart sends them again)"
        lines.append(line)
    if summary.malformed:
        lines.append(
            f"{summary.malformed:,} malformed records among them, for topic {settings.topics.dead_letters.name}"
        )
    lines += [f"{rows:,} rows of the source left out: {reason}" for reason, rows in summary.skipped.items()]
    return lines


def moment(text: str | None, source: Source, option: str) -> int | None:
    """Microseconds of what was given for `option`: a date, a time, or a span before the source's last event."""
    if text is None:
        return None
    if relative := re.fullmatch(r"-(\d+(?:\.\d+)?)([dhm])", text):
        span = source.span()
        if span is None:
            raise ValueError(f"{option} {text}: the source has no events to count back from")
        unit = {"d": 86_400, "h": 3_600, "m": 60}[relative[2]]
        # The cut itself belongs to what came before it.
        return span[1] - round(float(relative[1]) * unit * 1_000_000) + 1
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{option} {text!r}: give a date or time such as 2017-12-01T08:00Z, or -20d") from None
    return microseconds(moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC))


def _speed(text: str) -> float | None:
    if text == "max":
        return None
    try:
        return float(text.removesuffix("x"))
    except ValueError:
        raise ValueError(f"--speed {text!r}: give max, or a number such as 3600 for an hour a second") from None


def _kinds(text: str) -> tuple[What, ...]:
    wanted = {part.strip() for part in text.split(",")}
    if unknown := wanted - set(ALL):
        raise ValueError(f"--what {', '.join(sorted(unknown))}: give some of {', '.join(ALL)}")
    return tuple(kind for kind in ALL if kind in wanted)


def cluster_id(settings: Settings, plan: Plan) -> str:
    """Id of the Kafka cluster, which must have the topics."""
    servers = settings.kafka_bootstrap_servers
    try:
        found = Producer({**settings.kafka_config(), "log_level": 0}).list_topics(timeout=10)
    except KafkaException as error:
        raise ValueError(
            f"no Kafka answers at {servers} ({error.args[0].str()}); start one with make up, "
            f"or set KAFKA_BOOTSTRAP_SERVERS"
        ) from error
    missing = [topic for kind in plan.what if (topic := getattr(settings.topics, kind).name) not in found.topics]
    if missing:
        raise ValueError(f"Kafka at {servers} has no topic {', '.join(missing)}; run python -m streams.create_topics")
    return str(found.cluster_id)


# Names under which the backfill command imports these.
_moment, _cluster = moment, cluster_id


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f}/s" if speed else "", style="green")


@contextmanager
def _progress(console: Console) -> Iterator[Report]:
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description:<12}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TextColumn("{task.fields[day]}", style="cyan"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    tasks: dict[What, TaskID] = {}
    with Progress(*columns, console=console) as bars:

        def report(what: What, sent: int, total: int | None, newest: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total, day="", completed=sent)
            day = f"{instant(newest):%Y-%m-%d %H:%M}" if newest else ""
            bars.update(tasks[what], completed=sent, total=total, day=day)

        yield report
