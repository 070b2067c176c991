"""A shop's data as files, for a benchmark that needs no running stack.

::

    <directory>/offline/          every interaction, as the offline store holds them
               /items.jsonl       one catalogue record a line, as on the topic `items`
               /customers.jsonl   one profile a line, as on the topic `customers`

The main environment, which has the sources, writes it; the trainer's reads it.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from feature_repo.catalogue import Catalogue
from feature_repo.shop import Shop
from streams import offline
from streams.catalogue_feed import catalogue_item
from streams.contracts.events import Customer, Item
from streams.sources.source import Source
from trainer import inputs
from trainer.inputs import Inputs

OFFLINE, ITEMS, CUSTOMERS = "offline", "items.jsonl", "customers.jsonl"


def write(source: Source, shop: Shop, path: Path) -> None:
    """Write everything a source holds into a directory, which is replaced; it appears whole or not at all."""
    draft = path.with_name(f"{path.name}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    table = source.interactions_table(currency_exponent=shop.currency_exponent)
    offline.write_range(draft / OFFLINE, table, offline.BACKFILL, 0, table.num_rows)
    _write_lines(draft / ITEMS, source.items())
    _write_lines(draft / CUSTOMERS, source.customers())
    shutil.rmtree(path, ignore_errors=True)
    draft.rename(path)


def read(path: Path, shop: Shop, happened_until: int | None = None) -> Inputs:
    """Read what `write` wrote; an event counts as known from the moment it happened.

    happened_until: microseconds since the epoch, inclusive: no later event is read. None: all there are.

    Raises FileNotFoundError where the directory is none of `write`'s.
    """
    if not (path / ITEMS).exists():
        raise FileNotFoundError(f"{path} holds no {ITEMS}: `headwater evaluate --scoring` writes the directory")
    catalogue = Catalogue(shop.item_attributes)
    items = msgspec.json.Decoder(Item).decode_lines((path / ITEMS).read_bytes())
    catalogue.upsert(catalogue_item(item, shop.currency_exponent) for item in items)
    customers = msgspec.json.Decoder(Customer).decode_lines((path / CUSTOMERS).read_bytes())
    profiles = {customer.customer_id: dict(customer.attributes) for customer in customers}
    return inputs.read(path / OFFLINE, shop, catalogue, profiles, happened_until=happened_until, event_clock=True)


def _write_lines(path: Path, records: Iterable[Any]) -> None:
    encoder = msgspec.json.Encoder()
    with path.open("wb") as file:
        for record in records:
            file.write(encoder.encode(record) + b"\n")
