"""Searching the catalogue, against looking at every item."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from feature_repo.catalogue import CatalogueItem
from feature_repo.shop import Shop
from serving.gateway import item_search
from serving.gateway.item_search import ItemSearch, Search
from serving.items_table import ItemsTable

SHOP = Shop(name="t", item_attributes=("kind", "brand"), category="kind", preference_attributes=("kind",))

words = st.sampled_from(["Rye", "rye bread", "BREAD", "tea", "Straße", "", "Red tea\n", "ß"])
items = st.builds(
    lambda number, name, available, kind, brand: CatalogueItem(
        f"i{number}", name, available, attributes={"kind": kind, "brand": brand}
    ),
    st.integers(0, 30),
    words,
    st.booleans(),
    words,
    st.sampled_from(["Own", "own label", ""]),
)
searches = st.builds(
    Search,
    st.sampled_from(["", "rye", "read", "tea RED", "own", "i3", "strasse", "no such", "  e "]),
    st.none() | words,
    st.none() | st.booleans(),
)


def by_looking(known: dict[str, CatalogueItem], wanted: Search) -> list[str]:
    def fits(item: CatalogueItem) -> bool:
        texts = [item.name, *item.attributes.values()]
        said = all(any(word in text.casefold() for text in texts) for word in wanted.words.casefold().split())
        return (
            (said or item.item_id == wanted.words.strip())
            and wanted.category in (None, item.attributes["kind"])
            and wanted.available in (None, item.available)
        )

    return sorted(name for name, item in known.items() if fits(item))


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(items, searches), max_size=40), st.integers(1, 7), st.sampled_from([1, 2, 2048]))
def test_what_is_found_is_what_one_finds_by_looking(
    steps: list[tuple[CatalogueItem, Search]], page: int, block: int
) -> None:
    """Items come and change between searches; pages put together are the whole."""
    item_search.BLOCK, before = block, item_search.BLOCK
    try:
        table = ItemsTable(SHOP)
        search = ItemSearch(table)
        known: dict[str, CatalogueItem] = {}
        for item, wanted in steps:
            table.apply_catalogue({item.item_id: item})
            known[item.item_id] = item
            found: list[str] = []
            while ids := search.find(wanted, found[-1] if found else None, page):
                found += ids
            assert found == by_looking(known, wanted)
    finally:
        item_search.BLOCK = before
