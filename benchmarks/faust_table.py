"""What is usual: a Faust app that counts events by customer in a table, with Kafka as its changelog.

``python -m benchmarks.faust_table TOPIC EVENTS`` counts so many events that are in the topic already, as a process of
its own, and prints as JSON how many it counted and in how many seconds, from the first one on.
"""

import asyncio
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterable
from itertools import islice
from typing import Any

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from streams.contracts.codec import encode
from streams.contracts.events import Interaction
from streams.settings import Settings

PARTITIONS = 4


def measure(settings: Settings, some: Iterable[Interaction], events: int, timeout_s: float = 180.0) -> float:
    """Return how many events a second the app counts.

    Parameters
    ----------
    some: at least as many as `events`.

    Raises
    ------
    RuntimeError
        When it fails, or does not end in time.
    """
    topic = f"bench-faust-{uuid.uuid4().hex[:8]}"
    admin = AdminClient(settings.kafka_config())
    for future in admin.create_topics([NewTopic(topic, PARTITIONS, 1)]).values():
        future.result(30)
    producer = Producer({**settings.producer_config(), "linger.ms": 20})
    for event in islice(some, events):
        producer.produce(topic, encode(event), event.customer_id.encode())
        producer.poll(0)
    if producer.flush(60):
        raise RuntimeError("the events for the Faust table were not delivered in 60 s")
    environment = {
        **os.environ,
        "KAFKA_BOOTSTRAP_SERVERS": settings.kafka_bootstrap_servers,
        "HEADWATER_STATE": str(settings.state),
    }
    command = [sys.executable, "-m", "benchmarks.faust_table", topic, str(events)]
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=timeout_s, check=True)
    except subprocess.SubprocessError as error:
        raise RuntimeError(f"the Faust table failed: {error}\n{getattr(error, 'stderr', '')}") from error
    _, brace, rest = done.stdout.partition("{")  # before it, what Faust does to a terminal
    if not brace:
        raise RuntimeError(f"the Faust table said nothing of what it counted: {done.stdout!r}\n{done.stderr}")
    found = json.loads(brace + rest)
    return float(found["events"] / found["seconds"])


def build(settings: Settings, topic: str, events: int) -> Any:
    """Return the app: one agent, one table."""
    import faust

    app = faust.App(
        f"{topic}-counter",
        broker=[f"kafka://{server}" for server in settings.kafka_bootstrap_servers.split(",")],
        store="memory://",
        datadir=str(settings.state / "faust-table"),
        topic_partitions=PARTITIONS,
        topic_replication_factor=1,
        web_enabled=False,
    )
    channel = app.topic(topic, key_type=str, value_type=bytes, value_serializer="raw")
    counts = app.Table("counts", default=int, partitions=PARTITIONS)
    seen = {"events": 0, "began": 0.0}

    async def count(stream: Any) -> None:
        async for key, _ in stream.items():
            counts[key] += 1
            seen["events"] += 1
            if seen["events"] == 1:
                seen["began"] = time.perf_counter()
            if seen["events"] == events:
                print(json.dumps({"events": events - 1, "seconds": time.perf_counter() - seen["began"]}), flush=True)
                # Leaving the group properly would take longer than counting.
                asyncio.get_running_loop().call_soon(os._exit, 0)

    app.agent(channel, name="benchmarks.faust_table.count")(count)
    return app


def main() -> None:
    """Count until all are counted."""
    import faust

    app = build(Settings(), sys.argv[1], int(sys.argv[2]))
    app.finalize()
    faust.Worker(app, loglevel="ERROR", redirect_stdouts=False, quiet=True).execute_from_commandline()


if __name__ == "__main__":
    main()
