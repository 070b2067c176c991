"""Similar items: how long an answer takes, how soon a change is in it, and what it is worth on real baskets."""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec
import numpy as np

from benchmarks.http_load import request, saturated, steady
from benchmarks.similar_orders import beside, by_count, by_lift, by_plain_lift, by_significance
from benchmarks.similar_quality import (
    Judged,
    Lists,
    best_sellers,
    category_popular,
    later_baskets,
    lists_with,
    same_value,
)
from benchmarks.withdrawal import Catalogue
from deploy.demo.world import World
from serving.similar.answers import UnknownItemError
from serving.similar.similar_items import BLEND, SimilarItems
from serving.similar.standalone import Standalone, standalone
from serving.similar.vectors import recall
from streams import offline
from streams.contracts.codec import decode_item
from streams.contracts.events import Item
from trainer.similarity.neighbours import Plan
from trainer.similarity.reading import COLUMNS, read

Say = Callable[[str], None]

THESIS_MS = 300.0
QUESTIONS = 5_000
PER_SECOND = 50.0
CONNECTIONS = 8
PROBES = 20
TIMEOUT_S = 900.0
RECENT_DAYS = 30
ORDERS = {"count": by_count, "plain_lift": by_plain_lift, "significance": by_significance}


def run(world: World, say: Say = lambda _: None) -> dict[str, Any]:
    """Measure all of it on a running stack that knows the year up to the cut."""
    say("vectors of the catalogue, neighbours of its baskets")
    seconds = until_made(world)
    with standalone(world.settings) as found:
        some = _asked_for(world, QUESTIONS)
        say(f"{len(some)} questions in process, then over HTTP at {PER_SECOND:.0f} a second")
        figures: dict[str, Any] = {
            "items": len(found.items.catalogue),
            "texts": sum(len(each) for each in found.similar.intake.vectors.of.values()),
            "with_neighbours": len(found.similar.intake.neighbours),
            "seconds_to_make": seconds,
            "recall_at_100": _recall(found.similar),
            "inside": _inside(found, some),
            "rest": _over_rest(world, some),
            "thesis_ms": THESIS_MS,
        }
        figures["thesis_by_rest_p50"] = THESIS_MS / figures["rest"]["p50_ms"]
        say("changes and deletions")
        figures |= _changes(world, found)
        say("baskets after the cut")
        figures["quality"] = quality(world, found.similar)
    return figures


def until_made(world: World) -> float:
    """Wait until every item has its vector and baskets are counted; returns the seconds."""
    started = time.monotonic()
    items = {record.key for record in world.records(world.settings.topics.items) if record.value}
    while time.monotonic() - started < TIMEOUT_S:
        vectors = {record.key for record in world.records(world.settings.topics.item_embeddings) if record.value}
        lists = any(record.value for record in world.records(world.settings.topics.item_neighbours))
        if lists and len(items & vectors) >= 0.99 * len(items):  # the rest says nothing in words
            return time.monotonic() - started
        time.sleep(2)
    raise TimeoutError(f"no vectors or neighbours within {TIMEOUT_S:.0f} s; see {world.site.logs / 'similarity.log'}")


def _asked_for(world: World, n: int) -> list[str]:
    """Items as customers come to their pages: each as often as it was bought."""
    bought = offline.interactions(world.site.state / "offline", columns=["item_id"])["item_id"]
    places = np.random.default_rng(1).integers(0, len(bought), n)
    return list(bought.take(places).to_pylist())


def _recall(similar: SimilarItems) -> float:
    """Of the largest index, over 200 texts."""
    vectors = max(similar.intake.vectors.of.values(), key=len)
    queries = vectors[np.random.default_rng(2).choice(len(vectors), min(200, len(vectors)), replace=False)]
    return recall(vectors, queries)


def _inside(found: Standalone, some: Sequence[str]) -> dict[str, dict[str, float]]:
    """Milliseconds of a call, and calls a second of one thread, by kind of question."""
    similar, catalogue = found.similar, found.items.catalogue
    category = found.items.shop.category
    values = catalogue.attribute_values(category)
    rows = np.random.default_rng(3).choice(len(catalogue), len(some))
    any_item = [catalogue.item_ids[row] for row in rows.tolist()]
    own = {item: str(values[row]) for item in some if (row := catalogue.row(item)) is not None}
    kinds: dict[str, Callable[[int], object]] = {
        "similar": lambda k: similar.similar(some[k], 10),
        "similar_any_item": lambda k: similar.similar(any_item[k], 10),
        "similar_text_only": lambda k: similar.similar(some[k], 10, blend=0.0),
        "similar_in_category": lambda k: similar.similar(some[k], 10, category=own[some[k - 1]]),
        "bought_together": lambda k: similar.bought_together(some[k], 10),
    }
    return {name: _timed(ask, len(some)) for name, ask in kinds.items()}


def _timed(ask: Callable[[int], object], n: int) -> dict[str, float]:
    milliseconds = []
    for k in range(n):
        start = time.perf_counter()
        ask(k)
        milliseconds.append((time.perf_counter() - start) * 1000)
    return {
        "p50_ms": float(np.percentile(milliseconds, 50)),
        "p99_ms": float(np.percentile(milliseconds, 99)),
        "per_s": 1000 * len(milliseconds) / sum(milliseconds),
    }


