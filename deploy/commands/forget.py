"""Erase customers: all that is known of them, in every place; tell what is left and until when."""

from __future__ import annotations

import time
from collections.abc import Sequence

import click
import redis
from confluent_kafka import KafkaException, Message, Producer
from rich.console import Console
from rich.table import Table

from deploy.traces import Search, Trace
from feature_repo.redis_commands import Client, connect
from serving.settings import ServingSettings
from streams.erasure.erasures import Ledger
from streams.erasure.topics import read_ledger
from streams.ingest.partition_log import applied_position
from streams.settings import Settings

SCRUBBED_WITHIN_S = 90.0
"""Answers and dead letters are deleted in the background, some seconds after the erasure."""


@click.command("forget")
@click.argument("customers", nargs=-1, required=True, metavar="CUSTOMER...")
@click.option("--verify", is_flag=True, help="Then search every place for what is left of them.")
@click.option("--only-verify", is_flag=True, help="Erase nobody, only search.")
@click.option("--yes", is_flag=True, help="Ask for no confirmation.")
@click.option("--timeout", default=60.0, show_default=True, metavar="SECONDS", help="How long to wait for the erasure.")
def command(customers: tuple[str, ...], verify: bool, only_verify: bool, yes: bool, timeout: float) -> None:
    """Erase CUSTOMERs for good; exit 0 once it is done.

    With --verify, exit 0 only if nothing is left but what has an end: Kafka's disks hold records until their retention
    or compaction, and the table says until when.

    \b
    headwater forget 1842 --verify
    headwater forget 1842 --only-verify
    """
    settings, console = ServingSettings(), Console(stderr=True)
    names = list(dict.fromkeys(customers))
    try:
        if not only_verify:
            if not yes:
                click.confirm(f"Erase {', '.join(names)}? This can't be undone.", abort=True)
            _erase(names, settings, timeout, console)
        if not (verify or only_verify):
            return
        left = [_shown(name, settings, console, 0.0 if only_verify else SCRUBBED_WITHIN_S) for name in names]
    except (KafkaException, redis.RedisError, OSError, LookupError) as error:
        raise click.ClickException(str(error)) from error
    if any(left):
        raise click.ClickException(f"not all is gone: {'; '.join(trace.place for some in left for trace in some)}")


def _erase(names: Sequence[str], settings: Settings, timeout: float, console: Console) -> None:
    client, causes = connect(settings.redis_url), publish_tombstones(names, settings)
    with console.status("waiting for the erasure") as status:
        deadline, waiting = time.monotonic() + timeout, dict(causes)
        while waiting:
            ledger = read_ledger(settings.topics, settings.kafka_config())
            waiting = {name: cause for name, cause in waiting.items() if not _applied(client, ledger, name, cause)}
            status.update(f"erased {len(causes) - len(waiting)} of {len(causes)}")
            if waiting and time.monotonic() > deadline:
                raise click.ClickException(
                    f"{', '.join(waiting)} not erased within {timeout:.0f} s; that will be done once the streams "
                    f"process runs, see `headwater status`"
                )
            time.sleep(0.2)
    click.echo(f"erased: {', '.join(names)}")


def publish_tombstones(names: Sequence[str], settings: Settings) -> dict[str, str]:
    """Delete the customers' records; return for each where its tombstone is, as the ledger's causes begin.

    Raises KafkaException where they could not all be delivered.
    """
    placed: dict[str, str] = {}
    failures: list[object] = []

    def delivered(error: object, message: Message) -> None:
        if error is not None:
            failures.append(error)
        else:
            placed[(message.key() or b"").decode()] = f"{message.partition()}:{message.offset()}:"

    producer = Producer(settings.producer_config())
    for name in names:
        producer.produce(settings.topics.customers.name, None, name.encode(), on_delivery=delivered)
    if producer.flush(15) or failures:
        raise KafkaException(f"tombstones not delivered: {failures or 'Kafka does not answer'}")
    return placed


def _applied(client: Client, ledger: Ledger, name: str, cause: str) -> bool:
    """Tell whether an erasure is in the ledger, and all of its effects are in place."""
    found = [erasure for erasure in ledger.of(name) if erasure.cause.startswith(cause)]
    return any((applied_position(client, each.partition) or 0) > each.offset for each in found)


def _shown(name: str, settings: ServingSettings, console: Console, patience_s: float) -> list[Trace]:
    """Print what is left of a customer; return what has no end."""
    search, deadline = Search(settings), time.monotonic() + patience_s
    with console.status(f"searching for {name}") as status:
        while not all(trace.done for trace in search.written(name)) and time.monotonic() < deadline:
            status.update("waiting for answers and dead letters to be deleted")
            time.sleep(2.0)
        traces = []
        for trace in search.traces(name):
            status.update(f"searching for {name}: {trace.place}")
            traces.append(trace)
    Console().print(table(name, traces))
    return [trace for trace in traces if not trace.done]


def table(name: str, traces: Sequence[Trace]) -> Table:
    """A row for each place."""
    shown = Table("place", "left", "of what", "gone by", "by what", box=None, pad_edge=False, title=f"customer {name}")
    for trace in traces:
        colour = "green" if trace.found == 0 else "yellow" if trace.done else "red"
        left = str(trace.found) if trace.found else "nothing"
        rest = (trace.what, trace.when(), trace.how) if trace.found else ("", "", "")
        shown.add_row(trace.place, f"[{colour}]{left}[/]", *rest)
    return shown
