"""The changelogs: every new state of a customer and of an item's part, as compacted topics."""

from collections.abc import Sequence

import msgspec

from feature_repo.customer_state import CustomerRow
from streams.contracts.topics import Topics
from streams.sender import Sender

_ENCODE = msgspec.msgpack.Encoder().encode


class Changelog:
    """Sends to `features-customers` and `features-items`.

    ``features-customers``: key customer id, value MessagePack map of ``history``, ``recent``, ``evicted``, ``ids``
    (packed arrays) and ``position``. ``features-items``: key ``<source>:<item id>``, value ``ITEM_STATE`` bytes,
    header ``position``: the offset before which the part holds everything.
    """

    def __init__(self, sender: Sender, topics: Topics) -> None:
        self._sender = sender
        self._customers = topics.features_customers.name
        self._items = topics.features_items.name

    def customers(self, customer_ids: Sequence[str], rows: Sequence[CustomerRow]) -> None:
        """Send the customers' new states."""
        for customer, row in zip(customer_ids, rows, strict=True):
            self._sender.send(self._customers, _ENCODE(row._asdict()), customer.encode())

    def forget_customers(self, customer_ids: Sequence[str]) -> None:
        """Send tombstones."""
        for customer in customer_ids:
            self._sender.send(self._customers, None, customer.encode())

    def items(self, source: str, version: int, items: Sequence[tuple[str, bytes]]) -> None:
        """Send the new parts of a source."""
        headers: list[tuple[str, str | bytes | None]] = [("position", b"%d" % version)]
        for item, part in items:
            self._sender.send(self._items, part, f"{source}:{item}".encode(), headers)
