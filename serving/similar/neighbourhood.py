"""Items like an item, and items bought with it: candidates from text and baskets, filtered, scored, ordered."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serving.item_matrix import day_of
from serving.items_table import ItemsTable
from serving.similar.answers import NoCategoryError, SimilarItem, UnknownItemError, Why
from serving.similar.blend import best, blended
from serving.similar.evidence import Evidence, popularity_of, selling, strengths
from serving.similar.followers import Intake
from serving.similar.item_vectors import NONE, Rows
from streams.contracts.operations import ItemNeighbours, Neighbour

BLEND = 0.5
"""Default weight of what baskets say beside what texts say; measured in docs/similar.md."""
MOST = 100
"""Items that can be asked for."""
_SLOTS = 64
"""Texts looked at, at least."""
_OF_ONE_TEXT = 100
"""Items of one text looked at, those that sell best."""
_ENOUGH = 400
"""Items of the nearest texts looked at; of the next text all are, or none."""
_NOTHING = ItemNeighbours(item_id="", counted_until=0)


@dataclass(frozen=True)
class _Wanted:
    """What an answer may hold, and what orders items that nothing else tells apart.

    Attributes
    ----------
    row: of the item that is asked about; never in the answer.
    available: whether items that are not available are left out.
    category: code of the category that items must have, None for any.
    popularity: float64[n], time-weighted purchases by catalogue row; rows that came later have none.
    """

    row: int
    available: bool
    category: int | None
    popularity: NDArray[np.float64]


class Neighbourhood:
    """Answers from what an `Intake` holds, for any number of threads.

    Parameters
    ----------
    items
        Followed by someone else: what is withdrawn there is in no answer from then on.
    as_of
        The instant for which popularity is looked up, microseconds since the epoch.
    """

    def __init__(self, items: ItemsTable, intake: Intake, as_of: Callable[[], int]) -> None:
        self.intake = intake
        self._items, self._as_of = items, as_of
        self._vectors, self._neighbours, self._deleted = intake.vectors, intake.neighbours, intake.deleted

    @property
    def item_ids(self) -> Sequence[str]:
        """Ids of the items by catalogue row, which is what `evidence` tells."""
        return self._items.catalogue.item_ids

    def warm_up(self) -> None:
        """Do once what the first question would wait for."""
        self._popularity()

    def similar(
        self, item_id: str, n: int, *, category: str | None = None, available_only: bool = True, blend: float = BLEND
    ) -> list[SimilarItem]:
        """The `n` items most like an item, best first.

        Where texts and baskets say too little to fill the answer, the best selling of the category asked for, else of
        the item's own, come last.

        Parameters
        ----------
        category
            Only items of this category.
        available_only
            Whether to leave out what the shop keeps hidden; deleted items are left out always.
        blend
            0: by text alone; 1: by baskets alone.

        Raises
        ------
        UnknownItemError
            Nothing is known of the item, or it was deleted.
        NoCategoryError
            A category is asked for in a shop that has none.
        """
        wanted = self._wanted(item_id, category, available_only)
        if wanted is None:
            return []
        together, instead = self._beside(item_id)
        found = self._evidence(wanted, n, together, instead)
        scores = blended(found, blend)
        first = best(found, scores, n)
        items = [
            self._item(int(found.rows[k]), float(scores[k]), float(found.cosine[k]), together, instead)
            for k in first.tolist()
        ]
        return items + self._popular(wanted, {wanted.row, *found.rows[first].tolist()}, n - len(items))

    def evidence(self, item_id: str, n: int) -> Evidence:
        """What speaks for each candidate of `n` available items of any category; raises UnknownItemError."""
        wanted = _Wanted(self._row(item_id), True, None, self._popularity())
        return self._evidence(wanted, n, *self._beside(item_id))

    def bought_together(self, item_id: str, n: int) -> list[SimilarItem]:
        """The `n` items that share baskets with an item by more than chance, best first; raises as `similar`."""
        wanted = self._wanted(item_id, None, True)
        lists = self._neighbours.of(item_id)
        if wanted is None or lists is None:
            return []
        together = self._by_row(lists.together)
        rows = np.array(list(together), np.int64)
        kept = rows[self._allowed(rows, wanted)][:n].tolist()
        return [self._item(row, together[row].score, float("nan"), together, {}) for row in kept]

    def _wanted(self, item_id: str, category: str | None, available: bool) -> _Wanted | None:
        """What is asked for; None where there can be nothing, for no item is of that category."""
        catalogue, shop = self._items.catalogue, self._items.shop
        row, code = self._row(item_id), None
        if category is not None:
            if not shop.category:
                raise NoCategoryError("a category is asked for, but the shop's profile names none")
            values = catalogue.codes[shop.category].values
            if not category or category not in values:
                return None
            code = values.index(category)
        return _Wanted(row, available, code, self._popularity())

    def _row(self, item_id: str) -> int:
        row = self._items.catalogue.row(item_id)
        if row is None or item_id in self._deleted:
            raise UnknownItemError(f"item {item_id!r} is not in the catalogue; PUT /items/{{item_id}} makes it")
        return row

    def _beside(self, item_id: str) -> tuple[dict[int, Neighbour], dict[int, Neighbour]]:
        """What baskets say: neighbours bought together and bought instead, by row."""
        lists = self._neighbours.of(item_id) or _NOTHING
        return self._by_row(lists.together), self._by_row(lists.instead)

    def _evidence(
        self, wanted: _Wanted, n: int, together: Mapping[int, Neighbour], instead: Mapping[int, Neighbour]
    ) -> Evidence:
        near = self._near(wanted, n)
        rows = np.unique(np.concatenate([near, *(np.array(list(each), np.int64) for each in (together, instead))]))
        rows = rows[self._allowed(rows, wanted)]
        return Evidence(
            rows, self._cosines(wanted.row, rows), strengths(together, rows), strengths(instead, rows),
            selling(rows, wanted.popularity),
        )  # fmt: skip

    def _popularity(self) -> NDArray[np.float64]:
        return self._items.trending(day_of(self._as_of()), exact=False).weights

    def _by_row(self, neighbours: list[Neighbour]) -> dict[int, Neighbour]:
        """Neighbours that the catalogue knows, by row, in their order."""
        rows = ((self._items.catalogue.row(each.item_id), each) for each in neighbours)
        return {row: each for row, each in rows if row is not None and each.item_id not in self._deleted}

    def _allowed(self, rows: Rows, wanted: _Wanted) -> NDArray[np.bool_]:
        catalogue = self._items.catalogue
        keep: NDArray[np.bool_] = rows != wanted.row
        if wanted.available:
            keep &= catalogue.available[rows]
        if wanted.category is not None:
            keep &= catalogue.attribute(self._items.shop.category)[rows] == wanted.category
        return keep

    def _near(self, wanted: _Wanted, n: int) -> Rows:
        """Rows of the items nearest by text that are allowed, at least `n` if there are so many."""
        place = self._vectors.place(wanted.row)
        if place is None:
            return np.zeros(0, np.int64)
        encoder, slot = place
        vectors = self._vectors.of[encoder]
        query = vectors[np.array([slot])][0]
        if wanted.category is None:
            slots = vectors.nearest(query, max(_SLOTS, 2 * n)).slots
            rows = self._of_slots(encoder, slots, wanted)
            if len(rows) >= n:
                return rows
        return self._of_slots(
            encoder, vectors.nearest(query, max(_SLOTS, 2 * n), self._slots(encoder, wanted)).slots, wanted
        )

    def _of_slots(self, encoder: str, slots: Rows, wanted: _Wanted) -> Rows:
        """Allowed rows of the slots; of a text that many items share, those that sell best."""
        few: list[int] = []
        found = []
        for slot in slots.tolist():
            if len(few) > _ENOUGH:
                break
            sharing = self._vectors.rows(encoder, slot)
            if len(sharing) <= _OF_ONE_TEXT:
                few += sharing
            else:
                found.append(self._bestselling(np.array(sharing, np.int64), wanted))
        rows = np.array(few, np.int64)
        return np.concatenate([rows[self._allowed(rows, wanted)], *found])

    def _bestselling(self, rows: Rows, wanted: _Wanted) -> Rows:
        rows = rows[self._allowed(rows, wanted)]
        if len(rows) <= _OF_ONE_TEXT:
            return rows
        order = np.argpartition(-popularity_of(rows, wanted.popularity), _OF_ONE_TEXT)
        return rows[order[:_OF_ONE_TEXT]]

    def _slots(self, encoder: str, wanted: _Wanted) -> NDArray[np.bool_]:
        """bool[slots]: which texts have an item that is allowed."""
        catalogue = self._items.catalogue
        if wanted.category is not None:
            rows = np.flatnonzero(catalogue.attribute(self._items.shop.category) == wanted.category)
        else:
            rows = np.arange(len(catalogue))
        slots = self._vectors.slots(encoder, rows[self._allowed(rows, wanted)])
        mask = np.zeros(len(self._vectors.of[encoder]), np.bool_)
        mask[slots[slots != NONE]] = True
        return mask

    def _cosines(self, row: int, rows: Rows) -> NDArray[np.float32]:
        """float32[k]: cosine of each item's text with that of `row`; NaN where one has none by the same encoder."""
        out = np.full(len(rows), np.nan, np.float32)
        place = self._vectors.place(row)
        if place is not None:
            encoder, slot = place
            vectors, slots = self._vectors.of[encoder], self._vectors.slots(encoder, rows)
            has = slots != NONE
            distinct, which = np.unique(slots[has], return_inverse=True)
            out[has] = (vectors[distinct] @ vectors[np.array([slot])][0])[which]
        return out

    def _popular(self, wanted: _Wanted, held: set[int], n: int) -> list[SimilarItem]:
        """What sells best in the category, without what the answer holds already."""
        category = self._items.shop.category
        if n <= 0 or not category:
            return []
        code = wanted.category
        if code is None:
            code = int(self._items.catalogue.attribute(category)[wanted.row])
        trending = self._items.trending(day_of(self._as_of()), exact=False)
        rows = trending.best_of(code, 8 * (n + len(held))) if code else np.zeros(0, np.int64)
        rows = rows[self._allowed(rows, wanted)]
        ids = self._items.catalogue.item_ids
        kept = [row for row in rows.tolist() if row not in held and ids[row] not in self._deleted][:n]
        return [self._item(row, 0.0, float("nan"), {}, {}, popular=True) for row in kept]

    def _item(
        self,
        row: int,
        score: float,
        cosine: float,
        together: Mapping[int, Neighbour],
        instead: Mapping[int, Neighbour],
        *,
        popular: bool = False,
    ) -> SimilarItem:
        catalogue, shop = self._items.catalogue, self._items.shop
        category = (
            catalogue.codes[shop.category].values[catalogue.attribute(shop.category)[row]] if shop.category else ""
        )
        price = int(catalogue.price[row])
        reasons = {Why.TEXT: cosine == cosine, Why.TOGETHER: row in together, Why.INSTEAD: row in instead}
        return SimilarItem(
            item_id=catalogue.item_ids[row],
            score=round(score, 6),
            name=catalogue.names[row] or None,
            category=category or None,
            price=None if price < 0 else round(price / 10.0**shop.currency_exponent, shop.currency_exponent),
            because=[Why.POPULAR] if popular else [why for why, holds in reasons.items() if holds],
            cosine=round(cosine, 4) if cosine == cosine else None,
            together=together[row].baskets if row in together else 0,
            instead=instead[row].baskets if row in instead else 0,
        )
