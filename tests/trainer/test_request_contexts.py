"""What requests would have told in the past, and a shop where the store decides what is bought."""

from itertools import count

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from feature_repo.encoder import NULL, Encoder
from feature_repo.purchases import DAY
from feature_repo.request_context import NUMBERS, request_columns, tells
from tests.trainer.small_shop import BRANDS, CUSTOMERS, ITEMS, RECIPE, SHOP, START, catalogue, profiles, store, table
from trainer.examples import Tables, encoded
from trainer.held_out import exam
from trainer.inputs import read
from trainer.request_contexts import speaks, told
from trainer.train import full
from trainer.windows import Span, windows

pytestmark = [pytest.mark.trainer, pytest.mark.timeout(600)]

DAYS = 60
SPAN = Span(START + 40 * DAY, START + DAYS * DAY)


def inputs_of(path, rows):
    return read(store(path, rows), SHOP, catalogue(), profiles(), event_clock=True)


def numbered(path):
    numbers = count()
    return lambda: path / f"vocabularies-{next(numbers)}"


def with_context(rows, texts):
    return rows.set_column(rows.schema.get_field_index("context"), "context", [pa.array(texts, pa.string())])


@pytest.fixture(scope="module")
def rows():
    return table(DAYS)


@pytest.fixture(scope="module")
def inputs(rows, tmp_path_factory):
    return inputs_of(tmp_path_factory.mktemp("store"), rows)


def test_a_request_would_have_told_of_the_first_purchase_after_the_split(rows, inputs):
    first = {}
    for row in sorted(rows.to_pylist(), key=lambda row: row["time"]):
        if SPAN.split_at < row["time"] <= SPAN.until_at:
            first.setdefault(row["customer_id"], row)
    found = windows(inputs, [SPAN])[0].requests
    spoken = speaks(inputs.log.customer_ids, SPAN.split_at)
    for place, (customer, speaking) in enumerate(zip(inputs.log.customer_ids, spoken.tolist(), strict=True)):
        event = first.get(customer) if speaking else None
        context = {} if event is None else {"store": f"s{int(event['event_id'][1:]) % 3}"}
        expected = request_columns(SHOP, [context], np.array([0 if event is None else event["time"]]))
        assert {name: values[place] for name, values in found.items()} == {n: v[0] for n, v in expected.items()}


def test_half_of_the_customers_speak_and_in_each_window_others(inputs):
    names = [f"c{i}" for i in range(400)]
    now, later = (speaks(names, at) for at in (SPAN.split_at, SPAN.until_at))
    np.testing.assert_array_equal(speaks(names[::-1], SPAN.split_at)[::-1], now)
    assert 150 < now.sum() < 250
    assert 150 < (now ^ later).sum() < 250


def test_nothing_is_told_of_an_empty_span_nor_by_events_without_a_context(rows, inputs, tmp_path):
    assert not tells(windows(inputs, [Span(SPAN.until_at, SPAN.until_at)])[0].requests).any()
    silent = inputs_of(tmp_path, with_context(rows, ["{}"] * rows.num_rows))
    assert not tells(windows(silent, [SPAN])[0].requests).any()


def test_contexts_are_counted_by_purchases(rows, tmp_path):
    kinds = pa.array(["view" if i % 2 else "purchase" for i in range(rows.num_rows)])
    mixed = rows.set_column(rows.schema.get_field_index("type"), "type", [kinds])
    columns, purchases = told(inputs_of(tmp_path, mixed))
    counted = dict(zip(columns["request_store"].tolist(), purchases.tolist(), strict=True))
    assert counted == dict.fromkeys(["s0", "s1", "s2"], rows.num_rows / 6)


@pytest.mark.parametrize(("told_of", "mute"), [("nothing", [True] * 4), ("days", [True, True, False, False])])
def test_a_shop_that_tells_no_context_or_only_days_trains_all_the_same(rows, tmp_path, told_of, mute):
    """The vocabulary is empty; of the one hour there is the model knows nothing, whatever hour comes."""
    if told_of == "nothing":
        some = with_context(rows, ["{}"] * rows.num_rows)
    else:
        days = pa.array(rows["time"].to_numpy() // DAY * DAY)
        some = rows.set_column(rows.schema.get_field_index("time"), "time", [days])
    recipe = msgspec.structs.replace(RECIPE, windows=1, customers_per_window=30, least_stacked=10**6)
    trained = full(inputs_of(tmp_path / "store", some), recipe, numbered(tmp_path)).trained
    assert [trained.state.moments.deviation[name] == 0 for name in NUMBERS] == mute
    assert len(trained.state.vocabularies.values["request_store"]) == (0 if told_of == "nothing" else 3)
    columns = request_columns(SHOP, [{"store": "s1"}] * 24, np.arange(24) * DAY // 24)
    _, numbers = Encoder(trained.workflow.spec).encode(columns, "request")
    assert not numbers[:, :2].any()


def planted():
    """Store a sells two of the brands and store b two others; who shops where changes every ten days."""
    rng = np.random.default_rng(5)
    rows = table(DAYS)
    n = rows.num_rows
    customer, period = rng.integers(0, CUSTOMERS, n), (rows["time"].to_numpy() - START) // (10 * DAY)
    there = (rng.random((CUSTOMERS, DAYS // 10)) < 0.5).astype(int)[customer, period]
    rank = np.minimum(rng.geometric(0.15, n) - 1, ITEMS // BRANDS - 1)
    item = rank * BRANDS + 2 * there + rng.integers(0, 2, n)
    for name, values in (("customer_id", [f"c{c}" for c in customer]), ("item_id", [f"i{i}" for i in item])):
        rows = rows.set_column(rows.schema.get_field_index(name), name, [pa.array(values)])
    return with_context(rows, [f'{{"store":"{"ab"[store]}"}}' for store in there])


def test_where_the_store_decides_the_ranker_learns_to_ask_for_it(tmp_path):
    inputs = inputs_of(tmp_path / "store", planted())
    recipe = msgspec.structs.replace(RECIPE, window_days=10, windows=4, ranker_epochs=24)
    run = full(inputs, recipe, numbered(tmp_path))
    trained, silent = run.trained, encoded(run.trained.workflow, run.present).requests
    assert (silent.codes == NULL).all()
    assert len(np.unique(silent.numbers, axis=0)) == 1
    [window] = windows(inputs, [Span(inputs.until_at - 10 * DAY, inputs.until_at)])
    paper = exam(inputs, trained.workflow, window, msgspec.structs.replace(recipe, held_out=1.0), None)
    brand = np.array([int(name[1:]) % BRANDS for name in inputs.catalogue.item_ids])[paper.rows.item]

    def scores(context):
        """Of the brands of store a and of store b, on the whole."""
        n = len(inputs.log.customer_ids)
        columns = request_columns(SHOP, [context] * n, window.span.split_at + np.arange(n) * DAY // 9)
        tables = Tables(paper.tables.customers, paper.tables.items, trained.workflow.transform(columns, "request"))
        found = trained.stack.predict(tables, paper.rows)
        return found[brand < 2].mean(), found[(brand == 2) | (brand == 3)].mean()

    in_a, in_b, nowhere = scores({"store": "a"}), scores({"store": "b"}), scores({})
    assert in_a[0] > 1.5 * in_b[0]
    assert in_b[1] > 1.5 * in_a[1]
    assert in_b[0] < nowhere[0] < in_a[0]
