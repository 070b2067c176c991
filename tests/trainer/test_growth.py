"""Tables that grow: new rows stand where "out of vocabulary" stands, old rows and moments stay."""

import numpy as np
import pytest

from feature_repo.columns import columns
from feature_repo.encoder import FIRST_CODE, OUT_OF_VOCABULARY
from tests.trainer.small_shop import RECIPE, SHOP
from trainer.growth import forget, tables, take_over, welcome
from trainer.model_schema import capacities
from trainer.ranker import ARCHITECTURES, Ranker
from trainer.vocabulary import Vocabularies
from trainer.workflow import Moments, encoder_spec

pytestmark = pytest.mark.trainer

COLUMNS = columns(SHOP)
MOMENTS = Moments({c.name: 0.0 for c in COLUMNS}, {c.name: 1.0 for c in COLUMNS})


def spec(values: int):
    vocabularies = {c.vocabulary: tuple(f"v{i}" for i in range(values)) for c in COLUMNS if c.kind == "categorical"}
    return encoder_spec(COLUMNS, Vocabularies(vocabularies), MOMENTS)


def test_capacities_stay_while_they_hold_all_codes_and_leave_room_when_not():
    small = capacities(spec(10))
    assert all(rows > 13 for rows in small.values())
    assert capacities(spec(12), small) == small
    large = capacities(spec(500), small)
    assert all(rows > 503 and rows > small[name] for name, rows in large.items())


def test_a_larger_model_takes_over_and_welcomes_the_new():
    before, now = spec(10), spec(500)
    small = Ranker(before, capacities(before), RECIPE)
    for variable in small.optimizer.variables()[1:]:
        variable.assign(np.full(variable.shape, 0.25, np.float32))
    small.optimizer.iterations.assign(42)
    large = Ranker(now, capacities(now, capacities(before)), RECIPE)
    take_over(large, small)
    rows = dict(tables(small))
    assert rows.keys() == {"customer_city", "brand", "kind", "request_store"}
    assert welcome(large, before, now) == len(rows) * 490
    for vocabulary, grown in tables(large):
        old = rows[vocabulary].numpy()
        np.testing.assert_array_equal(grown.numpy()[:13], old[:13])
        np.testing.assert_array_equal(grown.numpy()[13:503], np.tile(old[OUT_OF_VOCABULARY], (490, 1)))
    assert large.optimizer.iterations.numpy() == 42
    moment = large.optimizer.get_slot(next(tables(large))[1], "m").numpy()
    assert (moment[:13] == 0.25).all()
    with pytest.raises(ValueError, match="fit"):
        take_over(small, large)


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_every_architecture_scores(architecture):
    own = spec(10)
    ranker = Ranker(own, capacities(own), RECIPE, architecture)
    f = ranker.features
    codes = np.full((4, f.categorical_width), 3, np.int32)
    numbers = np.random.default_rng(0).normal(size=(4, f.continuous_width)).astype(np.float32)
    found = ranker.score(codes, numbers).numpy()
    assert found.shape == (4,)
    assert ((found > 0) & (found < 1)).all()


def test_codes_that_stand_for_nobody_any_more_are_like_strangers_and_the_others_stay():
    before = spec(10)
    ranker = Ranker(before, capacities(before), RECIPE)
    name, old = next((name, table.numpy()) for name, table in tables(ranker))
    forget(ranker, name, [4, 7])
    new = dict(tables(ranker))[name].numpy()
    np.testing.assert_array_equal(new[[4, 7]], old[[OUT_OF_VOCABULARY] * 2])
    others = np.setdiff1d(np.arange(len(old)), [4, 7])
    np.testing.assert_array_equal(new[others], old[others])


def test_a_vocabulary_forgets_values_and_moves_none():
    known = Vocabularies({"customer_id": ("a", "b", "c"), "kind": ("a",)}, version=3)
    left, codes = known.without("customer_id", {"b", "stranger"})
    assert codes == [FIRST_CODE + 1]
    assert (left.values["customer_id"][0], left.values["customer_id"][2]) == ("a", "c")
    assert not left.values["customer_id"][1].isprintable(), "nobody is called that"
    assert (left.values["kind"], left.version) == (("a",), 4)
    assert left.extended({"customer_id": {"b": 5.0, "c": 1.0}}, {}).values["customer_id"][2:] == ("c", "b")
    assert known.without("customer_id", {"x"}) == (known, [])
