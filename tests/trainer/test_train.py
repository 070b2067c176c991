"""Full and incremental training, checkpoints and bundles, with the real Merlin, NVTabular, tf2onnx and FAISS."""

import json
import math
from itertools import count

import msgspec
import numpy as np
import onnx
import onnxruntime
import pytest

from feature_repo.encoder import OUT_OF_VOCABULARY, Encoder
from feature_repo.purchases import DAY
from feature_repo.request_context import request_columns
from serving.bundle import open_bundle, versions
from streams.contracts.operations import Erasure
from streams.erasure import erasures
from streams.erasure.erasures import customer_hash
from tests.trainer.small_shop import BRANDS, CUSTOMERS, ITEMS, RECIPE, SHOP, START, catalogue, profiles, store, table
from trainer import checkpoint, gate, held_out, publish
from trainer.checkpoint import CheckpointError
from trainer.examples import encoded
from trainer.growth import tables
from trainer.inputs import read
from trainer.request_contexts import speaks
from trainer.train import full, incremental, parent_figures
from trainer.windows import Span, windows
from trainer.workflow import Encoded

pytestmark = [pytest.mark.trainer, pytest.mark.timeout(600)]

LATER = START + 60 * DAY


def variables(trained):
    parts = (trained.tower, trained.ranker)
    return [v.numpy() for p in parts for v in (*p.model.variables, *p.optimizer.variables())]


def scores(bundle, rows):
    session = onnxruntime.InferenceSession(str(bundle.file("ranker.onnx")))
    return session.run(["score"], {"categorical": rows.codes, "continuous": rows.numbers})[0]


ERASED = "c7"
"""Leaves before the incremental training."""


class World:
    """A full training, its bundle, then an incremental one on four more days with newcomers, and its bundle."""

    def __init__(self, path):
        self.state = path / "state"
        numbers = count()
        self.place = lambda: path / f"vocabularies-{next(numbers)}"
        first, news = table(), table(days=4, seed=9, first_event=10_000, start=LATER, newcomers=3)
        self.inputs = read(store(path / "one", first), SHOP, catalogue(), profiles(), event_clock=True)
        self.phases = {}
        self.run = full(self.inputs, RECIPE, self.place, phase=self.phases.__setitem__)
        self.bundle = publish.bundle(self.run, self.inputs, self.state)
        self.before = variables(self.run.trained)
        self.spec = self.run.trained.workflow.spec
        self.steps = int(self.run.trained.ranker.optimizer.iterations.numpy())
        self.old = checkpoint.load(self.state / "checkpoints", 1, self.run.trained.state.columns, self.place())
        self.loaded = variables(self.old)
        self.old_trees = self.old.trees.text
        more = store(path / "two", first, news)
        leaves_at = news["time"][-1].as_py() // 1000 + 1
        gone = Erasure(customer=customer_hash(ERASED), erased_at=leaves_at, partition=0, offset=9)
        erasures.write(more, [gone])
        self.more = read(more, SHOP, catalogue(), profiles(), event_clock=True)
        self.next_run = incremental(self.more, self.old, self.place)
        self.next_bundle = publish.bundle(self.next_run, self.more, self.state, trigger="t1")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return World(tmp_path_factory.mktemp("world"))


def test_the_bundle_is_whole_and_says_where_it_comes_from(world):
    manifest = open_bundle(world.bundle.path).manifest
    assert (manifest.version, manifest.parent, manifest.shop) == (1, None, "small")
    assert manifest.data_window.until_at == world.inputs.until_at
    assert manifest.faiss.kind == "flat"
    assert manifest.faiss.recall_at_100 == pytest.approx(1.0)
    assert [c.name for c in manifest.columns] == [c.name for c in world.run.trained.state.columns]
    assert set(gate.REQUIRED) <= set(manifest.metrics)
    assert manifest.metrics["ranker_difference"] <= 1e-4
    assert manifest.metrics["encoder_difference"] <= 1e-4
    assert {"features", "encode", "two_tower", "candidates", "ranker", "trees"} <= set(world.phases)