def _over_rest(world: World, some: Sequence[str], seconds: float = 20.0) -> dict[str, Any]:
    where = urlsplit(world.environment["HEADWATER_GATEWAY_URL"])
    key = os.environ.get("HEADWATER_API_KEY")
    headers = {"Authorization": f"Bearer {key}"} if key else {}

    def requests() -> Iterator[bytes]:
        for item in itertools.cycle(some):
            yield request("GET", f"/items/{quote(item, safe='')}/similar", headers=headers)

    host, port = where.hostname or "", where.port or 80
    asyncio.run(steady(host, port, requests(), PER_SECOND, 2.0))  # connections, caches
    at_rate = asyncio.run(steady(host, port, requests(), PER_SECOND, seconds)).figures()
    most = asyncio.run(saturated(host, port, requests(), CONNECTIONS, seconds / 4))
    return at_rate | {"saturated_per_s": most.statuses[200] / most.seconds}


def _changes(world: World, found: Standalone) -> dict[str, Any]:
    """Milliseconds until a changed text moves its item, and until a deleted one is in no answer."""
    catalogue = Catalogue(world.settings)
    changed, gone = [], []
    records = {record.key.decode(): record.value for record in world.records(world.settings.topics.items)}
    asked = [item for item in _asked_for(world, 10 * PROBES) if records.get(item)]
    for probe in range(PROBES):
        item = decode_item(records[asked[probe]] or b"")
        target = decode_item(records[asked[-1 - probe]] or b"")
        if item.item_id == target.item_id:
            continue
        moved = msgspec.structs.replace(target, item_id=item.item_id)
        changed.append(_until(found, partial(catalogue.put, moved), partial(_alike, found, item, target)))
        gone.append(_until(found, partial(catalogue.delete, item.item_id), partial(_gone, found, item, target)))
        catalogue.put(item)
    return {
        "text_changed": {"p50_ms": float(np.median(changed)), "max_ms": max(changed)},
        "item_deleted": {"p50_ms": float(np.median(gone)), "max_ms": max(gone)},
    }


def _until(found: Standalone, change: Callable[[], None], holds: Callable[[], bool]) -> float:
    """Milliseconds from a change until something holds."""
    change()
    started = time.perf_counter()
    while not holds():
        if time.perf_counter() - started > 30:
            raise TimeoutError("a change of an item is in no answer after 30 s")
        found.follow(0.01)
    return (time.perf_counter() - started) * 1000


def _alike(found: Standalone, item: Item, target: Item) -> bool:
    rows = np.array([found.items.catalogue.row(each.item_id) or 0 for each in (item, target)])
    places = [found.similar.intake.vectors.place(row) for row in rows.tolist()]
    return places[0] is not None and places[0] == places[1]


def _gone(found: Standalone, item: Item, target: Item) -> bool:
    try:
        found.similar.similar(item.item_id, 1)
    except UnknownItemError:
        return item.item_id not in {each.item_id for each in found.similar.similar(target.item_id, 100, blend=0.0)}
    return False


def quality(world: World, similar: SimilarItems) -> dict[str, Any]:
    """Hit rates at 10 on baskets after the cut, and the share of neighbours of the same product type; all customers."""
    attributes = {item.item_id: item.attributes for item in world.source.items()}
    shop = world.shop
    category = {item: found.get(shop.category, "") for item, found in attributes.items()}
    kind = {item: found.get("product_type", "") for item, found in attributes.items()}
    store, day = world.site.state / "offline", 86_400_000_000
    before = read(offline.parts(store, until_time=world.cut + 1, columns=COLUMNS))
    popular = category_popular(before.where(before.time > world.cut - RECENT_DAYS * day), category)
    later, staples = later_baskets(world.source, world.cut), best_sellers(before)
    ways: dict[str, Lists] = {
        "category_popular": popular,
        **{f"similar_blend_{blend}": _lists(similar, blend) for blend in (0.0, BLEND, 1.0)},
        "bought_together": cache(lambda item: [each.item_id for each in _answer(similar.bought_together, item)]),
    }
    asked = [later.item_ids[item] for item in np.unique(later.items).tolist()]
    figures: dict[str, Any] = {"baskets": len(later), "anchors": int(later.sizes.sum()), "items": len(asked)}
    for name, lists in ways.items():
        judged = Judged(later, lists)
        figures[name] = {
            "next_basket": judged.next_baskets(),
            "same_basket": judged.same_basket(),
            "same_product_type": same_value(asked, lists, kind),
        }
    listed = np.array([each in attributes for each in before.item_ids])
    orders = beside(before, listed, {**ORDERS, "lift_with_prior": by_lift(Plan().prior)})
    others: dict[str, Lists] = {name: _listed(found) for name, found in orders.items()}
    others |= {"category_popular": popular, "best_sellers": lambda item: [each for each in staples if each != item]}
    figures["together_by"] = {
        name: Judged(later, lists).same_basket() | {"with_a_best_seller": lists_with(staples, map(lists, asked))}
        for name, lists in others.items()
    }
    return figures


def _listed(found: Mapping[str, Sequence[str]]) -> Lists:
    return lambda item: found.get(item, [])


def _lists(similar: SimilarItems, blend: float) -> Lists:
    return cache(lambda item: [each.item_id for each in _answer(lambda i, n: similar.similar(i, n, blend=blend), item)])


def _answer(ask: Callable[[str, int], list[Any]], item: str) -> list[Any]:
    try:
        return ask(item, 10)
    except UnknownItemError:
        return []
