"""What buttons do: tell the shop, go somewhere. A refusal or an absent gateway becomes a notice on the next page."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from serving.rest_client import HeadwaterError
from serving.storefront.front import Front
from serving.storefront.place import Page, go
from serving.storefront.visit import NotTakenError

NOTICE, WHY = "told-next", "why-asked"
"""Keys of the session's state, which no widget has: what to tell on the next page, and which item's panel to open."""


def attempt(deed: Callable[[], None]) -> bool:
    """Do something with the shop; whether it worked. If not, the next page says why."""
    try:
        deed()
    except (HeadwaterError, NotTakenError) as error:
        st.session_state[NOTICE] = str(error)
        return False
    return True


def put_in_cart(front: Front, item_id: str, name: str) -> None:
    """One more unit."""
    attempt(lambda: front.visit.put_in_cart(front.shop, item_id, name))


def take_out(front: Front, item_id: str, name: str) -> None:
    """All units of an item."""
    attempt(lambda: front.visit.take_out(front.shop, item_id, name))


def buy_item(front: Front, item_id: str) -> None:
    """One unit of an item, now, and then home to see what has changed."""
    item = front.catalogue.item(item_id)
    if attempt(lambda: front.visit.buy(front.shop, {item_id: 1}, item.name or item_id, {item_id: item.price})):
        go(Page.HOME)


def buy_cart(front: Front) -> None:
    """All that is in the cart, and then home to see what has changed."""
    items = front.catalogue.items(front.visit.cart)
    first = next(iter(items.values()))
    others = len(items) - 1
    what = (first.name or first.item_id) + (f" and {others} more" if others else "")
    prices = {item_id: item.price for item_id, item in items.items()}
    if attempt(lambda: front.visit.buy(front.shop, dict(front.visit.cart), what, prices)):
        go(Page.HOME)


def open_item(item_id: str) -> None:
    """The item's page; there it is looked at."""
    go(Page.ITEM, item=item_id)


def ask_why(item_id: str) -> None:
    """Open the panel that says why an item is shown."""
    st.session_state[WHY] = item_id
