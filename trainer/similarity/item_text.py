"""What is said about an item, as one text for a text encoder."""

from __future__ import annotations

import re

from streams.contracts.events import Item

_WORD = re.compile(r"[^\W\d_]{2,}")


def item_text(item: Item) -> str:
    """Name, all attributes and description, as in the thesis (5.2); only what holds a word.

    A manufacturer's or an article's number is a name to the shop and noise to an encoder of language: of two items
    that differ in nothing else the text is the same, and is embedded once.

    >>> item_text(Item(item_id="7", name="Ice, 22 LB", attributes={"maker": "69", "type": "ICE - CRUSHED/CUBED"}))
    'Ice, 22 LB. ICE - CRUSHED/CUBED'
    """
    parts = [item.name, *item.attributes.values(), item.description]
    told = [" ".join(part.split()) for part in parts]
    return ". ".join(dict.fromkeys(part for part in told if _WORD.search(part)))
