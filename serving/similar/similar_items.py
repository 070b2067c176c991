"""Similar items as a process has them: answers over followed topics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from serving.items_table import ItemsTable
from serving.similar.answers import SimilarItem
from serving.similar.followers import Intake, SimilarFollower
from serving.similar.neighbourhood import BLEND, MOST, Neighbourhood
from streams.contracts.observability import SIMILAR_SECONDS, SIMILAR_SHOWN
from streams.contracts.topics import Topics

__all__ = ["BLEND", "MOST", "SimilarItems"]


class SimilarItems(Neighbourhood):
    """`start` before the first question, once `items` is loaded; `stop` at the end.

    The rest is `Neighbourhood`'s; how long its answers take and what speaks for their items are told as metrics.
    """

    def __init__(self, items: ItemsTable, topics: Topics, config: Mapping[str, Any], as_of: Callable[[], int]) -> None:
        intake = Intake(items.catalogue.row)
        super().__init__(items, intake, as_of)
        self._follower = SimilarFollower(intake, topics, config)

    def start(self) -> None:
        """Load what is there, then follow what comes; returns when the first question may."""
        self._follower.load()
        self.warm_up()
        self._follower.start()

    def stop(self) -> None:
        """End the followers."""
        self._follower.stop()

    def similar(
        self, item_id: str, n: int, *, category: str | None = None, available_only: bool = True, blend: float = BLEND
    ) -> list[SimilarItem]:
        """See `Neighbourhood.similar`."""
        with SIMILAR_SECONDS.labels("similar").time():
            found = super().similar(item_id, n, category=category, available_only=available_only, blend=blend)
        return _told(found)

    def bought_together(self, item_id: str, n: int) -> list[SimilarItem]:
        """See `Neighbourhood.bought_together`."""
        with SIMILAR_SECONDS.labels("bought together").time():
            found = super().bought_together(item_id, n)
        return _told(found)


def _told(found: list[SimilarItem]) -> list[SimilarItem]:
    """Count what speaks for the items shown."""
    for why, items in Counter(why for item in found for why in item.because).items():
        SIMILAR_SHOWN.labels(why.value).inc(items)
    return found
