"""The whole store against the truth: online rows, changelogs, offline store, dead letters, records."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np

from feature_repo.catalogue import Catalogue, CatalogueItem
from feature_repo.customer_state import CustomerRow, CustomerStates
from feature_repo.fold import fold
from feature_repo.item_partials import ItemPartials
from feature_repo.online_store import OnlineStore
from feature_repo.record_store import RecordStore
from feature_repo.redis_commands import connect
from feature_repo.rows import Selection
from feature_repo.shop import Shop, load_shop
from feature_repo.views import CUSTOMER_PROFILE, ITEM_CATALOGUE, customer_profile, item_catalogue
from streams import offline
from streams.contracts.codec import Limits, encode
from streams.contracts.compacted import CompactedTable
from streams.contracts.operations import DeadLetter
from streams.ingest.batch import Records, decode
from streams.ingest.changelog import customer_row
from streams.ingest.customer_writer import CustomerWriter
from streams.settings import Settings
from tests.chaos.traffic import Traffic
from tests.chaos.truth import Truth
from tests.parity.oracle.check import check_features
from tests.parity.oracle.stored import customer_reader, item_reader, pair_reader
from tests.streams.ingest_site import OnePass

_EXAMPLES = 5
_HOUR = 3_600_000_000


@dataclass
class Verification:
    """What came of it.

    Attributes
    ----------
    parts: name of a comparison -> values checked, values that differ.
    examples: a few that differ, a sentence each.
    """

    parts: dict[str, tuple[int, int]] = field(default_factory=dict)
    examples: list[str] = field(default_factory=list)

    @property
    def checked(self) -> int:
        """Values compared."""
        return sum(checked for checked, _ in self.parts.values())

    @property
    def mismatched(self) -> int:
        """Values that differ."""
        return sum(mismatched for _, mismatched in self.parts.values())

    def compare(self, name: str, expected: Mapping[Any, Any], found: Mapping[Any, Any]) -> None:
        """Compare two tables key by key; a key that only one has differs."""
        keys = expected.keys() | found.keys()
        wrong = [key for key in keys if key not in expected or key not in found or expected[key] != found[key]]
        self.parts[name] = (len(keys), len(wrong))
        for key in wrong[:_EXAMPLES]:
            self.examples.append(f"{name}: {key!r}: expected {_short(expected, key)}, found {_short(found, key)}")


def verify(settings: Settings, traffic: Traffic, truth: Truth) -> Verification:
    """Compare everything."""
    out, store, shop = Verification(), OnlineStore(connect(settings.redis_url)), load_shop(settings.shop)
    out.parts["records on the topic"] = (len(truth.topic), truth.lost + truth.strange)
    _features(out, store, shop, traffic, truth)
    _states(out, settings, store, shop, truth)
    _offline(out, settings, truth)
    _letters(out, settings, truth)
    _erased(out, store, shop, traffic)
    _records(out, store, shop, traffic)
    return out


def _features(out: Verification, store: OnlineStore, shop: Shop, traffic: Traffic, truth: Truth) -> None:
    """Every stored feature of every customer, item and pair, against SQL."""
    items = [
        CatalogueItem(
            item.item_id, item.name, item.available,
            -1 if item.price is None else round(item.price * 10**shop.currency_exponent), item.attributes,
        )
        for item in traffic.last_items
    ]  # fmt: skip
    as_of = time.time_ns() // 1000 + _HOUR
    report = check_features(
        shop,
        truth.accepted,
        items,
        customer_reader(store, shop, as_of),
        item_reader(store, shop, {item.item_id: item for item in items}, as_of),
        as_of,
        read_pairs=pair_reader(store, shop, items, as_of),
    )
    for column in report.columns:
        name = f"{column.column.partition('.')[0]} features (SQL)"
        checked, mismatched = out.parts.get(name, (0, 0))
        out.parts[name] = (checked + column.checked, mismatched + column.mismatched)
    out.examples += [str(mismatch) for mismatch in report.worst[:_EXAMPLES]]


def _states(out: Verification, settings: Settings, store: OnlineStore, shop: Shop, truth: Truth) -> None:
    """Stored states, parts and changelogs, against one pass over the topic."""
    partitions = settings.topics.interactions.partitions
    batches = [decode(_records_of(truth, p), partitions, Limits()) for p in range(partitions)]
    one_pass = OnePass(
        [(batch, fold(CustomerStates.empty(len(batch.customer_ids)), batch.events)) for batch in batches]
    )
    customers, items = one_pass.customers(), one_pass.items()
    writer = CustomerWriter(store, shop, Catalogue(shop.item_attributes))
    stored = dict(zip(customers, writer.read(list(customers)), strict=True))
    out.compare("customers' states (one pass)", customers, stored)
    sealed = dict(_last(settings, settings.topics.features_seen_ids.name))
    changes = {
        name: customer_row(value, sealed.get(name))
        for name, value in _last(settings, settings.topics.features_customers.name)
    }
    out.compare("customers' changelog", customers, changes)
    parts = {(source, name): part for name, found in items.items() for source, part in found.items()}
    names = list(items)
    partials = ItemPartials(store, [*map(str, range(partitions)), "backfill"]).read(names)
    out.compare(
        "items' parts (one pass)",
        parts,
        {(s, name): part for at, name in enumerate(names) for s, (part, _) in partials.of(at).items()},
    )
    out.compare(
        "items' changelog",
        {f"{source}:{name}": part for (source, name), part in parts.items()},
        dict(_last(settings, settings.topics.features_items.name)),
    )


def _records_of(truth: Truth, partition: int) -> Records:
    some = [record for record in truth.topic if record.partition == partition]
    return Records(
        partition,
        0,
        truth.ends[partition],
        [record.value for record in some],
        [record.key for record in some],
        [record.offset for record in some],
        [record.timestamp for record in some],
    )


def _last(settings: Settings, topic: str) -> Iterator[tuple[str, bytes]]:
    """The last value of each key that has one."""
    with CompactedTable(topic, settings.kafka_config()) as table:
        last = {record.key.decode(): record.value for record in table.load()}
    return ((key, value) for key, value in last.items() if value is not None)


def _offline(out: Verification, settings: Settings, truth: Truth) -> None:
    """Every distinct valid event once, with all its columns."""
    order = [("partition", "ascending"), ("offset", "ascending")]
    found = offline.interactions(settings.offline).sort_by(order)
    expected = truth.accepted.sort_by(order)
    places = [
        list(zip(table["partition"].to_pylist(), table["offset"].to_pylist(), strict=True))
        for table in (expected, found)
    ]
    columns = [name for name in offline.SCHEMA.names if name not in ("partition", "offset")]
    rows = [
        dict(zip(places[i], zip(*(table[name].to_pylist() for name in columns), strict=True), strict=True))
        for i, table in enumerate((expected, found))
    ]
    out.compare("offline rows", *rows)
    twice = len(places[1]) - len(rows[1])
    out.parts["offline rows that are there twice"] = (len(places[1]), twice)


def _letters(out: Verification, settings: Settings, truth: Truth) -> None:
    """Exactly the malformed records, each with the true reason and its bytes."""
    topic = settings.topics.interactions.name
    with CompactedTable(settings.topics.dead_letters.name, settings.kafka_config()) as table:
        letters = [msgspec.json.decode(record.value, type=DeadLetter) for record in table.load() if record.value]
    found = {
        (each.partition, each.offset): (each.reason, each.key or b"", each.value or b"")
        for each in letters
        if each.topic == topic
    }
    out.compare("dead letters", truth.letters, found)
    out.compare(
        "dead letters of other topics", {}, {each.topic: each.detail for each in letters if each.topic != topic}
    )


def _erased(out: Verification, store: OnlineStore, shop: Shop, traffic: Traffic) -> None:
    """Nothing is left of the customers who were erased, but for a while how far the stream was."""
    nothing = CustomerRow(b"", b"", b"", b"", 0)
    writer = CustomerWriter(store, shop, Catalogue(shop.item_attributes))
    rows = [nothing if row is None else row._replace(position=0) for row in writer.read(traffic.gone)]
    records = RecordStore(store.client, "customer").get(traffic.gone)
    out.compare(
        "erased customers' rows", dict.fromkeys(traffic.gone, nothing), dict(zip(traffic.gone, rows, strict=True))
    )
    out.compare("erased customers' records", dict.fromkeys(traffic.gone), dict(zip(traffic.gone, records, strict=True)))


def records_applied(settings: Settings, traffic: Traffic) -> bool:
    """Whether Redis has the last record of every item and customer; to be asked while workers are there."""
    expected, names = _expected_records(traffic)
    return _stored_records(OnlineStore(connect(settings.redis_url)), names) == expected


def _expected_records(traffic: Traffic) -> tuple[dict[tuple[str, str], bytes], dict[str, list[str]]]:
    records = {("item", item.item_id): encode(item) for item in traffic.last_items}
    records |= {("customer", each.customer_id): encode(each) for each in traffic.last_customers}
    names: dict[str, list[str]] = {"item": [], "customer": []}
    for kind, name in records:
        names[kind].append(name)
    return records, names


def _stored_records(store: OnlineStore, names: dict[str, list[str]]) -> dict[tuple[str, str], bytes | None]:
    return {
        (kind, name): record
        for kind, some in names.items()
        for name, record in zip(some, RecordStore(store.client, kind).get(some), strict=True)  # type: ignore[arg-type]
    }


def _records(out: Verification, store: OnlineStore, shop: Shop, traffic: Traffic) -> None:
    """The catalogue and the customers, as records and as Feast rows, equal what was published last."""
    expected, names = _expected_records(traffic)
    out.compare("records of items and customers", expected, _stored_records(store, names))
    rows = store.read_rows(Selection.of(item_catalogue(shop)), names["item"])
    prices = rows.values(ITEM_CATALOGUE, "price")
    columns = [rows.values(ITEM_CATALOGUE, name) for name in ("name", "available", *shop.item_attributes)]
    out.compare(
        "catalogue rows",
        {
            item.item_id: (
                np.int64(round((item.price or 0) * 100)), item.name, item.available,
                *(item.attributes.get(name, "") for name in shop.item_attributes),
            )
            for item in traffic.last_items
        },
        dict(zip(names["item"], zip(prices, *columns, strict=True), strict=True)),
    )  # fmt: skip
    profiles = store.read_rows(Selection.of(customer_profile(shop)), names["customer"])
    columns = [profiles.values(CUSTOMER_PROFILE, name) for name in shop.customer_attributes]
    out.compare(
        "profile rows",
        {
            each.customer_id: tuple(each.attributes.get(name, "") for name in shop.customer_attributes)
            for each in traffic.last_customers
        },
        dict(zip(names["customer"], zip(*columns, strict=True), strict=True)),
    )


def _short(table: Mapping[Any, Any], key: Any) -> str:
    text = repr(table[key]) if key in table else "nothing"
    return text if len(text) <= 160 else f"{text[:160]}…"
