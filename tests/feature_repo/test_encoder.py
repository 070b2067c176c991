"""The serving-side encoder by itself; that it equals NVTabular is tested in tests/trainer."""

import msgspec
import numpy as np
import pytest

from feature_repo.encoder import (
    FIRST_CODE,
    NULL,
    OUT_OF_VOCABULARY,
    CategoricalInput,
    ContinuousInput,
    Encoder,
    EncoderSpec,
)

SPEC = EncoderSpec(
    categorical=(
        CategoricalInput("customer_id", "customer", "customer_id"),
        CategoricalInput("last_brand", "customer", "brand"),
        CategoricalInput("brand", "item", "brand"),
    ),
    continuous=(
        ContinuousInput("monetary", "customer", log=True, mean=2.0, deviation=4.0),
        ContinuousInput("share", "pair", mean=0.5, deviation=0.25, fill=1.0),
        ContinuousInput("lines", "pair", log=True),
    ),
    vocabularies={"customer_id": ("a", "b"), "brand": ("x", "ü")},
)


def strings(*values):
    return np.array(values, object)


def test_categories_become_codes():
    codes, _ = Encoder(SPEC).encode(
        {
            "customer_id": strings("b", "nobody", "a"),
            "last_brand": strings("", "ü", "x"),
            "monetary": np.zeros(3),
        },
        "customer",
    )
    assert codes.dtype == np.int32
    assert codes.tolist() == [[FIRST_CODE + 1, NULL], [OUT_OF_VOCABULARY, FIRST_CODE + 1], [FIRST_CODE, FIRST_CODE]]


def test_numbers_are_filled_logged_and_normalised():
    codes, numbers = Encoder(SPEC).encode({"share": np.array([0.5, np.nan]), "lines": np.array([0, 7])}, "pair")
    assert codes.shape == (2, 0)
    assert numbers.dtype == np.float32
    np.testing.assert_allclose(numbers, [[0.0, 0.0], [2.0, np.log(8.0)]], rtol=1e-6)


def test_groups_stand_side_by_side_in_the_order_of_the_spec():
    encoder = Encoder(SPEC)
    customer = {"customer_id": strings("a"), "last_brand": strings("x"), "monetary": np.array([np.e**2 - 1])}
    item, pair = {"brand": strings("ü")}, {"share": np.array([1.0]), "lines": np.array([0.0])}
    codes, numbers = encoder.encode_all({"pair": pair, "item": item, "customer": customer})
    assert codes.tolist() == [[FIRST_CODE, FIRST_CODE, FIRST_CODE + 1]]
    np.testing.assert_allclose(numbers, [[0.0, 2.0, 0.0]], atol=1e-6)
    assert encoder.names("customer") == (("customer_id", "last_brand"), ("monetary",))


def test_no_rows_is_no_error():
    codes, numbers = Encoder(SPEC).encode({"share": np.zeros(0), "lines": np.zeros(0)}, "pair")
    assert codes.shape == (0, 0)
    assert numbers.shape == (0, 2)


@pytest.mark.parametrize(
    ("columns", "error", "says"),
    [
        ({"share": np.zeros(2)}, KeyError, "lines"),
        ({"share": np.zeros(2), "lines": np.zeros(3)}, ValueError, "different lengths"),
        ({"share": np.array([0.0, np.inf]), "lines": np.zeros(2)}, ValueError, "infinite value in pair column share"),
    ],
)
def test_wrong_columns_are_named(columns, error, says):
    with pytest.raises(error, match=says):
        Encoder(SPEC).encode(columns, "pair")


def test_a_column_that_never_varied_stays_zero():
    spec = msgspec.structs.replace(SPEC, continuous=(ContinuousInput("lines", "pair", mean=3.0, deviation=0.0),))
    _, numbers = Encoder(spec).encode({"lines": np.array([3.0, 1e9, np.nan])}, "pair")
    assert numbers.tolist() == [[0.0]] * 3


def test_numbers_are_held_within_the_clip():
    rare = ContinuousInput("lines", "pair", mean=0.0, deviation=0.001)
    _, numbers = Encoder(msgspec.structs.replace(SPEC, continuous=(rare,), clip=8.0)).encode(
        {"lines": np.array([0.001, 5.0, -5.0])}, "pair"
    )
    np.testing.assert_allclose(numbers, [[1.0], [8.0], [-8.0]])


def test_it_survives_json(tmp_path):
    path = tmp_path / "encoder.json"
    path.write_bytes(SPEC.to_json())
    assert Encoder.read(path).spec == SPEC
    assert SPEC.cardinality("brand") == FIRST_CODE + 2


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"categorical": (CategoricalInput("brand", "item", "colour"),)}, "colour"),
        ({"continuous": (ContinuousInput("lines", "basket"),)}, "basket"),
        ({"continuous": (ContinuousInput("lines", "pair", deviation=-1.0),)}, "deviation"),
        ({"clip": 0.0}, "clip"),
    ],
)
def test_a_wrong_spec_is_refused(change, says):
    with pytest.raises(ValueError, match=says):
        Encoder(msgspec.structs.replace(SPEC, **change))


def test_another_schema_is_refused():
    newer = msgspec.structs.replace(SPEC, schema=99)
    with pytest.raises(ValueError, match="schema 99"):
        EncoderSpec.from_json(newer.to_json())
