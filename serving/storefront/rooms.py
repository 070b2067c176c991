"""The way through the shop: login, then the room that the page's address names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import streamlit as st

from serving.rest_client import HeadwaterError
from serving.storefront import acts, markup
from serving.storefront.browse import browse
from serving.storefront.cart import cart
from serving.storefront.front import Front, Premises
from serving.storefront.home import home
from serving.storefront.item_page import item_page
from serving.storefront.login import login
from serving.storefront.masthead import masthead, notice, pulse
from serving.storefront.place import Page, Place, here
from serving.storefront.visit import Visit
from serving.storefront.why import why

STYLE = Path(__file__).with_name("style.css")
VISIT = "visit"


def show(premises: Callable[[], Premises]) -> None:
    """Draw the whole page once."""
    st.set_page_config("Headwater Market", page_icon=markup.MARK, layout="wide", initial_sidebar_state="collapsed")
    st.html(STYLE)
    try:
        _room(premises(), here())
    except HeadwaterError as error:
        st.html('<div class="hw-door"><h1>The shop is closed for a moment</h1></div>')
        st.error(str(error), icon=":material/cloud_off:")
        st.button("Try again", key="retry")


def _room(premises: Premises, place: Place) -> None:
    if place.customer is None:
        st.session_state.pop(VISIT, None)
        login(premises)
        return
    front = Front(premises, _visit(place.customer, premises.settings.storefront_shown))
    with st.container(key="top"):
        masthead(front)
        bar = st.container(key="bar")
    notice()
    item = front.catalogue.item(place.item) if place.page is Page.ITEM else None
    if item is None:
        front.visit.looking_at = None
    else:
        acts.attempt(lambda: front.visit.view(front.shop, item.item_id, markup.title(item)))
    answer = front.visit.newest(front.shop)
    with bar:
        pulse(front)
    if item is not None:
        item_page(front, item)
    elif place.page is Page.BROWSE:
        browse(front, place)
    elif place.page is Page.CART:
        cart(front, answer)
    else:
        home(front, answer)
    wanted = st.session_state.pop(acts.WHY, None)
    if wanted is not None:
        why(front, wanted)


def _visit(customer_id: str, shown: int) -> Visit:
    """The session's visit; another customer begins another."""
    visit = st.session_state.get(VISIT)
    if not isinstance(visit, Visit) or visit.customer_id != customer_id:
        visit = st.session_state[VISIT] = Visit(customer_id, shown)
    return visit
