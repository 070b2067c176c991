"""What holds for every source."""

import itertools

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams import offline
from streams.contracts.codec import decode_customer, decode_interaction, decode_item, encode, line_amount
from streams.contracts.events import InteractionType
from streams.sources.complete_journey import CompleteJourney
from streams.sources.source import SCHEMA, Source, json_objects, line_amounts

DAY = 86_400_000_000


@pytest.fixture(params=["complete_journey", "hm", "tabular", "synthetic"])
def source(request: pytest.FixtureRequest) -> Source:
    if request.param == "complete_journey":
        return CompleteJourney()
    found: Source = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def window(source: Source) -> tuple[int, int]:
    """The first days, so that the large source stays quick."""
    first = next(source.chunks())["time"][0].as_py()
    return first, first + 3 * DAY


def test_chunks_are_in_time_order_and_of_the_schema(source: Source, window: tuple[int, int]) -> None:
    chunks = list(source.chunks(*window))
    assert chunks
    assert all(chunk.schema == SCHEMA and chunk.num_rows for chunk in chunks)
    times = np.concatenate([np.asarray(chunk["time"]) for chunk in chunks])
    assert (np.diff(times) >= 0).all()
    assert window[0] <= times[0]
    assert times[-1] < window[1]


def test_event_ids_are_unique_and_the_same_each_time(source: Source, window: tuple[int, int]) -> None:
    first = [i for chunk in source.chunks(*window) for i in chunk["event_id"].to_pylist()]
    second = [i for chunk in source.chunks(*window) for i in chunk["event_id"].to_pylist()]
    assert first == second
    assert len(set(first)) == len(first)


def test_a_span_in_two_parts_is_the_span(source: Source, window: tuple[int, int]) -> None:
    start, stop = window
    middle = start + DAY + 12345
    whole = pa.concat_tables(source.chunks(start, stop))
    parts = pa.concat_tables(itertools.chain(source.chunks(start, middle), source.chunks(middle, stop)))
    assert whole.equals(parts)


def test_every_event_passes_the_codec(source: Source, window: tuple[int, int]) -> None:
    for event in itertools.islice(itertools.chain.from_iterable(source.interactions(*window)), 20_000):
        assert decode_interaction(encode(event), window[1], key=event.customer_id.encode()) == event


def test_table_equals_the_events_one_by_one(source: Source, window: tuple[int, int]) -> None:
    for exponent in (0, 2, 4):
        table = source.interactions_table(*window, currency_exponent=exponent)
        assert table.schema == offline.SCHEMA
        events = [event for batch in source.interactions(*window) for event in batch]
        assert [line_amount(e.price, e.quantity, exponent) for e in events] == table["amount"].to_pylist()
    assert [e.event_id for e in events] == table["event_id"].to_pylist()
    assert [e.time for e in events] == table["time"].to_pylist() == table["arrival"].to_pylist()
    assert [e.quantity for e in events] == table["quantity"].to_pylist()
    assert table["offset"].to_pylist() == list(range(len(events)))


def test_who_and_what_occurs_is_known(source: Source, window: tuple[int, int]) -> None:
    customers = {c.customer_id: c for c in source.customers()}
    items = {i.item_id: i for i in source.items()}
    for customer in itertools.islice(customers.values(), 500):
        assert decode_customer(encode(customer)) == customer
    for item in itertools.islice(items.values(), 500):
        assert decode_item(encode(item)) == item
        assert item.name
    table = source.interactions_table(*window)
    assert set(table["customer_id"].to_pylist()) <= set(customers)
    assert set(table["item_id"].to_pylist()) <= set(items)


def test_fingerprint_is_stable(source: Source) -> None:
    assert source.fingerprint() == source.fingerprint()


@given(
    st.lists(st.tuples(st.none() | st.floats(0, 1e6), st.integers(1, 2000)), max_size=50), st.sampled_from([0, 2, 3, 4])
)
def test_line_amounts_equal_line_amount(lines: list[tuple[float | None, int]], exponent: int) -> None:
    price = pa.chunked_array([[p for p, _ in lines]], pa.float64())
    quantity = pa.chunked_array([[q for _, q in lines]], pa.int32())
    assert line_amounts(price, quantity, exponent).tolist() == [line_amount(p, q, exponent) for p, q in lines]


def test_lines_too_large_for_the_stream_are_left_out_and_counted(tabular: Source) -> None:
    all_rows = tabular.interactions_table(currency_exponent=2)
    few = tabular.interactions_table(currency_exponent=9)
    assert 0 < few.num_rows < all_rows.num_rows
    assert tabular.skipped["absurd price"] == all_rows.num_rows - few.num_rows


def test_json_objects_leave_out_what_is_null() -> None:
    columns = {"a": pa.chunked_array([["x", None, "x"]]), "b": pa.chunked_array([[1, 2, None]])}
    assert json_objects(columns, 3).to_pylist() == ['{"a":"x","b":"1"}', '{"b":"2"}', '{"a":"x"}']
    assert json_objects({}, 2).to_pylist() == ["{}", "{}"]


def test_types_are_the_contracts() -> None:
    from streams.sources import synthetic

    assert set(synthetic._TYPES) == {str(each) for each in InteractionType}
