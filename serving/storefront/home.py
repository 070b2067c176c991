"""The home page: what this customer should see now."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from serving.storefront import markup
from serving.storefront.cards import Shown, neighbours, personal, shelf
from serving.storefront.front import Front
from serving.storefront.place import Page, go
from serving.storefront.shelves import SHELF, Placed, buy_again, for_you, placed, this_session
from streams.contracts.requests import Reply

CATEGORIES = 9


def home(front: Front, answer: Reply) -> None:
    """Shelves cut out of one answer, and one that is the same for everybody."""
    _categories(front)
    items = placed(answer, front.visit.before)
    shelf(front, "you", "For you", "Ranked for you as of this moment", personal(for_you(items)))
    session = "What you are looking at now, and what goes with it"
    hint = "Look at something or put it in your cart: this shelf fills at once."
    shelf(front, "session", "In this session", session, _session(front, items), hint)
    trending = front.shop.trending(n=SHELF).items
    shown = [Shown(item.item_id, "Hot right now") for item in trending]
    shelf(front, "trending", "Trending now", "What everybody is looking at this hour", shown)
    shelf(front, "again", "Buy again", "Yours before, and due by your own rhythm", personal(buy_again(items)))


def _session(front: Front, items: Sequence[Placed]) -> list[Shown]:
    """What the answer has from this session, then what was looked at besides, then what is like the last of it."""
    shown = {each.item_id: each for each in personal(this_session(items))}
    looked_at = front.visit.looked_at
    for item_id in looked_at:
        why = "In your cart" if item_id in front.visit.cart else "You looked at this"
        shown.setdefault(item_id, Shown(item_id, why))
    if looked_at and len(shown) < SHELF:
        for each in neighbours(lambda: front.shop.similar(looked_at[0], n=SHELF)):
            shown.setdefault(each.item_id, each)
    return list(shown.values())[:SHELF]


def _categories(front: Front) -> None:
    categories = front.catalogue.categories(CATEGORIES)
    with st.container(key="categories", horizontal=True, gap="small"):
        for category in categories:
            key = f"category-{category}"
            st.button(markup.words(category), key=key, on_click=_browse, args=(category,))


def _browse(category: str) -> None:
    go(Page.BROWSE, category=category)
