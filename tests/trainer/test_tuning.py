"""Tuning is given no event after its instant, and tries what it was told to."""

import dataclasses
import json

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner

from feature_repo.purchases import DAY
from streams import offline
from streams.contracts.codec import encode
from streams.contracts.events import Item
from tests.trainer import small_shop
from trainer import cli, tuning
from trainer.recipe import Recipe
from trainer.scoring import directory

pytestmark = [pytest.mark.trainer, pytest.mark.timeout(600)]

UNTIL = small_shop.START + 60 * DAY


def written(path, *tables):
    """A directory as `headwater evaluate --scoring` writes it, with the events of the tables."""
    whole = pa.concat_tables(tables)
    offline.write_range(path / directory.OFFLINE, whole, offline.BACKFILL, 0, whole.num_rows)
    shop = small_shop.catalogue()
    values = {name: shop.attribute_values(name) for name in small_shop.SHOP.item_attributes}
    lines = [
        encode(Item(item_id=item, attributes={name: str(of[row]) for name, of in values.items()}))
        for row, item in enumerate(shop.item_ids)
    ]
    (path / directory.ITEMS).write_bytes(b"".join(line + b"\n" for line in lines))
    (path / directory.CUSTOMERS).write_bytes(b"")
    return path


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """The same history twice, once followed by three weeks that must not be seen, of other customers and items too."""
    root = tmp_path_factory.mktemp("tuning")
    history = small_shop.table()
    later = small_shop.table(days=21, seed=5, first_event=50_000, start=UNTIL + 1, newcomers=9)
    return written(root / "history", history), written(root / "longer", history, later)


def test_no_later_event_is_read_whatever_the_directory_holds(both):
    alone, longer = (tuning.known_at(path, small_shop.SHOP, UNTIL) for path in both)
    assert int(longer.log.events.time.max()) <= UNTIL
    assert longer.log.customer_ids == alone.log.customer_ids
    assert longer.catalogue.item_ids == alone.catalogue.item_ids
    for field in dataclasses.fields(alone.log.events):
        mine, theirs = getattr(alone.log.events, field.name), getattr(longer.log.events, field.name)
        np.testing.assert_array_equal(mine, theirs, err_msg=field.name)
    assert longer.until_at == alone.until_at <= UNTIL


def test_every_training_is_given_these_events_and_no_others(both, monkeypatch):
    given = []

    def full(inputs, recipe, place):
        given.append((int(inputs.log.events.time.max()), inputs.until_at, recipe))
        raise KeyboardInterrupt

    monkeypatch.setattr(tuning, "full", full)
    inputs = tuning.known_at(both[1], small_shop.SHOP, UNTIL)
    with pytest.raises(KeyboardInterrupt):
        tuning.compare(inputs, [{"tower_rate": 0.5}], [3], None)
    ((newest, until, recipe),) = given
    assert max(newest, until) <= UNTIL
    assert (recipe.tower_rate, recipe.seed, recipe.held_out) == (0.5, 3, tuning.HELD_OUT)


def test_a_grid_is_every_combination_and_the_recipe_as_it_is():
    found = list(tuning.grid({"trees": [str(Recipe().trees), "10"], "tower_rate": ["0.1", "0.2"]}))
    assert found == [
        {}, {"tower_rate": 0.1}, {"tower_rate": 0.2},
        {"trees": 10, "tower_rate": 0.1}, {"trees": 10, "tower_rate": 0.2},
    ]  # fmt: skip
    with pytest.raises(ValueError, match="a recipe has no 'leaves'"):
        list(tuning.grid({"leaves": ["3"]}))
    with pytest.raises(ValueError, match="trees=many"):
        list(tuning.grid({"trees": ["many"]}))


def test_recipes_are_trained_asked_and_told(both, monkeypatch, tmp_path):
    small = msgspec.structs.replace(small_shop.RECIPE, ranker_epochs=1, tower_epochs=1)
    monkeypatch.setattr(tuning, "Recipe", lambda: small)
    monkeypatch.setattr(tuning, "grid", lambda vary: [{}, {"trees": 10}])
    monkeypatch.setattr(cli, "load_shop", lambda name: small_shop.SHOP)
    at = np.datetime64(UNTIL, "us").astype("datetime64[s]").item().isoformat()
    arguments = ["tuning", "--data", str(both[1]), "--until", at, "--vary", "trees=10"]
    answer = CliRunner().invoke(cli.main, [*arguments, "--output", str(tmp_path / "found.json")])
    assert answer.exit_code == 0, answer.output
    best, other = json.loads((tmp_path / "found.json").read_text())
    assert {len(best["changes"]), len(other["changes"])} == {0, 1}
    for each in (best, other):
        assert 0 < each["figures"]["ndcg_at_10"][0] <= 1
        assert each["figures"].keys() == {*tuning.FIGURES, "seconds"}
    assert best["figures"]["ndcg_at_10"] >= other["figures"]["ndcg_at_10"]


def test_a_field_that_no_recipe_has_is_named(both):
    answer = CliRunner().invoke(cli.main, ["tuning", "--data", str(both[0]), "--until", "2017-01-01", "--vary", "x=1"])
    assert answer.exit_code == 1
    assert "a recipe has no 'x'" in answer.output
    assert Recipe().trees > 0
