"""Algorithm 1, the windows, and that nothing after a split reaches the features at it."""

from dataclasses import replace

import numpy as np
import pytest

from feature_repo.point_in_time import Log
from feature_repo.purchases import DAY
from tests.trainer.small_shop import RECIPE, SHOP, START, catalogue, profiles, store, table
from trainer.candidates import candidates
from trainer.examples import example_pairs
from trainer.inputs import read
from trainer.labels import customer_weights, item_weights, labelled, negatives
from trainer.windows import Pairs, Span, bought, plan, windows

pytestmark = pytest.mark.trainer


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    path = store(tmp_path_factory.mktemp("store"), table())
    return read(path, SHOP, catalogue(), profiles(), event_clock=True)


@pytest.fixture(scope="module")
def window(inputs):
    return windows(inputs, plan(START, inputs.until_at, 10, 1))[0]


def test_windows_lie_one_behind_the_other_and_end_at_the_end():
    spans = plan(0, 100 * DAY, 20, 3)
    assert spans == [Span(40 * DAY, 60 * DAY), Span(60 * DAY, 80 * DAY), Span(80 * DAY, 100 * DAY)]
    assert len(plan(0, 100 * DAY, 20, 99)) == 4


def test_short_data_makes_shorter_windows():
    (first, last) = plan(0, 9 * DAY, 20, 4)
    assert first.split_at == 3 * DAY
    assert last == Span(6 * DAY, 9 * DAY)
    assert len(plan(5, 5, 20, 4)) == 1


def test_positives_are_what_was_bought_in_the_span(inputs, window):
    events, span = inputs.log.events, window.span
    expected = {
        (inputs.log.customer_ids[c], int(i))
        for c, i, t in zip(events.customer, inputs.catalogue.rows(events.item), events.time, strict=True)
        if span.split_at < t <= span.until_at
    }
    found = bought(inputs.log, inputs.catalogue, span)
    pairs = {(inputs.log.customer_ids[c], int(i)) for c, i in zip(*found, strict=True)}
    assert pairs == expected
    assert window.known[window.positives.customer].all()


def test_algorithm_1_is_balanced_shuffled_and_without_a_bought_negative(inputs, window):
    rng = np.random.default_rng(1)
    pairs, label = labelled(window.positives, customer_weights(inputs.log, window), item_weights(window), rng)
    width = len(inputs.catalogue)
    keys, positive = pairs.keys(width), window.positives.keys(width)
    assert label.mean() == pytest.approx(0.5)
    assert set(keys[label > 0]) == set(positive)
    assert not np.isin(keys[label == 0], positive).any()
    assert len(np.unique(keys)) == len(keys)
    assert 0.3 < label[: len(label) // 2].mean() < 0.7


def test_the_same_seed_draws_the_same(inputs, window):
    weights = customer_weights(inputs.log, window), item_weights(window)
    first, again = (labelled(window.positives, *weights, np.random.default_rng(5))[0] for _ in range(2))
    assert np.array_equal(first.item, again.item)
    other = labelled(window.positives, *weights, np.random.default_rng(6))[0]
    assert not np.array_equal(first.item, other.item)


def test_negatives_follow_popularity_and_activity():
    nothing = Pairs(np.zeros(0, np.int64), np.zeros(0, np.int64))
    customers, items = np.ones(2000), np.array([8.0, 1.0, 1.0, 0.0])
    drawn = negatives(nothing, 1500, customers, items, np.random.default_rng(0))
    counts = np.bincount(drawn.item, minlength=4)
    assert counts[3] == 0
    assert counts[0] > 2 * counts[1]
    active = np.zeros(50)
    active[7] = 1.0
    assert set(negatives(nothing, 3, active, np.ones(10), np.random.default_rng(0)).customer) == {7}


def test_a_full_shop_gives_fewer_negatives_and_an_empty_one_none():
    pairs = Pairs(np.array([0, 0]), np.array([0, 1]))
    drawn = negatives(pairs, 10, np.ones(1), np.ones(3), np.random.default_rng(0))
    assert list(zip(*drawn, strict=True)) == [(0, 2)]
    with pytest.raises(ValueError, match="nothing to draw"):
        negatives(pairs, 10, np.zeros(1), np.ones(3), np.random.default_rng(0))


def test_no_event_after_the_split_reaches_the_features(inputs, window):
    """The same features come out of a log that ends at the split."""
    events = inputs.log.events
    past = replace(inputs, log=Log(inputs.log.customer_ids, events.take(events.time <= window.span.split_at)))
    alone = windows(past, [window.span])[0]
    assert len(alone.positives.customer) == 0
    for mine, theirs in ((window.customers, alone.customers), (window.items, alone.items)):
        for name in mine:
            np.testing.assert_array_equal(mine[name], theirs[name], err_msg=name)
    np.testing.assert_array_equal(window.histories.lines, alone.histories.lines)
    np.testing.assert_array_equal(customer_weights(inputs.log, window), customer_weights(past.log, alone))


def test_an_event_that_arrived_after_the_split_is_not_known_at_it(inputs, window):
    events = inputs.log.events
    late = events.time <= window.span.split_at
    late &= np.arange(len(late)) % 2 == 0
    arrival = np.where(late, inputs.until_at, events.arrival)
    delayed = replace(inputs, log=Log(inputs.log.customer_ids, replace(events, arrival=arrival)))
    before = len(window.histories.lines)
    assert len(windows(delayed, [window.span])[0].histories.lines) == before - late.sum()


def test_examples_are_candidates_and_drawn_negatives(inputs, window):
    who = np.unique(window.positives.customer)
    pairs, label = example_pairs(inputs, window, who, None, RECIPE, 3)
    width = len(inputs.catalogue)
    shown = candidates(window, inputs.catalogue.keys, who, None).keys(width)
    keys = pairs.keys(width)
    assert (np.diff(keys) > 0).all()
    assert set(keys[label > 0]) == set(np.intersect1d(shown, window.positives.keys(width)))
    assert not np.isin(keys[label == 0], window.positives.keys(width)).any()


def test_an_empty_store_says_so(tmp_path):
    with pytest.raises(ValueError, match="no interaction"):
        read(tmp_path, SHOP, catalogue(), {})


def test_arrivals_and_clocks(tmp_path):
    live = table(days=4, seed=2, start=START + 60 * DAY)
    arrival = live["time"].to_numpy() + 1000 * DAY
    live = live.set_column(live.schema.get_field_index("arrival"), "arrival", [arrival])
    live = live.set_column(live.schema.get_field_index("partition"), "partition", [np.zeros(live.num_rows, np.int32)])
    path = store(tmp_path, table())
    from streams import offline

    offline.write_range(path, live, 0, 0, live.num_rows)
    by_event = read(path, SHOP, catalogue(), {}, event_clock=True)
    assert (by_event.log.events.arrival == by_event.log.events.time).all()
    assert by_event.until_at == live["time"].to_numpy().max()
    middle = int(np.sort(arrival)[100])
    by_wall = read(path, SHOP, catalogue(), {}, arrived_until=middle)
    assert len(by_wall.log.events) == table().num_rows + 101
    assert by_wall.until_at == middle
