"""Shelves: a heading and product cards, each opening its item's page, filling the cart, saying why it is there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import streamlit as st

from serving.rest_client import HeadwaterError, SimilarAnswer
from serving.storefront import acts, markup
from serving.storefront.front import Front
from serving.storefront.reasons import neighbourly, reason
from serving.storefront.shelves import Placed


@dataclass(frozen=True)
class Shown:
    """An item on a shelf; placed: where it stands in the visit's answer, if it came out of that."""

    item_id: str
    reason: str = ""
    placed: Placed | None = None


def personal(items: Sequence[Placed]) -> list[Shown]:
    """Items of the visit's answer."""
    return [Shown(each.item.item_id, reason(each.item), each) for each in items]


def neighbours(ask: Callable[[], SimilarAnswer]) -> list[Shown]:
    """Items beside another; none where the gateway has none, for a shop without neighbours is still a shop."""
    try:
        return [Shown(item.item_id, neighbourly(item)) for item in ask().items]
    except HeadwaterError:
        return []


def shelf(front: Front, name: str, title: str, subtitle: str, shown: Sequence[Shown], empty: str = "") -> None:
    """A heading and its cards; nothing at all where there are none and nothing to say about that.

    name
        Unique on the page; with the item's id it makes the widgets' keys.
    """
    if not shown and not empty:
        return
    with st.container(key=f"shelf-{name}"):
        st.html(markup.heading(title, subtitle))
        if shown:
            grid(front, name, shown)
        else:
            st.html(markup.empty(empty))


def grid(front: Front, name: str, shown: Sequence[Shown]) -> None:
    """Cards side by side, six in a row where there is room."""
    items = front.catalogue.items(each.item_id for each in shown)
    with st.container(key=f"grid-{name}"):
        for each in shown:
            item = items[each.item_id]
            with st.container(key=f"card-{name}-{each.item_id}", gap=None):
                badge = markup.badge(each.placed) if each.placed is not None else ""
                category = front.catalogue.category(item)
                st.html(markup.card(item, front.picture(item), category, front.price(item), each.reason, badge))
                _buttons(front, f"{name}-{each.item_id}", each, markup.title(item))


def _buttons(front: Front, key: str, each: Shown, title: str) -> None:
    st.button(f"Open {title}", key=f"open-{key}", on_click=acts.open_item, args=(each.item_id,))
    with st.container(horizontal=True, key=f"row-{key}", gap="small", wrap=False):
        add = (front, each.item_id, title)
        st.button("Add to cart", key=f"add-{key}", on_click=acts.put_in_cart, args=add, width="stretch")
        if each.placed is not None:
            st.button("Why?", key=f"why-{key}", on_click=acts.ask_why, args=(each.item_id,), type="tertiary")
