"""Similar items as a process has them: answers over followed topics."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from serving.items_table import ItemsTable
from serving.similar.followers import Intake, SimilarFollower
from serving.similar.neighbourhood import BLEND, MOST, Neighbourhood
from streams.contracts.topics import Topics

__all__ = ["BLEND", "MOST", "SimilarItems"]


class SimilarItems(Neighbourhood):
    """`start` before the first question, once `items` is loaded; `stop` at the end. The rest is `Neighbourhood`'s."""

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
