"""An item's page: what it is, what is like it, what is bought with it, and what it has changed for this customer."""

from __future__ import annotations

from html import escape

import streamlit as st

from serving.storefront import acts, markup
from serving.storefront.cards import neighbours, personal, shelf
from serving.storefront.front import Front
from serving.storefront.shelves import SHELF, for_you, placed
from streams.contracts.events import Item


def item_page(front: Front, item: Item) -> None:
    """The item, and three shelves."""
    with st.container(key="product", horizontal=True, gap="large"):
        picture = f'<div class="hw-large"><img src="{front.picture(item)}" alt="{escape(markup.title(item))}"></div>'
        st.html(picture, width=460)
        with st.container(key="about"):
            st.html(_about(front, item))
            _buttons(front, item)
    together = neighbours(lambda: front.shop.bought_together(item.item_id, n=SHELF))
    shelf(front, "together", "Bought together", "What other customers have in the same basket", together)
    similar = neighbours(lambda: front.shop.similar(item.item_id, n=SHELF))
    shelf(front, "similar", "Similar items", "Near it by what it is and how it is bought", similar)
    if front.visit.answer is not None:
        first = for_you(placed(front.visit.answer, front.visit.before))[:SHELF]
        shelf(front, "now", "For you, after this look", "The same ranking as on your home page", personal(first))


def _about(front: Front, item: Item) -> str:
    attributes = [(markup.label(name), markup.words(v)) for name, v in item.attributes.items() if v]
    price = front.price(item)
    cost = f'<div class="hw-cost">{escape(price)}</div>' if price else ""
    text = f'<p class="hw-text">{escape(item.description)}</p>' if item.description else ""
    gone = "" if item.available else '<p class="hw-gone">Not available at the moment</p>'
    return (
        f'<div class="hw-about"><div class="hw-over">{escape(markup.words(front.catalogue.category(item)))}</div>'
        f"<h1>{escape(markup.title(item))}</h1>{cost}{text}{gone}"
        f"{markup.facts([*attributes, ('Item', item.item_id)])}</div>"
    )


def _buttons(front: Front, item: Item) -> None:
    title = markup.title(item)
    with st.container(key="deeds", horizontal=True, gap="small"):
        st.button(
            "Add to cart", key="add", type="primary", icon=":material/add_shopping_cart:", disabled=not item.available,
            on_click=acts.put_in_cart, args=(front, item.item_id, title),
        )  # fmt: skip
        st.button(
            "Buy now", key="buy", icon=":material/bolt:", disabled=not item.available,
            on_click=acts.buy_item, args=(front, item.item_id),
        )  # fmt: skip
        answer = front.visit.answer
        if answer is not None and any(each.item_id == item.item_id for each in answer.items):
            st.button("Why this?", key="why", type="tertiary", on_click=acts.ask_why, args=(item.item_id,))
