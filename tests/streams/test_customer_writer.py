"""A customer's row is the same whether it was written whole or only what a look at an item changes."""

import numpy as np
import pytest

from feature_repo.catalogue import Catalogue
from feature_repo.customer_state import CustomerRow, CustomerStates
from feature_repo.fold import fold
from feature_repo.online_store import POSITION, OnlineStore, Outcome
from feature_repo.redis_commands import connect
from feature_repo.rows import Selection
from feature_repo.views import customer_purchases
from streams.contracts.codec import Limits, encode
from streams.contracts.events import Interaction, InteractionType
from streams.ingest.batch import Records, decode
from streams.ingest.customer_writer import EVICTED, IDS, CustomerWriter
from tests.streams.ingest_site import SHOP, START

ARRIVED = START * 1000


@pytest.fixture
def store(redis_url: str) -> OnlineStore:
    client = connect(redis_url)
    client.flushall()
    return OnlineStore(client)


def folded(kinds: list[InteractionType], start: int, before: CustomerStates | None = None) -> CustomerStates:
    """One customer's state after some events at the offsets from `start` on."""
    events = [
        Interaction(event_id=f"e{start + at}", customer_id="c", item_id=f"i{at}", type=kind, timestamp=START + at)
        for at, kind in enumerate(kinds)
    ]
    n = len(events)
    offsets = list(range(start, start + n))
    records = Records(0, start, start + n, [encode(e) for e in events], [b"c"] * n, offsets, [START + 60_000] * n)
    return fold(before or CustomerStates.empty(1), decode(records, 1, Limits()).events).states


def everything(store: OnlineStore, name: str) -> list[bytes | None]:
    return list(store.read_rows(Selection.of(customer_purchases(SHOP), extra=(IDS, EVICTED, POSITION)), [name]).raw[0])


def written(writer: CustomerWriter, name: str, states: CustomerStates, before: CustomerRow | None, at: int) -> int:
    outcomes = writer.write([name], states, states.rows(), np.array([ARRIVED + at]), before=[before])
    return int(outcomes[0])


@pytest.mark.parametrize("kind", [InteractionType.VIEW, InteractionType.PURCHASE])
def test_what_is_thought_to_be_stored_makes_no_difference(store: OnlineStore, kind: InteractionType) -> None:
    writer = CustomerWriter(store, SHOP, Catalogue(SHOP.item_attributes))
    first = folded([InteractionType.PURCHASE, InteractionType.VIEW], 10)
    after = folded([kind], 12, first)
    for name, known in (("known", first.rows()[0]), ("unknown", None)):
        assert written(writer, name, first, None, 0) == Outcome.WRITTEN
        assert written(writer, name, after, known, 1) == Outcome.WRITTEN
    assert everything(store, "known") == everything(store, "unknown")
    assert writer.read(["known"]) == after.rows()


def test_a_row_that_is_not_what_was_thought_is_written_whole(store: OnlineStore) -> None:
    writer = CustomerWriter(store, SHOP, Catalogue(SHOP.item_attributes))
    first = folded([InteractionType.PURCHASE], 10)
    looked = folded([InteractionType.VIEW], 11, first)
    assert written(writer, "lost", looked, first.rows()[0], 1) == Outcome.WRITTEN
    assert writer.read(["lost"]) == looked.rows()
    assert all(value is not None for value in everything(store, "lost"))


def test_another_worker_s_row_is_left_alone(store: OnlineStore) -> None:
    writer = CustomerWriter(store, SHOP, Catalogue(SHOP.item_attributes))
    first = folded([InteractionType.PURCHASE], 10)
    assert written(writer, "c", folded([InteractionType.VIEW] * 5, 11, first), None, 1) == Outcome.WRITTEN
    before = everything(store, "c")
    assert written(writer, "c", folded([InteractionType.VIEW], 11, first), first.rows()[0], 2) == Outcome.NEWER
    assert everything(store, "c") == before


def test_who_was_erased_and_comes_back_gets_a_whole_row(store: OnlineStore) -> None:
    writer = CustomerWriter(store, SHOP, Catalogue(SHOP.item_attributes))
    first = folded([InteractionType.PURCHASE], 10)
    assert written(writer, "c", first, None, 0) == Outcome.WRITTEN
    assert writer.take_away(["c"], [20]).tolist() == [Outcome.WRITTEN]
    gone = CustomerStates.empty(1)
    gone.position[0] = 20
    back = folded([InteractionType.VIEW], 30, gone)
    assert written(writer, "c", back, gone.rows()[0], 1) == Outcome.WRITTEN
    assert all(value is not None for value in everything(store, "c"))
