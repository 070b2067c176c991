"""Calls on what a shop has: customers and items, one by one, in pages, and many at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from serving.rest_client.answers import Accepted, Page, Stored
from serving.rest_client.call import Call, answer, conditions, named, nothing, stored, target
from streams.contracts.codec import encode
from streams.contracts.events import Customer, Item


class _CustomerPage(msgspec.Struct):
    customers: list[Customer]
    next: str | None


class _ItemPage(msgspec.Struct):
    items: list[Item]
    next: str | None


def customers(*, cursor: str | None = None, limit: int = 100) -> Call[Page[Customer]]:
    """Customers, a page at a time, in no order: `cursor` is the page before's `next_cursor`."""

    def read(headers: Mapping[str, str], content: bytes) -> Page[Customer]:
        page = msgspec.json.decode(content, type=_CustomerPage)
        return Page(items=page.customers, next_cursor=page.next)

    return Call("GET", target("customers", query=[("cursor", cursor), ("limit", limit)]), read)


def customer(customer_id: str) -> Call[Stored[Customer]]:
    """A customer's record and its version; raises `NotFoundError`."""
    return Call("GET", target("customers", customer_id), stored(Customer))


def put_customer(
    record: Customer, *, if_match: str | None = None, if_none_match: str | None = None
) -> Call[Stored[Customer]]:
    """Create a customer, or replace its whole record.

    With `if_match` only that version of it, with `if_none_match="*"` only where there is none; else `ConflictError`.
    """
    where = target("customers", record.customer_id)
    return Call("PUT", where, stored(Customer), encode(record), conditions(if_match, if_none_match))


def patch_customer(
    customer_id: str, changes: Mapping[str, Any], *, if_match: str | None = None
) -> Call[Stored[Customer]]:
    """Change parts of a customer (JSON merge patch): None removes an attribute, what is not named stays."""
    where = target("customers", customer_id)
    return Call("PATCH", where, stored(Customer), encode(changes), _merging(if_match))


def delete_customer(customer_id: str, *, if_match: str | None = None) -> Call[None]:
    """Delete a customer and all that is remembered of it."""
    return Call("DELETE", target("customers", customer_id), nothing, headers=conditions(if_match))


def put_customers(records: Sequence[Customer], *, idempotency_key: str | None = None) -> Call[Accepted]:
    """Create or replace many customers."""
    post = encode({"customers": records})
    return Call("POST", target("customers", "bulk"), answer(Accepted), post, named(idempotency_key))


def items(
    *,
    query: str | None = None,
    category: str | None = None,
    available: bool | None = None,
    cursor: str | None = None,
    limit: int = 100,
) -> Call[Page[Item]]:
    """Items, a page at a time, in the order of their ids.

    Parameters
    ----------
    query
        Words that must all be found in the name or the attributes; or an id.
    category
        Only items of this category.
    available
        Only items that may be recommended, or that may not; None means all.
    cursor
        The page before's `next_cursor`.
    limit
        Items a page.
    """

    def read(headers: Mapping[str, str], content: bytes) -> Page[Item]:
        page = msgspec.json.decode(content, type=_ItemPage)
        return Page(items=page.items, next_cursor=page.next)

    pairs: list[tuple[str, Any]] = [
        ("query", query),
        ("category", category),
        ("available", available),
        ("cursor", cursor),
        ("limit", limit),
    ]
    return Call("GET", target("items", query=pairs), read)


def item(item_id: str) -> Call[Stored[Item]]:
    """An item's record and its version; raises `NotFoundError`."""
    return Call("GET", target("items", item_id), stored(Item))


def put_item(record: Item, *, if_match: str | None = None, if_none_match: str | None = None) -> Call[Stored[Item]]:
    """Create an item, or replace its whole record.

    With `if_match` only that version of it, with `if_none_match="*"` only where there is none; else `ConflictError`.
    """
    where = target("items", record.item_id)
    return Call("PUT", where, stored(Item), encode(record), conditions(if_match, if_none_match))


def patch_item(item_id: str, changes: Mapping[str, Any], *, if_match: str | None = None) -> Call[Stored[Item]]:
    """Change parts of an item (JSON merge patch): None removes a field, what is not named stays."""
    return Call("PATCH", target("items", item_id), stored(Item), encode(changes), _merging(if_match))


def delete_item(item_id: str, *, if_match: str | None = None) -> Call[None]:
    """Delete an item; with `available=False` it would only be hidden."""
    return Call("DELETE", target("items", item_id), nothing, headers=conditions(if_match))


def put_items(records: Sequence[Item], *, idempotency_key: str | None = None) -> Call[Accepted]:
    """Create or replace many items."""
    post = encode({"items": records})
    return Call("POST", target("items", "bulk"), answer(Accepted), post, named(idempotency_key))


def _merging(if_match: str | None) -> dict[str, str]:
    return {**conditions(if_match), "Content-Type": "application/merge-patch+json"}
