"""Everything that was published, computed anew in SQL, against every feature that the stream has written."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from feature_repo.catalogue import CatalogueItem
from feature_repo.online_store import OnlineStore
from feature_repo.redis_commands import connect
from feature_repo.shop import load_shop
from streams import offline
from streams.catalogue_feed import catalogue_item
from streams.contracts.codec import LIMITS, decode_interaction, line_amount
from streams.contracts.compacted import CompactedTable, Record
from streams.contracts.events import Interaction, Item
from streams.contracts.rejection import Rejected
from streams.settings import Settings
from tests.parity.oracle.check import check_features
from tests.parity.oracle.stored import customer_reader, item_reader

_AT_ONCE = 50_000


@dataclass(frozen=True)
class Exactness:
    """How many values were compared, how many differ, examples, and how many events there are on either side.

    `missing` events are in the topic and not in the offline store, or are in it twice.
    """

    checked: int
    mismatched: int
    examples: list[str]
    published: int
    missing: int


def check(settings: Settings, items: Iterable[Item], as_of: int | None = None) -> Exactness:
    """Compare every stored column of every customer and item with the oracle's, and count the offline store's rows.

    Parameters
    ----------
    items: the catalogue, in any order.
    as_of: instant of the columns that depend on one, microseconds since the epoch; by default the newest event's.
    """
    shop, store = load_shop(settings.shop), OnlineStore(connect(settings.redis_url))
    events = published(settings, shop.currency_exponent)
    at = as_of or int(np.asarray(events["time"]).max())
    catalogue: dict[str, CatalogueItem] = {item.item_id: catalogue_item(item, shop.currency_exponent) for item in items}
    found = check_features(
        shop, events, catalogue.values(), customer_reader(store, shop, at), item_reader(store, shop, catalogue, at), at
    )
    stored = sum(commit.rows for commit in offline.commits(settings.offline))
    distinct = len(events["event_id"].unique())
    return Exactness(
        found.checked, found.mismatched, [str(each) for each in found.worst[:10]], events.num_rows, distinct - stored
    )


def published(settings: Settings, exponent: int) -> pa.Table:
    """Return all valid events of the topic in the columns of the offline store, as Kafka has them."""
    tables: list[pa.Table] = []
    with CompactedTable(settings.topics.interactions.name, settings.kafka_config()) as topic:
        records: list[Record] = []
        for record in topic.load():
            records.append(record)
            if len(records) == _AT_ONCE:
                tables.append(_table(records, exponent))
                records = []
        tables.append(_table(records, exponent))
    return pa.concat_tables(tables)


def _table(records: Sequence[Record], exponent: int) -> pa.Table:
    kept: list[tuple[Record, Interaction]] = []
    for record in records:
        try:
            kept.append((record, decode_interaction(record.value, record.timestamp * 1000, LIMITS, key=record.key)))
        except Rejected:
            continue
    events = [event for _, event in kept]
    columns = {
        "event_id": [event.event_id for event in events],
        "customer_id": [event.customer_id for event in events],
        "item_id": [event.item_id for event in events],
        "type": [event.type.value for event in events],
        "time": [event.time for event in events],
        "quantity": [event.quantity for event in events],
        "amount": [line_amount(event.price, event.quantity, exponent) for event in events],
        "rating": [event.rating for event in events],
        "session_id": [event.session_id for event in events],
        "context": ["{}"] * len(events),  # no feature is made of it
        "recommendation_id": [event.recommendation_id for event in events],
        "arrival": [record.timestamp * 1000 for record, _ in kept],
        "partition": [record.partition for record, _ in kept],
        "offset": [record.offset for record, _ in kept],
    }
    return pa.table([pa.array(columns[field.name], field.type) for field in offline.SCHEMA], schema=offline.SCHEMA)
