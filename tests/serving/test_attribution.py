"""What moved a score, held against a model whose every input's part is known."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from feature_repo.encoder import FIRST_CODE, OUT_OF_VOCABULARY, CategoricalInput, ContinuousInput, Encoder, EncoderSpec
from serving.attribution import Effect, effects

SPEC = EncoderSpec(
    categorical=(CategoricalInput("item_id", "item", "item"), CategoricalInput("town", "customer", "town")),
    continuous=(
        ContinuousInput("price", "item", mean=2.0, deviation=0.5),
        ContinuousInput("lines", "pair", log=True, mean=0.25, deviation=2.0),
        ContinuousInput("never", "customer", deviation=0.0),
    ),
    vocabularies={"item": ("a", "b"), "town": ("rome", "oslo")},
)
ENCODER = Encoder(SPEC)
# Columns stand group after group: customer, item, pair.
CODE_WEIGHTS, NUMBER_WEIGHTS = np.array([0.5, -1.0], np.float32), np.array([9.0, 2.0, -3.0], np.float32)


def rank(codes: NDArray[np.int32], numbers: NDArray[np.float32]) -> NDArray[np.float32]:
    scores: NDArray[np.float32] = codes @ CODE_WEIGHTS + numbers @ NUMBER_WEIGHTS
    return scores


def explained(
    town: str, items: list[str], prices: list[float], lines: list[float], most: int = 9
) -> list[list[Effect]]:
    n = len(items)
    strings = {name: np.array(values, object) for name, values in (("town", [town] * n), ("item_id", items))}
    codes, numbers = ENCODER.encode_all(
        {
            "customer": {"town": strings["town"], "never": np.full(n, 7.0)},
            "item": {"item_id": strings["item_id"], "price": np.array(prices)},
            "pair": {"lines": np.array(lines)},
        }
    )
    return effects(ENCODER, codes, numbers, rank, most)


def test_each_input_adds_its_weight_times_its_distance_from_the_usual() -> None:
    [found] = explained("oslo", ["a"], [3.0], [4.0])
    by_name = {effect.name: effect for effect in found}
    assert by_name["town"] == Effect("customer", "town", "oslo", 0.5 * (FIRST_CODE + 1 - OUT_OF_VOCABULARY))
    assert by_name["item_id"] == Effect("item", "item_id", "a", -1.0 * (FIRST_CODE - OUT_OF_VOCABULARY))
    price = by_name["price"]
    assert (price.value, price.contribution) == (pytest.approx(3.0), pytest.approx(2.0 * (3.0 - 2.0) / 0.5))
    lines = by_name["lines"]
    assert lines.value == pytest.approx(4.0)
    assert lines.contribution == pytest.approx(-3.0 * (np.log1p(4.0) - 0.25) / 2.0, rel=1e-5)


def test_the_strongest_come_first_and_the_others_are_left_out() -> None:
    [found] = explained("oslo", ["a"], [3.0], [4.0], most=2)
    assert [effect.name for effect in found] == ["price", "lines"]


def test_what_is_as_usual_or_muted_has_no_part() -> None:
    found = explained("nowhere", ["zzz", "b"], [2.0, 1.0], [np.expm1(0.25), 0.0])
    assert [effect.name for effect in found[0] if abs(effect.contribution) > 1e-5] == []
    assert {effect.name for effect in found[1]} == {"item_id", "price", "lines"}
    assert [effect.value for effect in found[1] if effect.name == "item_id"] == ["b"]
