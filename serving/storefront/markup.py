"""Pieces of HTML that pages are made of. All text is escaped here: names come from the shop's catalogue."""

from __future__ import annotations

import base64
import re
from html import escape

from serving.storefront.shelves import Movement, Placed
from streams.contracts.events import Item

_MARK = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 48 48"><rect width="48" height="48" rx="13" fill="#12605a"/>'
    '<path d="M24 8c7 9 11 15 11 21a11 11 0 0 1-22 0c0-6 4-12 11-21z" fill="#e9f6f0"/>'
    '<path d="M14 30c4-4 7 1 10-1s6-4 11-1c0 6-5 12-11 12s-10-4-10-10z" fill="#58b89d"/></svg>'
)
MARK = f"data:image/svg+xml;base64,{base64.b64encode(_MARK.encode()).decode()}"
"""The shop's sign."""


WORTH_TELLING = 3
"""Places: of one or two most items move whatever happens."""

_SIZE = re.compile(r"(\d) (\w{1,3})$")


def words(text: str) -> str:
    """A catalogue's shouting in sentence case: `FLUID MILK PRODUCTS` becomes `Fluid milk products`."""
    return text.capitalize() if text.isupper() else text


def label(name: str) -> str:
    """An attribute's name for people: `product_category` becomes `Product category`."""
    return name.replace("_", " ").capitalize()


def count(number: int, noun: str) -> str:
    """A number of things: `1 item`, `2 items`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def title(item: Item) -> str:
    """What an item is called, a package's size never torn from its unit; its id where it has no name."""
    return _SIZE.sub("\\1\u00a0\\2", item.name) if item.name else f"Item {item.item_id}"


def badge(placed: Placed) -> str:
    """What became of the item's place, as a badge; "" where there is nothing worth telling."""
    if placed.movement is Movement.NEW:
        return '<span class="hw-badge hw-new">New here</span>'
    if placed.movement is Movement.UP and placed.moved >= WORTH_TELLING:
        return f'<span class="hw-badge hw-up">↑ {placed.moved}</span>'
    return ""


def card(item: Item, picture: str, category: str, price: str, reason: str = "", badge: str = "") -> str:
    """The face of a product card, with a mark where it has a badge. `badge` is markup already, the rest is text."""
    tag = f'<span class="hw-reason">{escape(reason)}</span>' if reason else ""
    cost = f'<span class="hw-price">{escape(price)}</span>' if price else ""
    moved = " hw-moved" if badge else ""
    return (
        f'<div class="hw-card{moved}" data-item="{escape(item.item_id)}"><div class="hw-picture">'
        f'<img src="{picture}" alt="{escape(title(item))}">{badge}</div>'
        f'<div class="hw-over">{escape(words(category)) or "&nbsp;"}</div>'
        f'<div class="hw-name">{escape(title(item))}</div><div class="hw-foot">{tag}{cost}</div></div>'
    )


def heading(title: str, subtitle: str) -> str:
    """The heading of a shelf."""
    return f'<div class="hw-heading"><h2>{escape(title)}</h2><p>{escape(subtitle)}</p></div>'


def empty(text: str) -> str:
    """What stands on an empty shelf."""
    return f'<div class="hw-empty">{escape(text)}</div>'


def figure(value: str, label: str, tone: str = "") -> str:
    """A number with what it is."""
    return f'<div class="hw-figure {tone}"><b>{escape(value)}</b><span>{escape(label)}</span></div>'


def facts(pairs: list[tuple[str, str]]) -> str:
    """Names and values, one pair a line."""
    rows = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in pairs)
    return f'<dl class="hw-facts">{rows}</dl>'


def pull(text: str, strength: float) -> str:
    """A sentence, and under it a bar from the middle to one side, by its strength, -1 to 1."""
    side = "hw-for" if strength >= 0 else "hw-against"
    width = max(2.0, 50 * min(1.0, abs(strength)))
    drawn = f'<i><u style="width:{width:.0f}%"></u></i>'
    return f'<div class="hw-evidence hw-pull {side}"><span>{escape(text)}</span>{drawn}</div>'


def bar(text: str, strength: float | None) -> str:
    """A sentence, and under it a bar for how much it says."""
    width = "" if strength is None else f'<i><u style="width:{max(4.0, 100 * strength):.0f}%"></u></i>'
    return f'<div class="hw-evidence"><span>{escape(text)}</span>{width}</div>'
