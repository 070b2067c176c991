"""The model's input columns, by group, as they follow from a shop's profile: one list for training and serving."""

from typing import Literal

import msgspec

from feature_repo.request_context import NUMBERS, column_name
from feature_repo.shop import Shop

Group = Literal["customer", "item", "pair", "request"]
Kind = Literal["categorical", "continuous"]
GROUPS: tuple[Group, ...] = ("customer", "item", "pair", "request")


class Column(msgspec.Struct, frozen=True):
    """One model input.

    Attributes
    ----------
    name
        Name, unique over all groups.
    group
        Whose it is: the customer's, the item's, the pair's, or the request's.
    kind
        ``categorical`` columns hold strings (``""``: missing), ``continuous`` ones finite float64.
    vocabulary
        Vocabulary of a categorical column; columns may share one.
    log
        Whether ``log1p`` is taken before normalising: for counts and amounts with long tails.
    """

    name: str
    group: Group
    kind: Kind
    vocabulary: str = ""
    log: bool = False


CUSTOMER_CONTINUOUS = {
    "recency_days": True,
    "frequency_days": True,
    "monetary": True,
    "basket_size": True,
    "customer_purchases": True,
    "shopping_days": True,
    "tenure_days": True,
    "session_events": True,
    "session_minutes": True,
}
ITEM_CONTINUOUS = {
    "purchases_1d": True,
    "purchases_7d": True,
    "purchases_30d": True,
    "time_weighted_purchases": True,
    "item_purchases": True,
    "buyers": True,
    "repeat_rate": False,
    "price": True,
    "days_since_bought": True,
    "momentum": False,
}
PAIR_CONTINUOUS = {
    "pair_lines": True,
    "pair_days": True,
    "pair_share_of_days": False,
    "pair_recency_days": True,
    "pair_interval_days": True,
    "pair_rhythm": False,
    "pair_trips_since": True,
    "pair_decayed_20": True,
    "pair_decayed_90": True,
    "pair_reciprocal_rank": False,
    "pair_engagement": True,
    "session_views": True,
    "session_in_cart": False,
    "trending": True,
}
MODEL_CONTINUOUS = {"taste": False}
"""Of a pair, by tables that the model carries (`taste`); what else the pair has follows from the shop's data alone."""

CATEGORY_CONTINUOUS = {
    "category_lines": True,
    "category_recency_days": True,
    "category_reciprocal_rank": False,
    "session_category_views": True,
}
"""Continuous columns of each group and whether their logarithm is taken."""


def columns(shop: Shop) -> tuple[Column, ...]:
    """Return every model input of a shop, groups in the order of `GROUPS`."""
    out = [Column("customer_id", "customer", "categorical", "customer_id")]
    out += [Column(a, "customer", "categorical", f"customer_{a}") for a in shop.customer_attributes]
    for attribute in shop.preference_attributes:
        out += [
            Column(f"most_purchased_{attribute}", "customer", "categorical", attribute),
            Column(f"last_purchased_{attribute}", "customer", "categorical", attribute),
        ]
    out += _continuous("customer", CUSTOMER_CONTINUOUS)
    out.append(Column("item_id", "item", "categorical", "item_id"))
    out += [Column(a, "item", "categorical", a) for a in shop.item_attributes]
    out += _continuous("item", ITEM_CONTINUOUS)
    out += _continuous("pair", PAIR_CONTINUOUS)
    if shop.category:
        out += _continuous("pair", CATEGORY_CONTINUOUS)
    out += _continuous("pair", {f"share_of_{a}": False for a in shop.preference_attributes})
    out += _continuous("pair", MODEL_CONTINUOUS)
    requested = [column_name(attribute) for attribute in shop.context_attributes]
    out += [Column(name, "request", "categorical", name) for name in requested]
    out += _continuous("request", dict.fromkeys(NUMBERS, False))
    names = [column.name for column in out]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ValueError(f"shop {shop.name!r}: the attributes {repeated} clash with other columns: rename them")
    return tuple(out)


def _continuous(group: Group, names: dict[str, bool]) -> list[Column]:
    return [Column(name, group, "continuous", log=log) for name, log in names.items()]


def names(shop: Shop, group: Group, kind: Kind | None = None) -> list[str]:
    """Return the names of a group's columns, of one kind or of both, in order."""
    return [c.name for c in columns(shop) if c.group == group and kind in (None, c.kind)]
