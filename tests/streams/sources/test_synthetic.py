import numpy as np
import pytest

from streams.sources import open_source
from streams.sources.synthetic import Options, Synthetic


@pytest.fixture(scope="module")
def shop() -> Synthetic:
    return Synthetic(Options(events=200_000, customers=1_000, items=2_000, days=60.0, seed=1))


def test_as_many_events_as_asked_for_within_the_days(shop: Synthetic) -> None:
    table = shop.interactions_table()
    assert table.num_rows == 200_000
    times = np.asarray(table["time"])
    assert times.max() < shop.options.end
    assert shop.options.end - times.min() <= 60.5 * 86_400_000_000


def test_seed_decides(shop: Synthetic) -> None:
    same = Synthetic(shop.options)
    other = Synthetic(Options(events=200_000, customers=1_000, items=2_000, days=60.0, seed=2))
    assert next(same.chunks()).equals(next(shop.chunks()))
    assert not next(other.chunks())["item_id"].equals(next(shop.chunks())["item_id"])
    assert same.fingerprint() != other.fingerprint()


def test_what_is_planted_can_be_found(shop: Synthetic) -> None:
    frame = shop.interactions_table().to_pandas()
    category = {i.item_id: i.attributes["category"] for i in shop.items()}
    segment = {c.customer_id: c.attributes["segment"] for c in shop.customers()}
    frame["category"], frame["segment"] = frame.item_id.map(category), frame.customer_id.map(segment)
    # Popularity is skewed: a tenth of the items gets most of the events.
    counts = frame.item_id.value_counts()
    assert counts.head(200).sum() > 0.5 * len(frame)
    # Tastes: two halves of one segment are closer to each other than to another segment.
    shares = frame.groupby("segment").category.value_counts(normalize=True).unstack(fill_value=0)
    first, second = frame[frame.index % 2 == 0], frame[frame.index % 2 == 1]
    halves = [f.groupby("segment").category.value_counts(normalize=True).unstack(fill_value=0) for f in (first, second)]
    within = np.abs(halves[0] - halves[1]).sum(axis=1).mean()
    across = np.abs(shares - shares.mean()).sum(axis=1).mean()
    assert across > 5 * within
    # Drift: the same segments want something else at the end.
    early, late = frame.iloc[:40_000], frame.iloc[-40_000:]
    ends = [f.groupby("segment").category.value_counts(normalize=True).unstack(fill_value=0) for f in (early, late)]
    assert np.abs(ends[0].sub(ends[1], fill_value=0)).sum(axis=1).mean() > 3 * within
    # Favourites: buying again what was bought is common.
    bought = frame[frame.type == "purchase"]
    assert bought.duplicated(["customer_id", "item_id"]).mean() > 0.3


def test_returns_take_back_an_earlier_purchase(shop: Synthetic) -> None:
    frame = shop.interactions_table().to_pandas()
    returns = frame[frame.type == "return"]
    assert len(returns) > 100
    bought = frame[frame.type == "purchase"].set_index(["customer_id", "item_id"]).sort_index()
    for row in returns.head(100).itertuples():
        earlier = bought.loc[[(row.customer_id, row.item_id)]]
        assert ((earlier.time <= row.time) & (earlier.amount == row.amount)).any()


def test_options_from_a_name() -> None:
    source = open_source("synthetic:events=10,customers=3,items=30,seed=4")
    assert isinstance(source, Synthetic)
    assert (source.options.events, source.options.seed) == (10, 4)
    assert source.interactions_table().num_rows == 10


@pytest.mark.parametrize("wrong", [{"events": 0}, {"items": 3, "categories": 9}, {"days": 0.0}])
def test_impossible_sizes_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="synthetic:"):
        Options(**wrong)  # type: ignore[arg-type]


def test_a_skewed_shop_has_a_few_busy_customers() -> None:
    def busiest(skew: float) -> int:
        shop = Synthetic(Options(events=50_000, customers=20_000, items=5_000, skew=skew))
        return int(next(shop.chunks()).to_pandas()["customer_id"].value_counts().max())

    assert busiest(1.4) > 3 * busiest(0.0)
