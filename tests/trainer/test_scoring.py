"""Protocol B: Algorithm 1's rows, which side of the parting they are on, and the table of all models."""

import json
from dataclasses import replace
from itertools import count

import numpy as np
import pytest
from click.testing import CliRunner

from feature_repo.point_in_time import Log
from feature_repo.purchases import DAY
from streams.sources.synthetic import Options, Synthetic
from tests.trainer.small_shop import SHOP, catalogue, profiles, store, table
from trainer.cli import main
from trainer.inputs import read
from trainer.scoring import directory
from trainer.scoring.benchmark import MODELS, benchmark, judged
from trainer.scoring.dataset import IDENTITIES, Plan, algorithm_1, dataset
from trainer.scoring.plan import Effort
from trainer.scoring.tables import THESIS_GROUPS

pytestmark = [pytest.mark.trainer, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    return read(store(tmp_path_factory.mktemp("store"), table()), SHOP, catalogue(), profiles(), event_clock=True)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    directory, numbers = tmp_path_factory.mktemp("vocabularies"), count()
    return lambda: directory / str(next(numbers))


@pytest.fixture(scope="module")
def by_customers(inputs, place):
    return dataset(inputs, Plan(), place)


def rows_of(rows):
    return {row.tobytes() for row in np.concatenate([rows.codes.astype(np.float32), rows.numbers], axis=1)}


def test_half_of_the_pairs_were_bought_and_the_items_were_known(inputs, by_customers):
    look = by_customers.looks[-1]
    pairs, label = algorithm_1(inputs, look, by_customers.kept, np.random.default_rng(1))
    keys, bought = pairs.keys(len(inputs.catalogue)), look.positives.keys(len(inputs.catalogue))
    assert label.mean() == 0.5
    assert (np.diff(keys) > 0).all()
    assert np.isin(keys[label > 0], bought).all()
    assert not np.isin(keys[label == 0], bought).any()
    assert (look.items["item_purchases"][pairs.item] > 0).all()


def test_one_seed_draws_the_same_and_another_does_not(by_customers):
    first, again, other = by_customers.draw(3), by_customers.draw(3), by_customers.draw(4)
    assert np.array_equal(first.test.numbers, again.test.numbers)
    assert first.test.numbers.shape != other.test.numbers.shape or not np.array_equal(
        first.test.numbers, other.test.numbers
    )


def test_parted_by_customers_no_row_is_on_two_sides(by_customers):
    parts = by_customers.draw(1)
    sides = [rows_of(rows) for rows in parts]
    assert all(sides)
    assert not sides[0] & sides[1]
    assert not (sides[0] | sides[1]) & sides[2]


def test_parted_by_time_nothing_after_the_asked_split_is_learned_from(inputs, place):
    made = dataset(inputs, Plan(parting="time"), place)
    learned, asked = made.looks
    assert learned.span.until_at == asked.span.split_at
    events = inputs.log.events
    # Without the asked days the same rows are learned from.
    past = replace(
        inputs,
        log=Log(inputs.log.customer_ids, events.take(events.time <= asked.span.split_at)),
        until_at=asked.span.split_at,
    )
    alone, _ = algorithm_1(past, dataset(past, Plan(), place).looks[-1], made.kept, np.random.default_rng(2))
    whole, _ = algorithm_1(inputs, learned, made.kept, np.random.default_rng(2))
    assert np.array_equal(alone.keys(1000), whole.keys(1000))


def test_the_models_see_no_ids_and_the_thesis_no_pairs(by_customers, inputs, place):
    names = [column.name for column in by_customers.chosen]
    assert not set(names) & set(IDENTITIES)
    assert "pair_lines" in names
    parts = by_customers.draw(1)
    assert parts.train.codes.shape[1] + parts.train.numbers.shape[1] == len(names)
    thesis = dataset(inputs, Plan(groups=THESIS_GROUPS), place)
    assert {column.group for column in thesis.chosen} == {"customer", "item"}
    assert thesis.draw(1).train.numbers.shape[1] < parts.train.numbers.shape[1]


def test_figures_of_a_score():
    label = np.array([1, 1, 1, 0, 0, 0], np.float32)
    score = np.array([0.9, 0.6, 0.1, 0.7, 0.2, 0.3], np.float32)
    auc, precision, recall = judged(label, score)
    assert auc == pytest.approx(5 / 9)
    assert precision == pytest.approx(2 / 3)
    assert recall == pytest.approx(2 / 3)


def test_every_model_finds_the_planted_taste(by_customers):
    done = []
    found = benchmark(by_customers, Effort(seeds=(1,), trees=30, epochs=6), done.append)
    assert list(found["models"]) == list(MODELS)
    assert len(done) == len(MODELS)
    for name, figures in found["models"].items():
        assert figures["auc"]["mean"] > 0.6, name
        assert len(figures["auc"]["values"]) == 1
    assert found["models"]["DLRM"]["auc"]["mean"] > 0.75
    shares = list(found["importances"].values())
    assert sum(shares) == pytest.approx(1)
    assert shares == sorted(shares, reverse=True)
    json.dumps(found)


def test_a_directory_brings_back_what_the_source_holds(tmp_path):
    source = Synthetic(Options(events=3000, customers=50, items=80, days=60))
    directory.write(source, SHOP, tmp_path / "data")
    inputs = directory.read(tmp_path / "data", SHOP)
    assert len(inputs.log.events) == source.count()
    assert inputs.until_at == source.span()[1]
    assert len(inputs.catalogue) == len(list(source.items()))
    assert set(inputs.profiles) == {customer.customer_id for customer in source.customers()}
    split_at = inputs.until_at - 20 * DAY
    assert (inputs.log.events.time > split_at).any()


def test_a_directory_that_is_none_is_named(tmp_path):
    answer = CliRunner().invoke(main, ["scoring", "--data", str(tmp_path), "--output", str(tmp_path / "out.json")])
    assert answer.exit_code == 1
    assert "headwater evaluate --scoring" in answer.output
