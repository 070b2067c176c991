"""A shop at a steady rate, as a process of its own: events are made, encoded and sent while it runs.

``python -m benchmarks.producer SOURCE --rate 10100 --seconds 300`` tells when it begins and when it has reached its
rate, by lines on its standard output, and at the end what it has sent, as JSON. An open loop: a slow Kafka makes it
late, and it says how late.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator
from itertools import islice

import click
from confluent_kafka import Producer

from streams.contracts.codec import encode
from streams.contracts.events import Interaction
from streams.settings import Settings
from streams.sources.open import open_source
from streams.sources.source import Source, events

TICK_S = 0.02
"""Events are sent in portions, one for each of these."""

ROWS = 10_000
"""Events are made from columns so many at a time: a second's worth, for the pause shows in the rate."""

_CONFIG = {"linger.ms": 5, "batch.size": 131_072, "queue.buffering.max.messages": 500_000}


class UndeliveredError(RuntimeError):
    """Kafka did not take all events."""


def endless(source: Source, start: int | None, without: frozenset[str], name: str) -> Iterator[Interaction]:
    """Yield the source's events; from its end start over, under new event ids.

    Parameters
    ----------
    start: events before this instant are left out, microseconds since the epoch.
    without: customers whose events are left out.
    name: put before the event ids where it is not empty, so that another run's are none of this one's.
    """
    turn = 0
    while True:
        prefix = "-".join(part for part in (name, str(turn) if turn else "") if part)
        for chunk in source.chunks(start):
            for first in range(0, chunk.num_rows, ROWS):
                yield from _renamed(events(chunk.slice(first, ROWS)), without, prefix)
        turn += 1


def _renamed(some: list[Interaction], without: frozenset[str], prefix: str) -> Iterator[Interaction]:
    for event in some:
        if event.customer_id not in without:
            if prefix:
                event.event_id = f"{prefix}-{event.event_id}"
            yield event


def due(rate: float, ramp: float, at: float) -> int:
    """Return how many events are to be sent by `at` seconds, where the rate grows evenly over the first `ramp` ones."""
    return int(rate * (at * at / (2 * ramp) if at < ramp else at - ramp / 2))


def send(
    settings: Settings,
    some: Iterator[Interaction],
    rate: float,
    seconds: float,
    ramp: float = 0.0,
    at_rate: Callable[[], None] = lambda: None,
) -> dict[str, float]:
    """Send events at a rate for a while and wait until Kafka has them all.

    Parameters
    ----------
    seconds: at the full rate, after `ramp` seconds in which it grows from nothing.
    at_rate: called once the rate is reached.

    Returns
    -------
    dict
        ``sent`` in all; from the rate being reached on, ``seconds`` to the last acknowledgement, ``late_s`` at most
        behind the schedule, ``processor_s`` of this process.

    Raises
    ------
    UndeliveredError
        When Kafka refused an event or has not taken all of them a minute after the end.
    """
    failed: list[str] = []

    def delivered(error: object, _: object) -> None:
        if error is not None:
            failed.append(str(error))

    producer, topic = Producer({**settings.producer_config(), **_CONFIG}), settings.topics.interactions.name
    started, before, sent, late, ramping = time.monotonic(), time.process_time(), 0, 0.0, True
    while (now := time.monotonic() - started) < ramp + seconds:
        if ramping and now >= ramp:
            ramping, late, before = False, 0.0, time.process_time()
            at_rate()
        wanted = due(rate, ramp, now)
        for event in islice(some, wanted - sent):
            while True:
                try:
                    producer.produce(topic, encode(event), event.customer_id.encode(), on_delivery=delivered)
                    break
                except BufferError:
                    producer.poll(0.05)
        late = max(late, time.monotonic() - started - now - TICK_S)
        sent = wanted
        producer.poll(0)
        time.sleep(max(0.0, started + now + TICK_S - time.monotonic()))
    left = producer.flush(60)
    if failed or left:
        raise UndeliveredError(f"{left} events were not delivered, {len(failed)} refused: {failed[:3]}")
    return {
        "sent": sent,
        "seconds": time.monotonic() - started - ramp,
        "late_s": late,
        "processor_s": time.process_time() - before,
    }


@click.command()
@click.argument("source")
@click.option("--rate", type=float, required=True, help="Events a second.")
@click.option("--seconds", type=float, required=True)
@click.option("--ramp", type=float, default=0.0, help="Seconds before those in which the rate grows from nothing.")
@click.option("--start", type=int, default=None, help="Events from this instant on, microseconds since 1970.")
@click.option("--without", default="", help="Customers to leave out, separated by commas.")
@click.option("--name", default="", help="Put before every event id.")
def main(source: str, rate: float, seconds: float, ramp: float, start: int | None, without: str, name: str) -> None:
    """Send the SOURCE's events to the interactions topic."""
    some = endless(open_source(source), start, frozenset(without.split(",")) - {""}, name)
    first = next(some)  # the source is open and its first events are made before the clock runs
    print("begun", flush=True)

    def all_of_them() -> Iterator[Interaction]:
        yield first
        yield from some

    def at_rate() -> None:
        print("at rate", flush=True)

    print(json.dumps(send(Settings(), all_of_them(), rate, seconds, ramp, at_rate)), flush=True)


if __name__ == "__main__":
    sys.exit(main())
