"""Nearest vectors, by index and by an exact look, are the same ones."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.similar import vectors as module
from serving.similar.item_vectors import NONE, ItemVectors
from serving.similar.vectors import Floats, Vectors, recall
from streams.contracts import embeddings
from tests.serving.similar.world import embedding


def clustered(n: int, d: int = 24, seed: int = 0) -> Floats:
    """Unit vectors in lumps, as texts are."""
    rng = np.random.default_rng(seed)
    lumps = rng.normal(size=(max(n // 50, 2), d))
    found = lumps[rng.integers(0, len(lumps), n)] + 0.4 * rng.normal(size=(n, d))
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


def filled(n: int) -> tuple[Vectors, Floats]:
    held, some = Vectors(24), clustered(n)
    for start in range(0, n, 700):
        held.add(some[start : start + 700])
    return held, some


def test_few_are_looked_at_exactly() -> None:
    held, some = filled(900)
    found = held.nearest(some[3], 20)
    wanted = some @ some[3]
    np.testing.assert_allclose(found.cosines, np.sort(wanted)[::-1][:20], atol=1e-6)
    assert found.slots[0] == 3
    assert not held.stale


def test_an_index_finds_nearly_all_and_what_came_since() -> None:
    held, some = filled(9000)
    assert held.stale
    held.rebuild()
    assert not held.stale
    assert recall(held, some[::300]) > 0.95
    newcomer = clustered(1, seed=9)
    (slot,) = held.add(newcomer)
    assert held.nearest(newcomer[0], 1).slots.tolist() == [slot]
    held.add(clustered(2000, seed=4))
    assert held.stale


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.0, 1.0), st.integers(1, 60))
def test_only_what_is_allowed_is_found_and_all_of_it_when_it_is_little(seed: int, share: float, k: int) -> None:
    held = _indexed()
    allowed = np.random.default_rng(seed).random(len(held)) < share**4
    query = clustered(1, seed=seed)[0]
    found = held.nearest(query, k, allowed)
    assert allowed[found.slots].all()
    assert len(set(found.slots.tolist())) == len(found.slots)
    if allowed.sum() <= module.FEW:
        cosines = held[np.flatnonzero(allowed)] @ query
        np.testing.assert_allclose(found.cosines, np.sort(cosines)[::-1][:k], atol=1e-6)
    else:
        assert len(found.slots) == k


@cache
def _indexed() -> Vectors:
    held, _ = filled(5000)
    held.rebuild()
    held.add(clustered(300, seed=8))
    return held


def test_an_empty_choice_finds_nothing() -> None:
    held, some = filled(50)
    assert len(held.nearest(some[0], 5, np.zeros(50, bool)).slots) == 0
    assert len(Vectors(24).nearest(some[0], 5).slots) == 0


STEPS = st.lists(
    st.tuples(st.integers(0, 5), st.one_of(st.none(), st.tuples(st.sampled_from("ab"), st.sampled_from("uvwx")))),
    max_size=40,
)


@given(STEPS, st.integers(1, 7))
def test_items_know_their_vector_and_vectors_their_items(
    steps: list[tuple[int, tuple[str, str] | None]], batch: int
) -> None:
    held = ItemVectors()
    for start in range(0, len(steps), batch):
        changes = {
            row: None if told is None else embedding(told[1], told[0]) for row, told in steps[start : start + batch]
        }
        held.apply(changes)
    last = {row: told for row, told in dict(steps).items() if told is not None}
    assert len(held) == len(last)
    rows = np.arange(6)
    for row in range(6):
        place = held.place(row)
        if row not in last:
            assert place is None
            assert all(held.slots(encoder, rows)[row] == NONE for encoder in held.of)
            continue
        assert place is not None
        encoder, slot = place
        assert encoder == last[row][0]
        np.testing.assert_allclose(held.of[encoder][np.array([slot])][0], embedding(last[row][1], encoder).vector)
        assert sorted(held.rows(encoder, slot)) == [other for other in sorted(last) if last[other] == last[row]]
        assert held.slots(encoder, rows)[row] == slot


def test_a_vector_comes_back_as_it_was_sent() -> None:
    told = embedding("bread")
    found = embeddings.decode(embeddings.encode(told))
    assert (found.encoder, found.text) == (told.encoder, told.text)
    np.testing.assert_allclose(found.vector, told.vector, atol=1e-3)


CUT_OFF = embeddings.encode(embedding("a"))[:-3]
NOT_FINITE = embeddings.encode(embedding("a")._replace(vector=np.full(8, np.nan, np.float32)))


@pytest.mark.parametrize("value", [b"", b"{}", b"\x93\xa1e\xc4\x01x\xc4\x02ab", CUT_OFF, NOT_FINITE])
def test_what_is_no_vector_is_refused(value: bytes) -> None:
    with pytest.raises(ValueError, match="no embedding"):
        embeddings.decode(value)
