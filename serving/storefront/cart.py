"""The cart: what is in it, and the button that makes purchases of it."""

from __future__ import annotations

from html import escape

import streamlit as st

from serving.storefront import acts, markup
from serving.storefront.cards import neighbours, personal, shelf
from serving.storefront.front import Front
from serving.storefront.place import Page, go
from serving.storefront.shelves import SHELF, placed
from streams.contracts.events import Item
from streams.contracts.requests import Reply


def cart(front: Front, answer: Reply) -> None:
    """Lines, the sum, what can be done, and what else there is."""
    units = front.visit.cart
    st.html(markup.heading("Your cart", markup.count(front.visit.units, "item") if units else ""))
    if not units:
        st.html(markup.empty("There is nothing in it yet."))
        st.button("Look around", key="around", on_click=go, args=(Page.HOME,))
        return
    items = front.catalogue.items(units)
    with st.container(key="lines", gap="small"):
        for item_id, count in list(units.items()):
            _line(front, items[item_id], count)
    with st.container(key="till", horizontal=True, vertical_alignment="center", horizontal_alignment="right"):
        st.html(f'<div class="hw-sum">{escape(_sum(front, items))}</div>', width="content")
        st.button(
            "Buy now", key="checkout", type="primary", icon=":material/bolt:", on_click=acts.buy_cart, args=(front,)
        )
    together = neighbours(lambda: front.shop.bought_together(next(iter(units)), n=2 * SHELF))
    beside = [each for each in together if each.item_id not in units][:SHELF]
    shelf(front, "beside", "Often bought with these", "What other customers have in the same basket", beside)
    others = [each for each in placed(answer, front.visit.before) if each.item.item_id not in units]
    shelf(
        front, "more", "Before you go", "The first of your ranking that are not in your cart", personal(others[:SHELF])
    )


def _line(front: Front, item: Item, count: int) -> None:
    title = markup.title(item)
    with st.container(key=f"line-{item.item_id}", horizontal=True, vertical_alignment="center"):
        st.html(
            f'<div class="hw-line"><img src="{front.picture(item)}" alt=""><div>'
            f'<div class="hw-name">{escape(title)}</div>'
            f'<div class="hw-over">{count} × {escape(front.price(item) or "one")}</div></div></div>'
        )
        remove = (front, item.item_id, title)
        st.button("Remove", key=f"remove-{item.item_id}", type="tertiary", on_click=acts.take_out, args=remove)


def _sum(front: Front, items: dict[str, Item]) -> str:
    """What the cart costs; "" where something in it has no price."""
    prices = [(item.price, front.visit.cart[item_id]) for item_id, item in items.items()]
    known = [price * count for price, count in prices if price is not None]
    if len(known) < len(prices):
        return ""
    return f"{front.premises.settings.storefront_currency}{sum(known):,.2f}"
