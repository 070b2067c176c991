"""Search and browse: items by a word or a category, a page at a time."""

from __future__ import annotations

from dataclasses import dataclass, field

import streamlit as st

from serving.storefront import acts, markup
from serving.storefront.cards import Shown, grid, neighbours, shelf
from serving.storefront.front import Front
from serving.storefront.place import Place
from serving.storefront.shelves import SHELF
from streams.contracts.events import Item

PAGE = 24
STATE = "browsing"


@dataclass
class Browsing:
    """What was found so far for one place; cursor: where the next page begins, None after the last."""

    place: Place
    items: list[Item] = field(default_factory=list)
    cursor: str | None = None


def browse(front: Front, place: Place) -> None:
    """What was found, and a button for more."""
    found = st.session_state.get(STATE)
    if found is None or found.place != place:
        found = st.session_state[STATE] = Browsing(place)
        more(front, found)
    count = f"{len(found.items)} and more" if found.cursor else markup.count(len(found.items), "item")
    st.html(markup.heading(_title(place), count if found.items else "Nothing found; try another word"))
    if found.items:
        grid(front, "found", [Shown(item.item_id) for item in found.items])
    if place.query and 0 < len(found.items) < SHELF and found.cursor is None:
        first = found.items[0].item_id
        known = {item.item_id for item in found.items}
        alike = [
            each for each in neighbours(lambda: front.shop.similar(first, n=2 * SHELF)) if each.item_id not in known
        ]
        shelf(
            front, "alike", "Much like it", "Near the first of these by what it is and how it is bought", alike[:SHELF]
        )
    if found.cursor is not None:
        with st.container(horizontal_alignment="center"):
            st.button("Show more", key="more", on_click=_more, args=(front, found))


def _more(front: Front, found: Browsing) -> None:
    acts.attempt(lambda: more(front, found))


def more(front: Front, found: Browsing) -> None:
    """Read the next page of what was asked for."""
    query, category = found.place.query or None, found.place.category or None
    page = front.shop.items(query=query, category=category, cursor=found.cursor, limit=PAGE)
    front.catalogue.keep(page.items)
    known = {item.item_id for item in found.items}
    found.items += [item for item in page.items if item.item_id not in known]
    found.cursor = page.next_cursor


def _title(place: Place) -> str:
    if place.query:
        return f"“{place.query}”"
    return markup.words(place.category) if place.category else "Everything"
