import numpy as np
import pytest

from feature_repo.item_partials import ItemPartials
from feature_repo.items_state import ITEM_STATE, ItemStates, empty_items, total
from feature_repo.online_store import OnlineStore, Outcome
from feature_repo.redis_commands import connect

SOURCES = ["0", "1", "backfill"]


def states(*purchases: int) -> ItemStates:
    made = empty_items(len(purchases))
    made["purchases"] = purchases
    made["newest_day"] = 17_000
    made["daily"][:, 17_000 % 64] = purchases
    return made


@pytest.fixture
def partials(redis_url: str) -> ItemPartials:
    client = connect(redis_url)
    client.flushall()
    return ItemPartials(OnlineStore(client), SOURCES)


def test_partials_of_all_sources_come_back_and_sum(partials: ItemPartials) -> None:
    assert partials.write("0", ["a", "b"], states(3, 4), [10, 11]).tolist() == [Outcome.WRITTEN] * 2
    written = partials.write("backfill", ["b", "a", "new"], states(100, 200, 300), [1, 1, 1])
    assert written.tolist() == [Outcome.WRITTEN] * 3
    found = partials.read(["b", "a", "new"])
    assert found.offsets.tolist() == [0, 2, 4, 5]
    assert found.total_versions().tolist() == [12, 11, 1]
    summed = total(found.states, found.offsets)
    assert summed["purchases"].tolist() == [104, 203, 300]
    assert summed["daily"].sum(axis=1).tolist() == [104, 203, 300]
    assert found.of(1) == {"0": (states(3).tobytes(), 10), "backfill": (states(200).tobytes(), 1)}


def test_items_without_partials(partials: ItemPartials) -> None:
    found = partials.read(["nothing", "at all"])
    assert found.offsets.tolist() == [0, 0, 0]
    assert found.states.dtype == ITEM_STATE
    assert found.total_versions().tolist() == [0, 0]
    assert found.of(0) == {}
    assert len(partials.read([]).offsets) == 1


def test_an_older_partial_is_refused_and_the_same_one_may_be_written_again(partials: ItemPartials) -> None:
    partials.write("0", ["a"], states(3), [10])
    assert partials.write("0", ["a"], states(2), [9]).tolist() == [Outcome.NEWER]
    assert partials.write("0", ["a"], states(3), [10]).tolist() == [Outcome.WRITTEN]
    assert partials.write("1", ["a"], states(1), np.array([1])).tolist() == [Outcome.WRITTEN]
    assert partials.read(["a"]).states["purchases"].tolist() == [3, 1]


def test_an_unknown_source_is_refused(partials: ItemPartials) -> None:
    with pytest.raises(ValueError, match="source '7' is not one of"):
        partials.write("7", ["a"], states(3), [10])
