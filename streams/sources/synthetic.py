"""A shop that never was: any number of events, from a seed. For scale and for tests, never to claim quality.

Planted in it: customers of a segment share a taste in categories, which drifts from one to another over the time
covered; every customer has favourite items that are bought again and again; items' popularity is skewed and changes
from week to week; so is customers' activity; some purchases are returned; days have a rhythm.
"""

from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from streams.contracts.events import Customer, InteractionType, Item
from streams.sources.source import SCHEMA, Source, cut, joined

_DAY = 86_400_000_000
_BLOCK = 50_000
_FAVOURITES = 6
_EVENING = 19 / 24

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[Any]

_TYPES = np.array(["view", "click", "add_to_cart", "remove_from_cart", "purchase", "rating", "impression", "return"])
_SHARES = np.array([0.42, 0.16, 0.1, 0.02, 0.22, 0.03, 0.05])  # returns come out of purchases
_PURCHASE = int(np.flatnonzero(_TYPES == InteractionType.PURCHASE)[0])
_RATING = int(np.flatnonzero(_TYPES == InteractionType.RATING)[0])
_RETURN = int(np.flatnonzero(_TYPES == InteractionType.RETURN)[0])
_WORDS = (
    "Amber", "Birch", "Cedar", "Delta", "Ember", "Fjord", "Grove", "Harbor",
    "Iris", "Juniper", "Kelp", "Linen", "Maple", "North", "Ocean", "Pine",
)  # fmt: skip


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Size and shape.

    Attributes
    ----------
    days: time covered, up to `end`.
    end: microseconds since the epoch.
    favourites: share of events that go to the customer's favourite items.
    returns: share of purchases that are taken back.
    skew: sigma of the logarithm of customers' activity, 1.3 to 1.6 in a large shop (the busiest of 100,000 has a
        hundred times the mean); 0 is a mild skew.
    """

    events: int = 100_000
    customers: int = 2_000
    items: int = 5_000
    categories: int = 24
    segments: int = 8
    days: float = 90.0
    end: int = 1_767_225_600_000_000  # 2026-01-01
    seed: int = 0
    favourites: float = 0.4
    returns: float = 0.02
    skew: float = 0.0

    def __post_init__(self) -> None:
        for name in ("events", "customers", "items", "categories", "segments"):
            if getattr(self, name) < 1:
                raise ValueError(f"synthetic: {name} is {getattr(self, name)}; it must be at least 1")
        if self.days <= 0 or self.categories > self.items:
            raise ValueError("synthetic: days must be above 0, and there can't be more categories than items")
        if not 0 <= self.skew <= 3:
            raise ValueError(f"synthetic: skew is {self.skew}; it must lie in 0 .. 3")


class Synthetic(Source):
    """Generated events. The n-th event depends on the options and n only, whatever span is asked for."""

    name = "synthetic"

    def __init__(self, options: Options | None = None) -> None:
        super().__init__()
        self.options = o = options or Options()
        rng = np.random.default_rng([o.seed, 1])
        # Every category gets at least one item; after that, large ones get more.
        sizes = rng.dirichlet(np.full(o.categories, 2.0))
        extra = rng.choice(o.categories, size=o.items - o.categories, p=sizes)
        self._category: Ints = np.sort(np.concatenate([np.arange(o.categories), extra]))
        self._bounds: Ints = np.searchsorted(self._category, np.arange(o.categories + 1))
        self._brand: Ints = rng.integers(0, max(2, o.items // 50), o.items)
        self._price: Floats = np.round(np.clip(rng.lognormal(2.0, 0.8, o.items), 0.1, 5000.0), 2)
        self._appeal: Floats = rng.pareto(1.6, o.items) + 0.05
        self._peak: Floats = rng.uniform(-0.2, 1.2, o.items)
        self._segment: Ints = rng.integers(0, o.segments, o.customers)
        activity = rng.lognormal(0.0, o.skew, o.customers) if o.skew else rng.gamma(0.8, 1.0, o.customers) + 0.02
        self._activity: Floats = np.cumsum(activity)
        self._tastes: Floats = np.cumsum(rng.dirichlet(np.full(o.categories, 0.25), (2, o.segments)), axis=2)
        everyone = np.repeat(np.arange(o.customers), _FAVOURITES)
        draws = rng.random((2, len(everyone)))
        liked = self._pick(0.0, self._segment[everyone], draws[0], draws[1])
        self._liked: Ints = liked.reshape(o.customers, _FAVOURITES)

    def fingerprint(self) -> str:
        """All options."""
        return msgspec.json.encode(self.options).decode()

    def customers(self) -> Iterator[Customer]:
        """Their one attribute is the segment."""
        for row, segment in enumerate(self._segment.tolist()):
            yield Customer(customer_id=f"c{row}", attributes={"segment": f"segment-{segment}"})

    def items(self) -> Iterator[Item]:
        """With category, brand and price."""
        columns = zip(self._category.tolist(), self._brand.tolist(), self._price.tolist(), strict=True)
        for row, (category, brand, price) in enumerate(columns):
            label = f"{_WORDS[brand % len(_WORDS)]} {_WORDS[(category * 7 + row) % len(_WORDS)].lower()} no. {row}"
            yield Item(
                item_id=f"i{row}",
                name=label,
                price=price,
                attributes={"category": f"category-{category}", "brand": f"brand-{brand}"},
            )

    def chunks(self, start: int | None = None, stop: int | None = None) -> Iterator[pa.Table]:
        """Blocks of events; those outside the span are not generated."""
        for block in range(-(-self.options.events // _BLOCK)):
            first, last = self._times(np.array([block * _BLOCK, (block + 1) * _BLOCK], dtype=np.float64))
            if (start is None or last >= start) and (stop is None or first < stop):
                yield from cut(self._block(block), start, stop)

    def count(self, start: int | None = None, stop: int | None = None) -> int:
        """All events are known to be `events`; parts are generated to be counted."""
        return self.options.events if start is None and stop is None else super().count(start, stop)

    def span(self) -> tuple[int, int] | None:
        """From the first and the last block."""
        last = -(-self.options.events // _BLOCK) - 1
        return self._block(0)["time"][0].as_py(), self._block(last)["time"][-1].as_py()

    def _times(self, index: Floats) -> Ints:
        """Event times, ascending: evenly spread, then bent so that evenings are busier than nights."""
        o = self.options
        even = o.end - o.days * _DAY + index * (o.days * _DAY / o.events)
        swing = np.sin((even / _DAY - _EVENING) * (2 * np.pi)) - np.sin((o.end / _DAY - _EVENING) * (2 * np.pi))
        bent = even - swing * (_DAY * 0.7 / (2 * np.pi))
        micros: Ints = np.minimum(bent.astype(np.int64), o.end - 1)
        return micros

    def _block(self, block: int) -> pa.Table:
        o = self.options
        rng = np.random.default_rng([o.seed, 2, block])
        index = np.arange(block * _BLOCK, min(o.events, (block + 1) * _BLOCK), dtype=np.int64)
        n = len(index)
        time = self._times(index + rng.random(n))
        progress = float((index[0] + n / 2) / o.events)
        customer = np.searchsorted(self._activity, rng.random(n) * self._activity[-1])
        item = self._pick(progress, self._segment[customer], rng.random(n), rng.random(n))
        again = rng.random(n) < o.favourites
        item = np.where(again, self._liked[customer, rng.integers(0, _FAVOURITES, n)], item)
        kind = np.searchsorted(np.cumsum(_SHARES), rng.random(n) * _SHARES.sum())
        bought = kind == _PURCHASE
        quantity = np.where(bought, 1 + rng.geometric(0.7, n) // 2, 1)
        price = np.round(self._price[item] * np.where(rng.random(n) < 0.2, 0.8, 1.0), 2)
        returned, origin = _returns(kind, rng, o.returns)
        kind[returned] = _RETURN
        for column in (customer, item, quantity, price):
            column[returned] = column[origin]
        return self._table(index, customer, item, kind, time, quantity, price, rng)

    def _pick(self, progress: float, segment: Ints, draw: Floats, second: Floats) -> Ints:
        """Items by taste of the segment, then by popularity in the week; two uniform draws an event."""
        tastes = (1 - progress) * self._tastes[0] + progress * self._tastes[1]
        segments = len(tastes)
        steps = (tastes / tastes[:, -1:] + np.arange(segments)[:, None]).ravel()
        category = np.searchsorted(steps, segment + draw) % self.options.categories
        week = np.floor(progress * self.options.days / 7) * 7 / self.options.days
        weights = np.cumsum(self._appeal * (0.1 + np.exp(-(((week - self._peak) / 0.15) ** 2))))
        below = np.concatenate(([0.0], weights))
        low, high = below[self._bounds[category]], below[self._bounds[category + 1]]
        item = np.searchsorted(weights, low + second * (high - low), side="right")
        picked: Ints = np.clip(item, self._bounds[category], self._bounds[category + 1] - 1)
        return picked

    def _table(
        self, index: Ints, customer: Ints, item: Ints, kind: Ints, time: Ints, quantity: Ints, price: Floats,
        rng: np.random.Generator,
    ) -> pa.Table:  # fmt: skip
        n = len(index)
        customer_id = joined_ids("c", customer)
        session = joined(customer_id, pa.array(time // _DAY).cast(pa.string()))
        rated = kind == _RATING
        priced = (kind == _PURCHASE) | (kind == _RETURN)
        context = pa.array([f'{{"channel":"{name}"}}' for name in ("web", "app", "store")])
        return pa.table(
            [
                joined(pa.scalar(f"s{self.options.seed}"), pa.array(index).cast(pa.string())),
                customer_id,
                joined_ids("i", item),
                pa.array(_TYPES).take(pa.array(kind)),
                pa.array(time),
                pa.array(quantity.astype(np.int32)),
                pa.array(price, mask=~priced),
                pa.array(rng.integers(1, 6, n).astype(np.float64), mask=~rated),
                session,
                context.take(pa.array(rng.integers(0, 3, n))),
            ],
            schema=SCHEMA,
        )


def joined_ids(letter: str, rows: Ints) -> pa.ChunkedArray:
    """'c' and 17 -> 'c17'."""
    return pc.binary_join_element_wise(pa.scalar(letter), pa.array(rows).cast(pa.string()), "")


def _returns(kind: Ints, rng: np.random.Generator, share: float) -> tuple[Ints, Ints]:
    """Rows that become returns, and for each an earlier purchase of the block, which it takes back."""
    purchases = np.flatnonzero(kind == _PURCHASE)
    others = np.flatnonzero(kind != _PURCHASE)
    count = min(int(len(purchases) * share), len(others))
    returned = np.sort(rng.choice(others, size=count, replace=False))
    earlier = np.searchsorted(purchases, returned)
    returned, earlier = returned[earlier > 0], earlier[earlier > 0]
    return returned, purchases[(rng.random(len(returned)) * earlier).astype(np.int64)]
