"""The kernels and the oracle on real purchases, with late, repeated and taken-back lines woven in."""

from functools import partial

import numpy as np
import pyarrow as pa
import pytest

from feature_repo.catalogue import CatalogueItem
from feature_repo.customer_state import Limits
from feature_repo.histories import histories_of
from feature_repo.materialise import pair_columns
from feature_repo.ragged import lengths_to_offsets
from feature_repo.shop import load_shop
from streams.sources.complete_journey import CompleteJourney
from tests.parity.oracle.check import check_features, check_pairs
from tests.parity.oracle.oracle import Bounds, Oracle
from tests.parity.worlds import World, customer_rows, folded, item_rows, trend_of

SHOP = load_shop("complete_journey")
ROWS = 150_000
DAY = 86_400_000_000


@pytest.fixture(scope="module")
def world() -> World:
    source, rng = CompleteJourney(), np.random.default_rng(11)
    rows = next(source.chunks())
    stop = rows["time"][0].as_py() + 60 * DAY
    table = source.interactions_table(stop=stop).slice(0, ROWS)
    back = table.take(pa.array(np.sort(rng.choice(len(table), 3000, replace=False))))
    returns = _with(back, type=pa.repeat(pa.scalar("return"), len(back)), time=_plus(back["time"], 5 * DAY, rng))
    returns = _with(returns, event_id=pa.array([f"back-{i}" for i in returns["event_id"].to_pylist()]))
    again = table.take(pa.array(rng.choice(len(table), 1000)))
    whole = pa.concat_tables([table, returns, again])
    # Most events arrive in the order they happened, some hours or days later.
    late = np.where(rng.random(len(whole)) < 0.05, rng.integers(0, 3 * DAY, len(whole)), 0)
    order = np.argsort(np.asarray(whole["time"]) + late, kind="stable")
    whole = whole.take(pa.array(order))
    numbers = np.arange(len(whole))
    whole = _with(whole, arrival=pa.array(stop + numbers), offset=pa.array(numbers))
    items = [CatalogueItem(item.item_id, item.name, attributes=item.attributes) for item in source.items()]
    return World(whole, items)


def _with(table: pa.Table, **columns: pa.Array) -> pa.Table:
    for name, column in columns.items():
        at = table.column_names.index(name)
        table = table.set_column(at, table.schema.field(name), column.cast(table.schema.field(name).type))
    return table


def _plus(times: pa.ChunkedArray, most: int, rng: np.random.Generator) -> pa.Array:
    return pa.array(np.asarray(times) + rng.integers(0, most, len(times)))


@pytest.fixture(scope="module")
def as_of(world) -> int:
    return int(np.asarray(world.interactions["time"]).max()) + DAY // 3


def split(n: int, parts: int) -> list[np.ndarray]:
    return np.array_split(np.arange(n), parts)


def test_stored_features_and_pairs_equal_the_oracle(world, as_of):
    result = folded(SHOP, world, split(len(world.interactions), 9), Limits())
    report = check_features(
        SHOP, world.interactions, world.items,
        partial(customer_rows, SHOP, result, as_of), partial(item_rows, SHOP, result, as_of), as_of,
    )  # fmt: skip
    assert report.mismatched == 0, str(report)
    assert report.checked > 400_000

    bought = np.array(world.interactions["type"].to_pylist()) == "purchase"
    busy = int(np.asarray(world.interactions["time"])[bought].max())
    report = check_features(
        SHOP, world.interactions, world.items,
        partial(customer_rows, SHOP, result, busy), partial(item_rows, SHOP, result, busy), busy,
    )  # fmt: skip
    assert report.mismatched == 0, str(report)
    assert np.count_nonzero(customer_rows(SHOP, result, busy, result.customer_ids)["at_as_of.session_events"])
    assert np.count_nonzero(trend_of(result, busy)) > 100

    oracle = Oracle(SHOP, world.interactions, world.items, as_of)
    held, rng = oracle.bought_pairs(), np.random.default_rng(5)
    chosen = np.sort(rng.choice(len(held["customer_id"]), 20_000, replace=False))
    customer = np.array(held["customer_id"], dtype=object)[chosen]
    other = np.array(world.items, dtype=object)[rng.integers(0, len(world.items), len(chosen))]
    item = np.where(np.arange(len(chosen)) % 3 > 0, np.array(held["item_id"], dtype=object)[chosen],
                    np.array([each for each, *_ in other], dtype=object))  # fmt: skip
    counts = np.array([np.count_nonzero(customer == each) for each in result.customer_ids])
    rows = np.array([result.catalogue.row(each) for each in item], dtype=np.int64)
    columns = pair_columns(
        SHOP,
        histories_of(result.customers),
        rows,
        lengths_to_offsets(counts),
        result.catalogue,
        trend_of(result, as_of)[rows],
        as_of,
    )
    report = check_pairs(oracle, customer.tolist(), item.tolist(), columns)
    assert report.mismatched == 0, str(report)


def test_short_histories_equal_the_oracle(world, as_of):
    result = folded(SHOP, world, split(len(world.interactions), 4), Limits(purchases=40))
    report = check_features(
        SHOP, world.interactions, world.items,
        partial(customer_rows, SHOP, result, as_of), partial(item_rows, SHOP, result, as_of), as_of, Bounds(history=40),
    )  # fmt: skip
    assert report.mismatched == 0, str(report)
