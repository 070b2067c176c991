"""The home page: what this customer should see now."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import streamlit as st

from serving.storefront import markup
from serving.storefront.cards import Shown, neighbours, personal, shelf
from serving.storefront.front import Front
from serving.storefront.masthead import because
from serving.storefront.place import Page, go
from serving.storefront.reasons import steps
from serving.storefront.shelves import SHELF, Placed, buy_again, for_you, placed, risen, this_session
from streams.contracts.requests import Reply

CATEGORIES = 9


def home(front: Front, answer: Reply) -> None:
    """Shelves cut out of one answer, and one that is the same for everybody."""
    _categories(front)
    items = placed(answer, front.visit.before)
    _changed(front, items)
    shelf(front, "you", "For you", "Ranked for you as of this moment", personal(for_you(items)))
    session = "What you are looking at now, and what goes with it"
    hint = "Look at something or put it in your cart: this shelf fills at once."
    shelf(front, "session", "In this session", session, _session(front, items), hint)
    trending = front.shop.trending(n=SHELF).items
    shown = [Shown(item.item_id, "Hot right now") for item in trending]
    shelf(front, "trending", "Trending now", "What everybody is looking at this hour", shown)
    shelf(front, "again", "Buy again", "Yours before, and due by your own rhythm", personal(buy_again(items)))


def _changed(front: Front, items: Sequence[Placed]) -> None:
    """What the customer's last click has changed in the ranking."""
    last = front.visit.last
    if last is None or last.used_after_ms is None:
        return
    rose = risen(items)
    subtitle = f"Because {because(last)}: places in your ranking a moment ago and now"
    shelf(
        front, "changed", "What just changed", subtitle, [Shown(each.item.item_id, steps(each), each) for each in rose]
    )


def _session(front: Front, items: Sequence[Placed]) -> list[Shown]:
    """What the answer has from this session, then what was looked at besides, then what goes with the last of it:
    with what was bought, else what is like it.
    """
    shown = {each.item_id: each for each in personal(this_session(items))}
    looked_at = front.visit.looked_at
    for item_id in looked_at:
        why = "In your cart" if item_id in front.visit.cart else "You looked at this"
        shown.setdefault(item_id, Shown(item_id, why))
    bought = front.visit.bought
    if bought and len(shown) < SHELF:
        for each in neighbours(lambda: front.shop.bought_together(bought[0], n=SHELF)):
            shown.setdefault(each.item_id, each)
    for item_id in [*looked_at[:1], *bought[:1]]:
        if len(shown) < SHELF:
            for each in neighbours(partial(front.shop.similar, item_id, n=2 * SHELF)):
                shown.setdefault(each.item_id, each)
    return [each for each in shown.values() if each.item_id not in bought][:SHELF]


def _categories(front: Front) -> None:
    categories = front.catalogue.categories(CATEGORIES)
    with st.container(key="categories", horizontal=True, gap="small"):
        for category in categories:
            key = f"category-{category}"
            st.button(markup.words(category), key=key, on_click=_browse, args=(category,))


def _browse(category: str) -> None:
    go(Page.BROWSE, category=category)
