"""Where in the shop a visitor is: in the page's address, so that reruns, reloads and the back button keep it."""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace

import streamlit as st


class Page(enum.StrEnum):
    """The rooms of the shop."""

    HOME = "home"
    ITEM = "item"
    BROWSE = "browse"
    CART = "cart"


@dataclass(frozen=True)
class Place:
    """A room, and what it shows; customer is None before the login."""

    customer: str | None = None
    page: Page = Page.HOME
    item: str = ""
    query: str = ""
    category: str = ""


def here() -> Place:
    """The place that the page's address names; one that makes no sense is the home page."""
    address = st.query_params
    page = address.get("page", "")
    place = Place(
        customer=address.get("customer") or None,
        page=Page(page) if page in set(Page) else Page.HOME,
        item=address.get("item", ""),
        query=address.get("query", ""),
        category=address.get("category", ""),
    )
    return replace(place, page=Page.HOME) if place.page is Page.ITEM and not place.item else place


def go(page: Page, *, item: str = "", query: str = "", category: str = "") -> None:
    """Go to a room, as the same customer."""
    _write(Place(here().customer, page, item, query, category))


def enter(customer_id: str) -> None:
    """Log in: come to the home page as this customer."""
    _write(Place(customer_id))


def leave() -> None:
    """Log out."""
    _write(Place())


def _write(place: Place) -> None:
    named = {
        "customer": place.customer or "",
        "page": "" if place.page is Page.HOME else place.page.value,
        "item": place.item,
        "query": place.query,
        "category": place.category,
    }
    st.query_params.from_dict({name: value for name, value in named.items() if value})
