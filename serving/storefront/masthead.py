"""The top of every page: the shop's sign, search, cart, customer; and the bar that tells how fresh this page is."""

from __future__ import annotations

from html import escape

import streamlit as st

from serving.storefront import acts, markup
from serving.storefront.front import Front
from serving.storefront.place import Page, go, here, leave
from serving.storefront.shelves import moved
from serving.storefront.visit import Happening
from streams.contracts.events import InteractionType
from streams.contracts.requests import Reply, Status

SEARCH = "search"

_DID = {
    InteractionType.VIEW: "You looked at",
    InteractionType.ADD_TO_CART: "You put in your cart:",
    InteractionType.REMOVE_FROM_CART: "You took out of your cart:",
    InteractionType.PURCHASE: "You bought",
}


def masthead(front: Front) -> None:
    """Sign, search, cart, customer."""
    with st.container(key="masthead", horizontal=True, vertical_alignment="center", gap="medium"):
        with st.container(key="sign", width="content"):
            st.html(f'<div class="hw-sign"><img src="{markup.MARK}" alt=""><b>Headwater</b> <i>Market</i></div>')
            st.button("Home", key="home", on_click=go, args=(Page.HOME,))
        st.session_state[SEARCH] = here().query
        st.text_input(
            "Search", key=SEARCH, on_change=_search, placeholder="Search the shop",
            label_visibility="collapsed", icon=":material/search:",
        )  # fmt: skip
        cart = f"Cart · {front.visit.units}" if front.visit.units else "Cart"
        st.button(cart, key="cart", icon=":material/shopping_bag:", on_click=go, args=(Page.CART,))
        name = f"Customer {front.visit.customer_id}"
        st.button(name, key="leave", icon=":material/person:", on_click=leave, help="Shop as somebody else")


def pulse(front: Front) -> None:
    """How soon the last event was used, by which model, and how long the answer took."""
    visit = front.visit
    if visit.answer is None:
        return
    st.html(
        f'<div class="hw-pulse" data-testid="pulse"><div class="hw-told"><em></em><p>{_told(visit.last)}</p></div>'
        f'<div class="hw-figures">{"".join(_figures(visit.answer, visit.before, visit.last))}</div></div>'
    )


def notice() -> None:
    """What went wrong with the last click, once."""
    text = st.session_state.pop(acts.NOTICE, None)
    if text is not None:
        st.error(text, icon=":material/cloud_off:")


def _search() -> None:
    query = str(st.session_state[SEARCH]).strip()
    go(Page.BROWSE if query else Page.HOME, query=query)


def because(last: Happening) -> str:
    """What happened, within a sentence: `you bought Bananas`."""
    did = _DID[last.type].rstrip(":")
    return f"{did[0].lower()}{did[1:]} {last.what}"


def _told(last: Happening | None) -> str:
    if last is None:
        return "<strong>Live.</strong> Whatever you do here is an event, and the next page has learned from it."
    did = f"{_DID[last.type]} <strong>{escape(last.what)}</strong>"
    if last.used_after_ms is None:
        return f"{did}. It is in Kafka; no answer has used it yet."
    return f"{did}. This page has already learned from it."


def _figures(answer: Reply, before: Reply | None, last: Happening | None) -> list[str]:
    figures = []
    if last is not None:
        fresh = "…" if last.used_after_ms is None else f"{last.used_after_ms:.0f} ms"
        figures.append(markup.figure(fresh, "event to use", "hw-key"))
        figures.append(markup.figure(f"{moved(answer, before)} moved", f"of the {len(answer.items)} ranked for you"))
    version = "none" if answer.model_version is None else f"v{answer.model_version}"
    figures.append(markup.figure(version, "model live"))
    figures.append(markup.figure(f"{answer.timings_ms.total:.1f} ms", "to answer"))
    if answer.status is not Status.OK:
        figures.append(markup.figure("fallback", (answer.reason or "").replace("_", " "), "hw-warn"))
    return figures
