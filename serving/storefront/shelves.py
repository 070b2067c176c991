"""From an answer to the shelves of the home page, and what has moved since the answer before."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from streams.contracts.requests import RecommendedItem, Reply, Source

FOR_YOU = 12
SHELF = 6


class Movement(enum.Enum):
    """What became of an item's place since the answer before."""

    NEW = "new"
    UP = "up"
    DOWN = "down"
    STAYED = "stayed"


@dataclass(frozen=True)
class Placed:
    """An item on a shelf that came out of an answer; `place` counts from 1, `moved` is how many places up."""

    item: RecommendedItem
    place: int
    movement: Movement = Movement.STAYED
    moved: int = 0


def placed(now: Reply, before: Reply | None) -> list[Placed]:
    """The answer's items in order, each with what became of its place."""
    old = {item.item_id: place for place, item in enumerate(before.items, 1)} if before is not None else None
    return [_placed(item, place, old) for place, item in enumerate(now.items, 1)]


def _placed(item: RecommendedItem, place: int, old: dict[str, int] | None) -> Placed:
    if old is None:
        return Placed(item, place)
    was = old.get(item.item_id)
    if was is None:
        return Placed(item, place, Movement.NEW)
    movement = Movement.UP if was > place else Movement.DOWN if was < place else Movement.STAYED
    return Placed(item, place, movement, was - place)


def for_you(items: Sequence[Placed]) -> list[Placed]:
    """The first of the answer, as it ranks them."""
    return list(items[:FOR_YOU])


def this_session(items: Sequence[Placed]) -> list[Placed]:
    """What was proposed because of what the customer does in this session, as the answer ranks it."""
    return [each for each in items if Source.SESSION in each.item.sources][:SHELF]


def buy_again(items: Sequence[Placed]) -> list[Placed]:
    """What the customer has bought before and is not among the first of the answer."""
    return [each for each in items[FOR_YOU:] if Source.HISTORY in each.item.sources][:SHELF]


def risen(items: Sequence[Placed]) -> list[Placed]:
    """What rose most since the answer before, the greatest rise first; what was in no place before it comes first."""
    rose = [each for each in items if each.movement in (Movement.NEW, Movement.UP)]
    return sorted(rose, key=lambda each: (each.movement is not Movement.NEW, -each.moved, each.place))[:SHELF]


def moved(now: Reply, before: Reply | None) -> int:
    """How many items stand elsewhere in the answer than in the one before; new ones do."""
    return sum(each.movement is not Movement.STAYED for each in placed(now, before))