def test_the_models_have_learned_the_shops_taste(world):
    assert world.run.trained.state.figures["auc"] > 0.7
    present = world.run.present
    tower, workflow = world.run.trained.tower, world.run.trained.workflow
    queries = tower.customers(workflow.transform(present.customers, "customer"))
    sold = np.array([int(i[1:]) < 8 * BRANDS for i in world.inputs.catalogue.item_ids])
    scores = (queries @ tower.items(workflow.transform(present.items, "item")).T)[:, sold]
    brand = np.array([int(c[1:]) % BRANDS for c in world.inputs.log.customer_ids])
    own = brand[:, None] == np.array([int(i[1:]) % BRANDS for i in world.inputs.catalogue.item_ids])[sold]
    inside = (scores * own).sum(1) / own.sum(1)
    outside = (scores * ~own).sum(1) / (~own).sum(1)
    assert (inside > outside).mean() > 0.8


def test_the_bundles_encoder_and_graphs_reproduce_the_models(world):
    encoder = Encoder.read(world.bundle.file("encoder.json"))
    present = world.run.present
    rows = Encoded(*encoder.encode(present.customers, "customer"))
    session = onnxruntime.InferenceSession(str(world.bundle.file("query_tower.onnx")))
    found = session.run(["embedding"], {"categorical": rows.codes, "continuous": rows.numbers})[0]
    workflow, tower = world.next_run.trained.workflow, world.run.trained.tower
    assert found.shape == (CUSTOMERS, RECIPE.tower_dimension)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1.0, atol=1e-4)
    expected = tower.customers(world.run.trained.workflow.transform(present.customers, "customer"))
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert workflow is not world.run.trained.workflow
    embeddings = world.bundle.item_embeddings()
    assert embeddings.shape == (ITEMS, RECIPE.tower_dimension)
    assert world.bundle.items() == catalogue().item_ids


def test_a_request_is_to_the_ranker_what_its_like_was_in_training(world):
    """One by one through the bundle's encoder, as serving does it, and all together through NVTabular."""
    encoder = Encoder.read(world.next_bundle.file("encoder.json"))
    span = Span(world.more.until_at - 20 * DAY, world.more.until_at)
    [window] = windows(world.more, [span])
    learned = encoded(world.next_run.trained.workflow, window).requests
    assert len(np.unique(learned.codes)) > 3
    events, names = world.more.log.events, world.more.log.customer_ids
    for place, speaking in enumerate(speaks(names, span.split_at).tolist()):
        own = np.flatnonzero((events.customer == place) & (events.time > span.split_at))
        context, at = {}, 0
        if speaking and len(own):
            first = own[events.time[own].argmin()]
            [context], at = world.more.contexts.of(events.event[[first]]), events.time[first]
        codes, numbers = encoder.encode(request_columns(SHOP, [context], np.array([at])), "request")
        np.testing.assert_array_equal(codes[0], learned.codes[place])
        np.testing.assert_allclose(numbers[0], learned.numbers[place], atol=1e-6)


