"""Every baseline on planted data where the right answer is known, and LambdaRank's look at nothing but the past."""

from itertools import pairwise

import numpy as np
import pytest

from trainer.evaluation.baselines import BASELINES, Known, factors, learned, lists
from trainer.evaluation.baselines.learned import _seen, lambdarank, windows
from trainer.evaluation.baselines.linear import ease_weights
from trainer.evaluation.protocol import DAY, HORIZON, Purchases

TASTES = (
    "tifu_knn", "decayed_90d_and_neighbours", "item_knn", "user_knn", "rp3beta", "slim", "ease", "ials", "bpr_mf",
    "lightfm_warp",
)  # fmt: skip
GROUP = 8
CUSTOMERS = 240  # more of either taste than any method has neighbours


def purchases(rows: list[tuple[int, int, float]], customers: int, items: int) -> Purchases:
    who, what, when = (np.array(column) for column in zip(*rows, strict=True))
    names = [f"c{n:03d}" for n in range(customers)], [f"i{n:03d}" for n in range(items)]
    return Purchases(*names, who.astype(np.int64), what.astype(np.int64), (when * DAY).astype(np.int64))


def two_tastes() -> Known:
    """Even customers buy the first 8 items, odd ones the last 8; each has left out one of theirs."""
    rows = [
        (customer, item + GROUP * (customer % 2), float(item))
        for customer in range(CUSTOMERS)
        for item in range(GROUP)
        if item != customer // 2 % GROUP
    ]
    return Known.at(purchases(rows, CUSTOMERS, 2 * GROUP), 20 * DAY)


@pytest.mark.parametrize("name", TASTES)
def test_what_others_of_the_same_taste_buy_comes_first(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(factors, "BPR_ITERATIONS", 100)  # few purchases, more passes
    known = two_tastes()
    found = lists(known, BASELINES[name](known), known.past.customers, known.past.customers, k=3)
    right = [
        found.novel[f"c{customer:03d}"][0] == f"i{customer // 2 % GROUP + GROUP * (customer % 2):03d}"
        for customer in range(CUSTOMERS)
    ]
    assert np.mean(right) >= 0.9  # learned by chance, factors may miss one


def test_the_smaller_inverse_gives_the_same_weights() -> None:
    wide = two_tastes().bought[:10]  # fewer customers than items
    gram = (wide.T @ wide).toarray() + 3.0 * np.eye(2 * GROUP)
    inverse = np.linalg.inv(gram)
    expected = -inverse / np.diag(inverse)
    np.fill_diagonal(expected, 0.0)
    np.testing.assert_allclose(ease_weights(wide, 3.0), expected, atol=1e-5)
    tall = two_tastes().bought
    gram = (tall.T @ tall).toarray() + 3.0 * np.eye(2 * GROUP)
    inverse = np.linalg.inv(gram)
    expected = -inverse / np.diag(inverse)
    np.fill_diagonal(expected, 0.0)
    np.testing.assert_allclose(ease_weights(tall, 3.0), expected, atol=1e-5)


def test_tifu_weighs_recent_baskets_more() -> None:
    known = Known.at(purchases([(0, 0, 1), (0, 1, 2), (0, 1, 2)], 1, 2), 3 * DAY)
    values = BASELINES["tifu_knn"](known).everything(np.array([0]))
    # Two baskets, the older one a place further back; a line bought twice in a basket counts once.
    np.testing.assert_allclose(values, [[0.9 * 0.95 / 2, 0.9 / 2]])


@pytest.fixture(scope="module")
def regulars() -> Purchases:
    """Each of 150 customers buys two items every five days and, now and then, something else once."""
    rng = np.random.default_rng(3)
    rows: list[tuple[int, int, float]] = []
    for customer in range(150):
        favourites = rng.choice(40, 2, replace=False)
        for day in np.arange(customer % 5, 140, 5):
            rows += [(customer, int(item), float(day)) for item in favourites]
            rows.append((customer, int(rng.integers(0, 40)), float(day)))
    return purchases(rows, 150, 40)


def test_lambdarank_finds_what_is_bought_again_and_again(regulars: Purchases, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learned, "ROUNDS", 20)
    known = Known.at(regulars, 140 * DAY)
    counts = known.matrix().toarray()
    everybody = known.past.customers
    found = lists(known, lambdarank(known), everybody, everybody, k=2)
    right = [
        {f"i{item:03d}" for item in np.argsort(-counts[row])[:2]} == set(found.everything[customer])
        for row, customer in enumerate(everybody)
    ]
    assert np.mean(right) > 0.9
    for row, customer in enumerate(everybody):
        assert all(counts[row, int(item[1:])] == 0 for item in found.novel[customer])


def test_lambdarank_chooses_on_windows_of_the_past(regulars: Purchases) -> None:
    known = Known.at(regulars, 140 * DAY)
    spans = windows(known)
    assert [span.until_at for span in spans][-1] == known.cut
    assert all(span.until_at - span.split_at == HORIZON for span in spans)
    assert all(one.until_at == next_.split_at for one, next_ in pairwise(spans))
    # What a window teaches is the same whatever was bought after it, the window that settles the choice included.
    for span in spans[:2]:
        whole, alone = _seen(regulars, span), _seen(regulars.between(None, span.until_at), span)
        np.testing.assert_array_equal(whole[1], alone[1])
        np.testing.assert_array_equal(whole[2], alone[2])
        assert whole[2].any()
        # And its features are those of its split: no purchase after it changes them.
        before = regulars.between(None, span.split_at)
        changed = purchases([(0, 0, span.until_at / DAY)], len(regulars.customers), len(regulars.items))
        joined = Purchases(
            regulars.customers,
            regulars.items,
            *(np.concatenate([getattr(before, name), getattr(changed, name)]) for name in ("customer", "item", "time")),
        )
        other = _seen(joined, span)
        mine, theirs = whole[0].customer == 0, other[0].customer == 0
        np.testing.assert_array_equal(whole[1][mine], other[1][theirs])


def test_a_past_too_short_for_windows_is_refused(regulars: Purchases) -> None:
    with pytest.raises(ValueError, match="needs two windows of 20 days"):
        windows(Known.at(regulars.between(None, 50 * DAY), 50 * DAY))
