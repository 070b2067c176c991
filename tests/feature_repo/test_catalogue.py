"""Rows, keys and attributes of the catalogue."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import feature_repo.catalogue as module
from feature_repo.catalogue import Catalogue, CatalogueItem
from feature_repo.keys import item_keys
from feature_repo.row_lookup import rows_of

IDS = st.lists(st.text(min_size=1, max_size=8), max_size=300, unique=True)


@given(IDS, IDS)
def test_known_keys_have_their_row_and_unknown_ones_none(known, asked):
    catalogue = Catalogue(())
    for half in (known[: len(known) // 2], known):  # rows are looked up between two insertions
        rows = catalogue.ensure(half)
        assert rows.tolist() == list(range(len(half)))
        found = catalogue.rows(item_keys(asked))
        assert found.tolist() == [half.index(i) if i in half else -1 for i in asked]
        assert rows_of(catalogue, item_keys(asked)).tolist() == found.tolist()


def test_keys_of_one_slot_are_told_apart():
    catalogue = Catalogue(())
    catalogue._sorted = module.Index.of(np.array([3, 67, 131, 9], dtype=np.uint64))
    catalogue._size = 4
    asked = np.array([131, 3, 195, 9, 67, 0], dtype=np.uint64)
    assert len(catalogue.index().slots) <= 64
    assert catalogue.rows(asked).tolist() == rows_of(catalogue, asked).tolist() == [2, 0, -1, 3, 1, -1]


def test_an_upsert_replaces_and_a_withdrawal_keeps_the_row():
    catalogue = Catalogue(("colour",))
    catalogue.upsert([CatalogueItem("a", "A", attributes={"colour": "red"}), CatalogueItem("b", price=100)])
    catalogue.upsert([CatalogueItem("a", "AA", attributes={"colour": "blue"})])
    catalogue.withdraw("b")
    assert catalogue.names == ["AA", ""]
    assert catalogue.attribute_values("colour").tolist() == ["blue", ""]
    assert catalogue.available.tolist() == [True, False]
    assert catalogue.price.tolist() == [-1, 100]


def test_ranks_are_alphabetical_whatever_the_order_of_arrival():
    catalogue = Catalogue(("colour",))
    catalogue.upsert(CatalogueItem(c, attributes={"colour": c}) for c in ("red", "blue", "green"))
    codes = catalogue.codes["colour"]
    assert [codes.values[i] for i in np.argsort(codes.ranks())] == ["", "blue", "green", "red"]


def test_two_ids_of_one_key_are_refused(monkeypatch):
    monkeypatch.setattr(module, "item_key", lambda _: 7)
    catalogue = Catalogue(())
    with pytest.raises(ValueError, match="same 64-bit key"):
        catalogue.upsert([CatalogueItem("a"), CatalogueItem("b")])
