"""What is answered about an item: items like it, and items bought with it."""

from __future__ import annotations

import enum

import msgspec


class Why(enum.StrEnum):
    """What speaks for an item beside another: its text, being bought in the same baskets, being bought in its place,
    or, where all that says too little, being bought much in the same category.
    """

    TEXT = "text"
    TOGETHER = "together"
    INSTEAD = "instead"
    POPULAR = "popular"


class SimilarItem(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One item of an answer, best first. `score` orders items within one answer only.

    Attributes
    ----------
    because: what speaks for it.
    cosine: of both items' text vectors; absent where one has none.
    together: baskets that held both.
    instead: times that a customer took this one when the other's turn came.
    category: the attribute that the shop's profile calls its category.
    price: of one unit, in major units; absent when unknown.
    """

    item_id: str
    score: float
    name: str | None = None
    category: str | None = None
    price: float | None = None
    because: list[Why] = []
    cosine: float | None = None
    together: int = 0
    instead: int = 0


class SimilarAnswer(msgspec.Struct, kw_only=True):
    """Items beside `item_id`, best first; fewer than asked for where there are no more."""

    item_id: str
    items: list[SimilarItem]


class UnknownItemError(LookupError):
    """Nothing is known of an item by that id, or it was deleted."""


class NoCategoryError(ValueError):
    """A category is asked for, and the shop's profile names no attribute that is one."""
