"""A small shop in arrays: items, customers' rows and an encoder, without Kafka, Redis or Triton."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from feature_repo.catalogue import Catalogue, CatalogueItem
from feature_repo.columns import columns
from feature_repo.customer_features import customer_features
from feature_repo.customer_state import RECENT, CustomerRow, CustomerStates, EventType
from feature_repo.encoder import CategoricalInput, ContinuousInput, EncoderSpec
from feature_repo.histories import histories_of
from feature_repo.items_state import empty_items
from feature_repo.keys import item_key
from feature_repo.purchases import DAY, PURCHASE
from feature_repo.shop import Shop
from serving.customers import Customers
from serving.items_table import FeatureRecord, ItemsTable

SHOP = Shop(
    name="corner",
    item_attributes=("department",),
    customer_attributes=("town",),
    category="department",
    preference_attributes=("department",),
    context_attributes=("channel",),
)
DEPARTMENTS = ("bread", "fruit", "tea")
CHANNELS = ("web", "app")
TODAY = 20_000


def encoder_spec(items: Sequence[str], shop: Shop = SHOP) -> EncoderSpec:
    """Every column of the shop, vocabularies of the items and departments, nothing normalised."""
    every = columns(shop)
    categorical = [c for c in every if c.kind == "categorical"]
    vocabularies = {c.vocabulary: tuple[str, ...]() for c in categorical}
    vocabularies |= {"item_id": tuple(items), "department": DEPARTMENTS}
    if "request_channel" in vocabularies:
        vocabularies["request_channel"] = CHANNELS
    return EncoderSpec(
        categorical=tuple(CategoricalInput(c.name, c.group, c.vocabulary) for c in categorical),
        continuous=tuple(ContinuousInput(c.name, c.group, c.log) for c in every if c.kind == "continuous"),
        vocabularies=vocabularies,
    )


def item_state(day: int, count: int) -> bytes:
    """ITEM_STATE of an item of which `count` lines were bought on one day."""
    state = empty_items(1)
    state["purchases"] = state["quantity"] = state["buyers"] = count
    state["newest_day"] = day
    state["daily"][0, day % 64] = count
    return state.tobytes()


def items_table(n: int, shop: Shop = SHOP) -> ItemsTable:
    """Items `i0` … of alternating departments; the higher the number, the more was bought of it yesterday."""
    table = ItemsTable(shop)
    table.apply_catalogue(
        {
            f"i{k}": CatalogueItem(f"i{k}", f"Item {k}", True, 100 + k, {"department": DEPARTMENTS[k % 3]})
            for k in range(n)
        }
    )
    table.apply_features(FeatureRecord("0", f"i{k}", item_state(TODAY - 1, k + 1)) for k in range(n))
    return table


def history(items: Sequence[str], day: int = TODAY - 3) -> bytes:
    """PURCHASE bytes: one line of each item on consecutive days before `day`, the last item's latest."""
    lines = np.zeros(len(items), PURCHASE)
    lines["time"] = [(day - len(items) + place) * DAY for place in range(len(items))]
    lines["item"] = [item_key(item) for item in items]
    lines["quantity"], lines["amount"] = 1, 250
    return lines.tobytes()


def looks(items: Sequence[str], until: int) -> bytes:
    """RECENT bytes: a view of each item, a minute apart, the last at `until`, microseconds since the epoch."""
    recent = np.zeros(len(items), RECENT)
    recent["time"] = until - np.arange(len(items))[::-1] * 60_000_000
    recent["item"] = [item_key(item) for item in items]
    recent["type"], recent["weight"] = EventType.VIEW, 1.0
    return recent.tobytes()


def customers(
    histories: Mapping[str, Sequence[str]],
    catalogue: Catalogue,
    unknown: Sequence[str] = (),
    shop: Shop = SHOP,
    recent: Mapping[str, bytes] | None = None,
) -> Customers:
    """Rows of customers by the items they bought and looked at; `unknown` ones have none."""
    ids, seen = [*histories, *unknown], recent or {}
    rows = [CustomerRow(history(items), seen.get(name, b""), b"", b"", 7) for name, items in histories.items()]
    states = CustomerStates.from_rows([*rows, *[None] * len(unknown)])
    known = np.array([name in histories for name in ids])
    return Customers(
        ids=ids,
        present=known,
        complete=known,
        features=customer_features(shop, states, catalogue),
        profile=dict.fromkeys(shop.customer_attributes, np.full(len(ids), "", object)),
        histories=histories_of(states),
        position=states.position,
    )
