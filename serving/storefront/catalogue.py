"""Items' records for the pages: read from the gateway several at a time, and kept for a minute."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

from serving.rest_client import NotFoundError
from serving.storefront.shop import Shop
from streams.contracts.events import Item

KEPT_S = 60.0
KEPT = 20_000
AT_ONCE = 8
BEST = 100
"""Best-selling items that are looked at for their categories."""


class Catalogue:
    """What the pages know of items; may be shared by visits.

    Parameters
    ----------
    category
        The item attribute that stands for the category; "" if there is none.
    now
        Seconds, for the age of what is kept.
    """

    def __init__(self, shop: Shop, category: str, now: Callable[[], float] = time.monotonic) -> None:
        self._shop, self._category, self._now = shop, category, now
        self._kept: dict[str, tuple[float, Item]] = {}
        self._categories: tuple[float, list[str]] = (-KEPT_S, [])
        self._threads = ThreadPoolExecutor(AT_ONCE, "catalogue")

    def items(self, item_ids: Iterable[str]) -> dict[str, Item]:
        """Records by id; an item without one is an item of that id and no name."""
        wanted = list(dict.fromkeys(item_ids))
        oldest = self._now() - KEPT_S
        missing = [item_id for item_id in wanted if self._kept.get(item_id, (oldest - 1, None))[0] < oldest]
        if len(self._kept) + len(missing) > KEPT:
            self._kept.clear()
            missing = wanted
        self.keep(self._threads.map(self._read, missing))
        return {item_id: self._kept[item_id][1] for item_id in wanted}

    def item(self, item_id: str) -> Item:
        """One record; see `items`."""
        return self.items([item_id])[item_id]

    def keep(self, items: Iterable[Item]) -> None:
        """Remember records that came by another way."""
        now = self._now()
        self._kept.update((item.item_id, (now, item)) for item in items)

    def category(self, item: Item) -> str:
        """The item's category, "" if it has none."""
        return item.attributes.get(self._category, "")

    def categories(self, n: int) -> list[str]:
        """The categories that most of the best-selling items belong to."""
        read_at, categories = self._categories
        if not categories or self._now() - read_at > KEPT_S:
            counts = Counter(item.category for item in self._shop.popular(n=BEST).items if item.category)
            categories = [category for category, _ in counts.most_common()]
            self._categories = (self._now(), categories)
        return categories[:n]

    def _read(self, item_id: str) -> Item:
        try:
            return self._shop.item(item_id).record
        except (NotFoundError, ValueError):  # of an id that no path can hold there is no page either
            return Item(item_id=item_id)
