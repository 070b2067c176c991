"""Why an item is in an answer, in words: who proposed it, and what of its features is worth telling."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from serving.rest_client import SimilarItem
from serving.similar.answers import Why
from serving.storefront.shelves import Movement, Placed
from streams.contracts.requests import RecommendedItem, Source

NEVER_DAYS = 3650.0
"""What features say for never."""

JUST_NOW_DAYS = 1 / 24

PROPOSED = {
    Source.HISTORY: "You have bought it before",
    Source.SESSION: "It goes with what you are looking at right now",
    Source.TASTE: "Customers who buy what you buy have it, too",
    Source.TWO_TOWER: "It is much like what you buy",
    Source.HOT: "Many customers are looking at it this hour",
    Source.TRENDING: "It sells well in these weeks",
}
"""A sentence for each source of candidates, the most personal first."""

_SHORT = {
    Source.HISTORY: "Bought before",
    Source.SESSION: "From this session",
    Source.TASTE: "Your taste",
    Source.TWO_TOWER: "Like what you buy",
    Source.HOT: "Hot right now",
    Source.TRENDING: "Popular",
}


_BESIDE = {
    Why.TOGETHER: "In one basket",
    Why.INSTEAD: "Bought instead",
    Why.TEXT: "Much alike",
    Why.POPULAR: "Popular",
}


@dataclass(frozen=True)
class Evidence:
    """One thing that speaks of the item; strength, 0 to 1, draws a bar, None draws none."""

    text: str
    strength: float | None = None


def reason(item: RecommendedItem) -> str:
    """The one most personal reason, in two or three words; "" where nobody says."""
    told = item.explanation or {}
    if told.get("session_in_cart", 0) > 0:
        return "In your cart"
    if told.get("pair_lines", 0) >= 1 and told.get("pair_recency_days", NEVER_DAYS) < JUST_NOW_DAYS:
        return "Just bought"
    if told.get("session_views", 0) > 0:
        return "You looked at this"
    if told.get("pair_lines", 0) >= 2:
        return f"Bought {told['pair_lines']:.0f} times"
    return next((short for source, short in _SHORT.items() if source in item.sources), "")


def steps(placed: Placed) -> str:
    """From which place in the ranking to which."""
    if placed.movement is Movement.NEW:
        return f"New, place {placed.place}"
    return f"Place {placed.place + placed.moved} → {placed.place}"


def neighbourly(item: SimilarItem) -> str:
    """Why an item stands beside another, in two or three words."""
    if item.together > 1 and Why.TOGETHER in item.because:
        return f"{item.together} baskets with both"
    return next((short for why, short in _BESIDE.items() if why in item.because), "")


def proposals(item: RecommendedItem) -> list[tuple[Source, str]]:
    """Who proposed the item, the most personal first, each with a sentence."""
    return [(source, sentence) for source, sentence in PROPOSED.items() if source in item.sources]


def evidence(told: Mapping[str, float]) -> list[Evidence]:
    """What the pair's features say, in sentences; what says nothing is left out.

    Parameters
    ----------
    told
        Columns of the pair (docs/features.md) by name, before they are encoded.
    """
    found = [rule(told) for rule in _RULES]
    return [each for each in found if each is not None] + _shares(told)


def _bought(told: Mapping[str, float]) -> Evidence | None:
    lines, share = told.get("pair_lines", 0.0), told.get("pair_share_of_days")
    if lines < 1:
        return None
    often = f", on {share:.0%} of your shopping days" if share else ""
    return Evidence(f"You bought it {_times(lines)}{often}", min(1.0, told.get("pair_reciprocal_rank", 0.0)))


def _rhythm(told: Mapping[str, float]) -> Evidence | None:
    recency, interval = told.get("pair_recency_days", NEVER_DAYS), told.get("pair_interval_days", 0.0)
    if recency >= NEVER_DAYS:
        return None
    if interval <= 0:
        return Evidence(f"The last time was {_ago(recency)}")
    return Evidence(f"The last time was {_ago(recency)}; usually {_days(interval)} pass", min(1.0, recency / interval))


def _session(told: Mapping[str, float]) -> Evidence | None:
    if told.get("session_in_cart", 0) > 0:
        return Evidence("It is in your cart", 1.0)
    views = told.get("session_views", 0.0)
    return Evidence(f"You looked at it {_times(views)} in this session", min(1.0, views / 3)) if views >= 1 else None


def _session_category(told: Mapping[str, float]) -> Evidence | None:
    views = told.get("session_category_views", 0.0)
    return (
        Evidence(f"You looked {_times(views)} at its category in this session", min(1.0, views / 5)) if views else None
    )


def _category(told: Mapping[str, float]) -> Evidence | None:
    lines = told.get("category_lines", 0.0)
    if lines < 1:
        return None
    last = told.get("category_recency_days", NEVER_DAYS)
    when = f", the last time {_ago(last)}" if last < NEVER_DAYS else ""
    return Evidence(f"You bought from its category {_times(lines)}{when}", told.get("category_reciprocal_rank"))


def _trending(told: Mapping[str, float]) -> Evidence | None:
    score = told.get("trending", 0.0)
    return Evidence(f"Its trend score is {score:.1f} this minute", min(1.0, score / 20)) if score >= 0.05 else None


def _shares(told: Mapping[str, float]) -> list[Evidence]:
    shares = [(told[name], name.removeprefix("share_of_")) for name in told if name.startswith("share_of_")]
    return [
        Evidence(f"{share:.0%} of what you buy has the same {attribute.replace('_', ' ')}", min(1.0, share))
        for share, attribute in sorted(shares, reverse=True)
        if share >= 0.005
    ]


_RULES: tuple[Callable[[Mapping[str, float]], Evidence | None], ...] = (
    _session, _bought, _rhythm, _session_category, _category, _trending,
)  # fmt: skip


def _times(count: float) -> str:
    return {1: "once", 2: "twice"}.get(round(count), f"{count:.0f} times")


def _days(days: float) -> str:
    return "a day" if round(days) <= 1 else f"{days:.0f} days"


def _ago(days: float) -> str:
    if days < JUST_NOW_DAYS:
        return "just now"
    return "today" if days < 1 else f"{_days(days)} ago"


_FEATURES = {
    "customer_id": "who you are",
    "item_id": "which item it is",
    "pair_lines": "times you bought it",
    "pair_days": "days on which you bought it",
    "pair_share_of_days": "share of your shopping days with it",
    "pair_recency_days": "days since you bought it",
    "pair_interval_days": "days between your purchases of it",
    "pair_rhythm": "how due it is by your rhythm",
    "pair_trips_since": "shopping days without it",
    "pair_decayed_20": "bought by you lately",
    "pair_decayed_90": "bought by you in months",
    "pair_reciprocal_rank": "its rank among your own items",
    "pair_engagement": "your interest in it",
    "session_views": "looks in this session",
    "session_in_cart": "in your cart",
    "session_category_views": "looks at its category in this session",
    "session_events": "events in this session",
    "session_minutes": "minutes in this session",
    "category_lines": "times you bought its category",
    "category_recency_days": "days since you bought its category",
    "category_reciprocal_rank": "its category's rank among yours",
    "trending": "trend score this minute",
    "time_weighted_purchases": "sales of these weeks",
    "item_purchases": "purchases in all",
    "repeat_rate": "how often others buy it again",
    "recency_days": "days since you shopped",
    "frequency_days": "days between your shopping days",
    "monetary": "what you spend a day",
    "request_hour_sine": "morning (1) or evening (−1)",
    "request_hour_cosine": "night (1) or day (−1)",
    "request_weekday_sine": "early (1) or late (−1) in the week",
    "request_weekday_cosine": "near its start (1) or its middle (−1)",
}
"""Names of model inputs in words; one that is not here is named as it is."""

SHARE = "share_of_"
_PARTS = ("pair_share_of_days", "repeat_rate")
"""Inputs that are parts of a whole, and told in per cent."""


def feature_words(name: str) -> str:
    """What an input of the model is called."""
    if name.startswith(SHARE):
        return f"Of what you buy, how much has its {name.removeprefix(SHARE).replace('_', ' ')}"
    told = _FEATURES.get(name, name.replace("_", " "))
    return told[:1].upper() + told[1:]


def value_words(name: str, value: float | str | None) -> str:
    """An input's value for people."""
    if value is None or value == "":
        return "unknown"
    if not isinstance(value, str) and (name.startswith(SHARE) or name in _PARTS):
        return f"{value:.0%}"
    return value if isinstance(value, str) else f"{value:,.2f}".rstrip("0").rstrip(".")
