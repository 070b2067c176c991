"""How far the stream's features are behind its topic: by the broker's ends and by what Redis says is in place."""

import threading
import time
from collections.abc import Callable
from types import TracebackType

from confluent_kafka import Consumer, TopicPartition

from feature_repo.redis_commands import connect
from streams.ingest.partition_log import applied_position
from streams.settings import Settings


class Lag:
    """Events whose effects are not all in place. For one thread.

    A batch that is being applied counts as behind, to its last event.
    """

    def __init__(self, settings: Settings) -> None:
        self._client = connect(settings.redis_url)
        self._topic = settings.topics.interactions.name
        self._consumer = Consumer({**settings.kafka_config(), "group.id": "headwater-bench"})
        self.partitions = sorted(self._consumer.list_topics(self._topic, timeout=30).topics[self._topic].partitions)

    def ends(self) -> dict[int, int]:
        """Return each partition's end."""
        found = {}
        for partition in self.partitions:
            _, found[partition] = self._consumer.get_watermark_offsets(
                TopicPartition(self._topic, partition), timeout=30
            )
        return found

    def positions(self) -> dict[int, int]:
        """Return for each partition the offset before which everything is in place."""
        return {each: applied_position(self._client, each) or 0 for each in self.partitions}

    def __call__(self) -> int:
        """Return the events behind, over all partitions."""
        ends, positions = self.ends(), self.positions()
        return sum(max(0, ends[each] - positions[each]) for each in self.partitions)

    def wait_until(self, least: int = 0, timeout_s: float = 300.0, every_s: float = 0.05) -> float:
        """Wait until no more than so many events are behind; return the seconds that took.

        Raises
        ------
        TimeoutError
            When that does not come in time; says how many are.
        """
        started = time.monotonic()
        while (behind := self()) > least:
            if time.monotonic() - started > timeout_s:
                raise TimeoutError(f"{behind} events are behind after {timeout_s:.0f} s, wanted {least} at most")
            time.sleep(every_s)
        return time.monotonic() - started

    def close(self) -> None:
        """Leave the broker."""
        self._consumer.close()

    def __enter__(self) -> "Lag":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class LagWatch(threading.Thread):
    """Looks at the lag every second until `finish`.

    Parameters
    ----------
    also: called at each look, as to read a process' memory.
    """

    def __init__(self, settings: Settings, every_s: float = 1.0, also: Callable[[], None] = lambda: None) -> None:
        super().__init__(name="lag", daemon=True)
        self._settings, self._every_s, self._also = settings, every_s, also
        self._stopping = threading.Event()
        self.samples: list[int] = []

    def run(self) -> None:
        """Look until `finish` is called."""
        with Lag(self._settings) as lag:
            while not self._stopping.wait(self._every_s):
                self.samples.append(lag())
                self._also()

    def finish(self) -> list[int]:
        """Stop and return what was seen."""
        self._stopping.set()
        self.join()
        return self.samples
