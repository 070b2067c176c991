"""The owned vocabularies, the frozen moments, and the encoder against NVTabular itself."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from feature_repo.columns import GROUPS, Column
from feature_repo.encoder import FIRST_CODE, NULL, OUT_OF_VOCABULARY, Encoder
from trainer.vocabulary import Vocabularies, added, count
from trainer.workflow import CLIP, GroupWorkflow, Moments, Workflow, encoder_spec, fit_moments

pytestmark = pytest.mark.trainer

COLUMNS = (
    Column("customer_id", "customer", "categorical", "customer_id"),
    Column("most_purchased_brand", "customer", "categorical", "brand"),
    Column("monetary", "customer", "continuous", log=True),
    Column("item_id", "item", "categorical", "item_id"),
    Column("brand", "item", "categorical", "brand"),
    Column("price", "item", "continuous", log=True),
    Column("momentum", "item", "continuous"),
    Column("pair_share", "pair", "continuous"),
    Column("request_store", "request", "categorical", "request_store"),
    Column("request_hour_sine", "request", "continuous"),
)
BRANDS = ["acme", "brot & butter", "çay", "日本", "", "only known later"]


def of(group):
    return [c for c in COLUMNS if c.group == group]


def values(rng, group, n):
    out = {}
    for column in of(group):
        if column.vocabulary == "brand":
            out[column.name] = rng.choice(np.array(BRANDS, object), n)
        elif column.kind == "categorical":
            out[column.name] = np.array([f"{column.name}{i}" for i in rng.integers(0, 40, n)], object)
        else:
            out[column.name] = rng.gamma(2.0, 50.0, n)
    return out


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def vocabularies(rng):
    counts = added(*(count(of(group), values(rng, group, 300), None) for group in ("customer", "item", "request")))
    counts["brand"].pop("only known later")
    return Vocabularies({}).extended(counts, {})


def moments(rng):
    fitted = [fit_moments(of(group), values(rng, group, 500)) for group in GROUPS]
    return Moments(
        {k: v for m in fitted for k, v in m.mean.items()}, {k: v for m in fitted for k, v in m.deviation.items()}
    )


@pytest.mark.parametrize("group", GROUPS)
def test_the_encoder_equals_nvtabular(group, rng, tmp_path: Path):
    workflow = Workflow(COLUMNS, vocabularies(rng), moments(rng), tmp_path / "vocabularies")
    rows = values(rng, group, 400)
    for column in of(group):
        if column.kind == "continuous":
            rows[column.name][7] = np.nan
    codes, numbers = workflow.transform(rows, group)
    encoded_codes, encoded_numbers = Encoder(workflow.spec).encode(rows, group)
    np.testing.assert_array_equal(codes, encoded_codes)
    np.testing.assert_allclose(numbers, encoded_numbers, atol=1e-5)
    if group == "customer":
        assert {NULL, OUT_OF_VOCABULARY} < set(codes[:, 1].tolist())


def test_a_column_without_any_value_is_all_null(rng, tmp_path: Path):
    workflow = Workflow(COLUMNS, vocabularies(rng), moments(rng), tmp_path / "vocabularies")
    rows = values(rng, "customer", 5)
    rows["most_purchased_brand"] = np.array([""] * 5, object)
    assert workflow.transform(rows, "customer").codes[:, 1].tolist() == [NULL] * 5


def test_moments_are_those_of_the_logarithm_and_stay(rng, tmp_path: Path):
    rows = values(rng, "customer", 1000)
    fitted = fit_moments(of("customer"), rows)
    logged = np.log1p(rows["monetary"])
    assert fitted.mean["monetary"] == pytest.approx(logged.mean(), rel=1e-4)
    assert fitted.deviation["monetary"] == pytest.approx(logged.std(), rel=1e-2)
    workflow = Workflow(COLUMNS, vocabularies(rng), moments(rng)._replace(mean=moments(rng).mean | fitted.mean),
                        tmp_path / "v")  # fmt: skip
    shifted = {k: v * 10 if k == "monetary" else v for k, v in rows.items()}
    assert workflow.transform(shifted, "customer").numbers.mean() > workflow.transform(rows, "customer").numbers.mean()


def both(columns, fitted, rows):
    """Numbers of the pair group by NVTabular and by the encoder."""
    encoder = Encoder(encoder_spec(columns, Vocabularies({}), fitted))
    return GroupWorkflow(columns, {}, fitted).transform(rows).numbers, encoder.encode(rows, "pair")[1]


def test_a_column_that_never_varied_says_nothing_ever():
    constant = [Column("x", "pair", "continuous"), Column("y", "pair", "continuous", log=True)]
    fitted = fit_moments(constant, {"x": np.full(10, 4.0), "y": np.zeros(10)})
    assert fitted == Moments({"x": 4.0, "y": 0.0}, {"x": 0.0, "y": 0.0})
    rows = {"x": np.array([4.0, 1e6, np.nan]), "y": np.array([0.0, 300.0, np.nan])}
    for numbers in both(constant, fitted, rows):
        assert numbers.tolist() == [[0.0, 0.0]] * 3


def test_what_was_rare_in_training_does_not_drown_the_rest():
    rare = [Column("x", "pair", "continuous", log=True)]
    fitted = fit_moments(rare, {"x": np.append(np.zeros(9999), 1.0)})
    by_nvtabular, by_encoder = both(rare, fitted, {"x": np.array([0.0, 1000.0])})
    assert abs(by_nvtabular[0, 0]) < 0.1
    assert by_nvtabular[1, 0] == CLIP
    np.testing.assert_allclose(by_encoder, by_nvtabular, atol=1e-5)


def test_codes_never_move_when_a_vocabulary_grows(rng, tmp_path: Path):
    before = vocabularies(rng)
    counts = {"brand": {"only known later": 1000.0, "acme": 1.0, "rare": 1.0}, "item_id": {"brand new": 3.0}}
    after = before.extended(counts, {"brand": 5.0})
    assert after.version == before.version + 1
    assert after.extended({}, {}).version == after.version
    for name, known in before.values.items():
        assert after.values[name][: len(known)] == known
    assert after.values["brand"][len(before.values["brand"]) :] == ("only known later",)
    rows = values(rng, "item", 200)
    old = Workflow(COLUMNS, before, moments(rng), tmp_path / "old").transform(rows, "item").codes
    new = Workflow(COLUMNS, after, moments(rng), tmp_path / "new").transform(rows, "item").codes
    was_known = old != OUT_OF_VOCABULARY
    np.testing.assert_array_equal(new[was_known], old[was_known])
    later = rows["brand"] == "only known later"
    assert (old[later, 1] == OUT_OF_VOCABULARY).all()
    assert (new[later, 1] == FIRST_CODE + len(before.values["brand"])).all()


def test_files_carry_their_codes_as_a_range_index(rng, tmp_path: Path):
    paths = vocabularies(rng).write(tmp_path / "v", COLUMNS)
    assert set(paths) == {"customer_id", "most_purchased_brand", "item_id", "brand", "request_store"}
    stored = pd.read_parquet(paths["brand"])
    assert list(stored.columns) == ["brand"]
    assert stored.index.equals(pd.RangeIndex(FIRST_CODE, FIRST_CODE + len(stored)))
