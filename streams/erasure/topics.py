"""Erasures on their way through Kafka: announced among the interactions, entered in the topic of the ledger."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from streams.contracts.codec import encode
from streams.contracts.compacted import CompactedTable, Record
from streams.contracts.operations import Erasure
from streams.contracts.topics import ERASURE_HEADER, Topics
from streams.erasure import erasures
from streams.erasure.erasures import Ledger
from streams.sender import Sender


def cause_of(headers: Any) -> str | None:
    """Return what an empty record of `interactions` names as the cause of an erasure, None if it asks for none.

    Parameters
    ----------
    headers: pairs of name and value, or None, as Kafka's client gives them.
    """
    for name, value in headers or ():
        if name == ERASURE_HEADER:
            return value.decode(errors="replace") if isinstance(value, bytes) else value or ""
    return None


class ErasureRecords:
    """Asks for customers to be erased, by records among their interactions."""

    def __init__(self, sender: Sender, topics: Topics) -> None:
        self._sender = sender
        self._topic = topics.interactions.name

    def announce(self, causes: Mapping[str, str]) -> None:
        """Send a record for each customer with its cause; returns once Kafka has them.

        Raises
        ------
        KafkaException: not all could be delivered; they may be sent again.
        """
        for customer, cause in causes.items():
            self._sender.send(self._topic, None, customer.encode(), [(ERASURE_HEADER, cause)])
        self._sender.flush()


class LedgerFeed:
    """The ledger as a worker has it: read from its topic, written to it and to the offline store.

    Parameters
    ----------
    table: the topic `erasures`.
    topic: its name, for sending.
    store: path of the offline store.
    """

    def __init__(self, table: CompactedTable, sender: Sender, topic: str, store: Path) -> None:
        self._table = table
        self._sender = sender
        self._topic = topic
        self._store = store
        self.ledger = Ledger()

    def catch_up(self) -> None:
        """Learn of all erasures that there are.

        Raises
        ------
        TimeoutError: Kafka has stalled.
        """
        self.ledger.add(map(_erasure, self._table.catch_up()))

    def write(self, found: Sequence[Erasure]) -> None:
        """Enter erasures in the offline store, then queue them for the topic."""
        erasures.write(self._store, found)
        for erasure in found:
            self._sender.send(self._topic, encode(erasure), erasures.key_of(erasure))
        self.ledger.add(found)

    def close(self) -> None:
        """Leave the broker."""
        self._table.close()


def read_ledger(topics: Topics, config: Mapping[str, Any]) -> Ledger:
    """Read the whole topic.

    Raises
    ------
    LookupError: it does not exist.
    KafkaException, TimeoutError: the broker can't be reached.
    """
    with CompactedTable(topics.erasures.name, config) as table:
        return Ledger(map(_erasure, table.load()))


def _erasure(record: Record) -> Erasure:
    return msgspec.json.decode(record.value or b"", type=Erasure)