def test_a_checkpoint_restores_weights_and_optimizer_exactly(world):
    assert len(world.before) == len(world.loaded)
    for mine, theirs in zip(world.before, world.loaded, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert world.steps > 0
    assert world.old_trees == world.run.trained.trees.text


def test_trees_stand_on_the_ranker_in_the_bundle_and_an_incremental_run_keeps_them(world):
    assert world.next_run.trained.trees.text == world.old_trees
    assert world.run.trained.trees.rounds == RECIPE.trees
    for bundle in (world.bundle, world.next_bundle):
        graph = onnx.load(str(bundle.file("ranker.onnx"))).graph
        assert [node.op_type for node in graph.node].count("TreeEnsembleRegressor") == 1


def test_a_shop_with_little_to_learn_from_gets_no_trees(world, tmp_path):
    recipe = msgspec.structs.replace(RECIPE, least_stacked=10**6, ranker_epochs=1, tower_epochs=1)
    run = full(world.inputs, recipe, world.place)
    assert run.trained.trees is None
    bundle = publish.bundle(run, world.inputs, tmp_path)
    graph = onnx.load(str(bundle.file("ranker.onnx"))).graph
    assert all(node.op_type != "TreeEnsembleRegressor" for node in graph.node)
    assert checkpoint.load(tmp_path / "checkpoints", 1, run.trained.state.columns, world.place()).trees is None


def test_an_incremental_run_goes_on_from_there(world):
    trained = world.next_run.trained
    assert (trained.parent, trained.version) == (1, 2)
    assert int(trained.ranker.optimizer.iterations.numpy()) > world.steps
    manifest = world.next_bundle.manifest
    assert (manifest.version, manifest.parent, manifest.trigger) == (2, 1, "t1")
    assert manifest.data_window.until_at == world.more.until_at > world.inputs.until_at
    assert versions(world.state / "bundles") == [1, 2]
    assert parent_figures(trained.state).keys() >= {"auc", "ndcg_at_10"}
    assert parent_figures(world.run.trained.state) is None


def test_new_ids_get_codes_and_rows_and_old_ones_keep_theirs(world):
    now = world.next_run.trained.workflow.spec
    for name, values in world.spec.vocabularies.items():
        places = zip(now.vocabularies[name], values, strict=False)
        assert all(new == old or (name, old) == ("customer_id", ERASED) for new, old in places)
    newcomers = {f"c{CUSTOMERS + i}" for i in range(3)}
    assert newcomers <= set(now.vocabularies["customer_id"])
    assert not newcomers & set(world.spec.vocabularies["customer_id"])
    assert set(world.spec.vocabularies["request_store"]) == {"s0", "s1", "s2"}
    assert set(now.vocabularies["request_store"][3:]) == {"s3", "s4", "s5"}
    for vocabulary, variable in tables(world.next_run.trained.tower):
        assert variable.shape[0] >= now.cardinality(vocabulary)
    assert {f"i{ITEMS + i}" for i in range(3)} <= set(world.next_bundle.items())


def test_an_erased_customer_is_neither_learned_from_nor_known_by_name(world):
    assert ERASED in world.inputs.log.customer_ids
    assert ERASED not in world.more.log.customer_ids
    assert ERASED in world.spec.vocabularies["customer_id"]
    assert ERASED not in world.next_run.trained.workflow.spec.vocabularies["customer_id"]
    assert f'"{ERASED}"'.encode() not in world.next_bundle.file("encoder.json").read_bytes()


def test_the_newest_common_version_is_continued(world, tmp_path):
    assert checkpoint.newest(world.state / "checkpoints", world.state / "bundles") == 2
    assert checkpoint.newest(tmp_path, tmp_path) is None
    with pytest.raises(CheckpointError, match="other columns"):
        checkpoint.load(world.state / "checkpoints", 2, world.run.trained.state.columns[1:], tmp_path / "v")
    with pytest.raises(CheckpointError, match="train in full"):
        checkpoint.load(tmp_path, 7, world.run.trained.state.columns, tmp_path / "v")


def test_a_rejected_model_leaves_nothing_behind(world, monkeypatch):
    monkeypatch.setattr(gate, "WORST_AUC", 1.1)
    monkeypatch.setattr(gate, "ENOUGH", 0)
    with pytest.raises(publish.RejectedError, match="auc"):
        publish.bundle(world.next_run, world.more, world.state)
    assert versions(world.state / "bundles") == [1, 2]
    assert not list((world.state / "bundles").glob(".staging-*"))
    assert publish.next_version(world.state / "bundles") == 3


def test_no_held_out_customer_is_learned_from(world):
    apart = held_out.is_held_out(world.inputs.log.customer_ids, RECIPE.held_out)
    assert 0 < apart.sum() < len(apart) / 2
    again = held_out.is_held_out(world.inputs.log.customer_ids[::-1], RECIPE.held_out)[::-1]
    np.testing.assert_array_equal(apart, again)


def test_the_checkpoint_is_plain_data(world):
    state = json.loads((world.state / "checkpoints" / "v000002" / "state.json").read_bytes())
    assert math.isfinite(state["figures"]["auc"])
    assert not list((world.state / "checkpoints").rglob("*.pkl"))
    assert OUT_OF_VOCABULARY == 2
