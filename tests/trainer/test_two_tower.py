"""The two-tower can be made for shops of any size."""

import pytest

from feature_repo.columns import columns
from tests.trainer.small_shop import RECIPE, SHOP
from trainer.model_schema import capacities
from trainer.two_tower import TwoTower
from trainer.vocabulary import Vocabularies
from trainer.workflow import Moments, encoder_spec

pytestmark = pytest.mark.trainer


@pytest.mark.parametrize("items", [5_440, 6_016])
def test_it_is_made_where_equal_shares_of_items_do_not_add_up_to_one(items):
    """In float32 they don't: the sum of 5,440 shares of 1 / 5,440 is off by more than Merlin lets pass."""
    found = columns(SHOP)
    vocabularies = {c.vocabulary: ("v",) for c in found if c.kind == "categorical"}
    moments = Moments({c.name: 0.0 for c in found}, {c.name: 1.0 for c in found})
    spec = encoder_spec(found, Vocabularies(vocabularies), moments)
    tower = TwoTower(spec, capacities(spec) | {"item_id": items}, RECIPE)
    assert tower.query_function.input_signature[0].shape[0] is None
