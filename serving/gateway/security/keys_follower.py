"""Keeps the keys of this replica in step with the topic `api-keys`."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from serving.gateway.security.keys import KeyTable
from streams.contracts.compacted import CompactedTable
from streams.contracts.observability import logger
from streams.contracts.topics import Topic

log = logger(__name__)

POLL_S = 0.2


class KeysFollower:
    """Loads the topic, then follows it in a thread of its own until `stop`.

    While Kafka is away the keys stay as they were: nobody is shut out, and a revocation waits for Kafka's return.
    """

    def __init__(self, table: KeyTable, topic: Topic, config: Mapping[str, Any]) -> None:
        self._table = table
        self._topic, self._config = topic, config
        self._records: CompactedTable | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="keys", daemon=True)

    def start(self) -> None:
        """Read all there is, then follow what comes.

        Raises
        ------
        LookupError: there is no such topic.
        KafkaException, TimeoutError: Kafka is out of reach.
        """
        self._records = CompactedTable(self._topic.name, self._config)
        self._table.apply(self._records.load())
        keys = self._table.all()
        log.info("keys loaded", keys=len(keys))
        if not any(key.revoked_at is None for key in keys):
            log.warning("no key opens this gateway; make one: headwater keys create --client NAME --scope admin")
        self._thread.start()

    def stop(self) -> None:
        """End the thread and leave Kafka."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=10)
        if self._records is not None:
            self._records.close()

    def _follow(self) -> None:
        assert self._records is not None  # noqa: S101  # started after the topic was loaded
        while not self._stop.is_set():
            try:
                self._table.apply(self._records.poll(POLL_S))
            except Exception:
                log.exception("keys not followed")
                self._stop.wait(1.0)
