"""What is said about an item, as one text for a text encoder."""

from __future__ import annotations

import re

from streams.contracts.events import Item

_WORD = re.compile(r"[^\W\d_]{2,}")


def item_text(item: Item) -> str:
    """Name, all attributes and description, as in the thesis (5.2); only what holds a word, and nothing twice.

    A manufacturer's or an article's number is a name to the shop and noise to an encoder of language: of two items
    that differ in nothing else the text is the same, and is embedded once.

    >>> item_text(Item(item_id="7", name="Ice, 22 LB", attributes={"maker": "69", "kind": "ICE", "group": "FRZN ICE"}))
    'Ice, 22 LB. FRZN ICE'
    """
    told: list[str] = []
    for part in (item.name, *item.attributes.values(), item.description):
        words = " ".join(part.split())
        if _WORD.search(words) and not any(words.casefold() in said.casefold() for said in told):
            told.append(words)
    return ". ".join(told)
