"""The panel that explains an item: who proposed it, what counted, and how the answer was made."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from html import escape

import streamlit as st

from serving.gateway.messages import Feature
from serving.rest_client import HeadwaterError
from serving.storefront import markup
from serving.storefront.front import Front
from serving.storefront.reasons import evidence, feature_words, proposals, value_words
from streams.contracts.requests import Reply, Timings

STAGES = ("features", "retrieve", "candidates", "score")
EXPLAINED = 20
"""Of so many first items the gateway says what moved their scores."""
FEATURES = 6


@st.dialog("Why this?", width=480, position="right")
def why(front: Front, item_id: str) -> None:
    """Open the panel for an item of the visit's answer."""
    if front.visit.answer is None:
        return
    answer = front.visit.answer
    place = next((place for place, item in enumerate(answer.items) if item.item_id == item_id), None)
    if place is None:
        st.html(markup.empty("It is not in your newest answer any more."))
        return
    mattered = _mattered(front, answer, place)
    st.html(_face(front, answer, place) + _scored(mattered) + _made(answer))


def _mattered(front: Front, answer: Reply, place: int) -> Sequence[Feature]:
    """What moved the score of the item at that place; nothing where the gateway does not know it any more."""
    if place >= EXPLAINED:
        return ()
    try:
        told = front.shop.recommendation(answer.recommendation_id, items=place + 1, features=FEATURES).mattered
    except HeadwaterError:
        return ()
    return told[place] if told is not None else ()


def _face(front: Front, answer: Reply, place: int) -> str:
    recommended = answer.items[place]
    item = front.catalogue.item(recommended.item_id)
    sources = "".join(
        f'<li class="hw-source-{source.value}">{escape(sentence)}</li>' for source, sentence in proposals(recommended)
    )
    told = "".join(markup.bar(each.text, each.strength) for each in evidence(recommended.explanation or {}))
    counted = f"<h4>What counted</h4>{told}" if told else ""
    return (
        f'<div class="hw-why"><div class="hw-line"><img src="{front.picture(item)}" alt=""><div>'
        f'<div class="hw-over">Place {place + 1} of {len(answer.items)} · score {recommended.score:.3f}</div>'
        f'<div class="hw-name">{escape(markup.title(item))}</div></div></div>'
        f"<h4>Who proposed it</h4><ul>{sources}</ul>{counted}</div>"
    )


def _scored(mattered: Sequence[Feature]) -> str:
    """The inputs that moved the score, as bars to the right (for it) and to the left (against it)."""
    if not mattered:
        return ""
    most = max(abs(feature.contribution) for feature in mattered) or 1.0
    bars = "".join(
        markup.pull(
            f"{feature_words(feature.name)}: {markup.words(value_words(feature.name, feature.value))}",
            feature.contribution / most,
        )
        for feature in mattered
    )
    return (
        '<div class="hw-why"><h4>What moved its score</h4>'
        f'<div class="hw-scale"><span>← against it</span><span>for it →</span></div>{bars}</div>'
    )


def _made(reply: Reply) -> str:
    facts = [
        ("Model", "none: a fallback" if reply.model_version is None else f"version {reply.model_version}"),
        ("Made for", _time(reply.as_of)),
        ("Your events seen up to", _time(reply.seen.last_event_at if reply.seen else None)),
        ("In the stream", f"partition {reply.seen.partition}, offset {reply.seen.offset}" if reply.seen else "–"),
        ("Answer", reply.recommendation_id),
    ]
    return f'<div class="hw-why"><h4>How the answer was made</h4>{_stages(reply.timings_ms)}{markup.facts(facts)}</div>'


def _stages(timings: Timings) -> str:
    spent = [(stage, getattr(timings, stage)) for stage in STAGES]
    whole = sum(ms for _, ms in spent) or 1.0
    bars = "".join(f'<i class="hw-{stage}" style="width:{100 * ms / whole:.1f}%"></i>' for stage, ms in spent)
    names = "".join(f'<span class="hw-{stage}">{stage} {ms:.1f} ms</span>' for stage, ms in spent)
    return f'<div class="hw-stages">{bars}</div><div class="hw-legend">{names}</div>'


def _time(at_ms: int | None) -> str:
    if at_ms is None:
        return "–"
    return f"{datetime.datetime.fromtimestamp(at_ms / 1000, datetime.UTC):%Y-%m-%d %H:%M:%S} UTC"
