"""Telling events that were applied before, by the ids of each customer's latest ones.

The ids grow with every event and a customer's row is written with every event, so they are kept in two parts: those
since the last *sealing* go with each write, those before it are written only when there is a new sealing. Which event
seals is told by its own id, one in `Limits.sealing`, so that the parts are the same however events are cut into
batches: nothing in them depends on anything but the events.
"""

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from feature_repo.customer_state import SEEN_ID, CustomerStates, Limits
from feature_repo.events import Events, Outcome
from feature_repo.ragged import (
    Int64,
    append,
    group_ends,
    group_starts,
    keep,
    keep_last,
    lengths_to_offsets,
    owners,
    pick,
    unpack,
)  # fmt: skip

_BUCKET_BITS = 18
_LONG_AGO = np.iinfo(np.int64).min


@dataclass(frozen=True)
class Remembered:
    """The ids of ``n`` customers; see `CustomerStates`."""

    seen: npt.NDArray[Any]
    seen_offsets: Int64
    sealed: list[bytes]


def deduplicate(states: CustomerStates, events: Events, limits: Limits) -> tuple[npt.NDArray[np.int8], Remembered]:
    """Tell replays and duplicates from new events, and remember the new ones' ids.

    Returns
    -------
    int8[e]
        `Outcome` of each event.
    Remembered
        The customers' ids afterwards.
    """
    before, before_offsets = unpack(states.sealed, SEEN_ID)
    outcome = _judge(states, before, before_offsets, events, limits)
    applied = np.flatnonzero(outcome == Outcome.APPLIED)
    applied = applied[np.argsort(events.customer[applied], kind="stable")]
    # What is applied lies behind all that was applied before, so that the new ids are appended.
    seen, offsets = append(states.seen, states.seen_offsets, _ids(events, applied), events.customer[applied])
    sealed = list(states.sealed)
    seen, offsets = _seal(seen, offsets, sealed, limits)
    ends = before_offsets[1:][np.diff(before_offsets) > 0]
    earliest = np.concatenate((before["arrival"][ends - 1], events.arrival)).min(initial=np.iinfo(np.int64).max)
    _expire(sealed, int(earliest), seen, offsets, limits)
    return outcome, Remembered(*_newest(seen, offsets, limits), sealed)


def renumber(states: CustomerStates, last: int) -> CustomerStates:
    """Return the same states with each customer's ids numbered up to `last`, in place of the offsets they had."""
    sealed, sealed_offsets = unpack(states.sealed, SEEN_ID)
    seen, sealed = states.seen.copy(), sealed.copy()
    ends = states.seen_offsets[1:]
    seen["offset"] = np.arange(len(seen)) - (ends - 1)[owners(states.seen_offsets)] + last
    ends = sealed_offsets[1:] + np.diff(states.seen_offsets)
    sealed["offset"] = np.arange(len(sealed)) - (ends - 1)[owners(sealed_offsets)] + last
    packed = [sealed[start:end].tobytes() for start, end in pairwise(sealed_offsets.tolist())]
    return replace(states, seen=seen, sealed=packed)


def _ids(events: Events, chosen: Int64) -> npt.NDArray[Any]:
    ids = np.empty(len(chosen), dtype=SEEN_ID)
    ids["event"], ids["offset"], ids["arrival"] = events.event[chosen], events.offset[chosen], events.arrival[chosen]
    return ids


def _judge(
    states: CustomerStates, sealed: npt.NDArray[Any], sealed_offsets: Int64, events: Events, limits: Limits
) -> npt.NDArray[np.int8]:
    old = [_suspects(sealed, sealed_offsets, events.event), _suspects(states.seen, states.seen_offsets, events.event)]
    ids = np.concatenate([*(found for found, _ in old), _ids(events, np.arange(len(events)))])
    owner = np.concatenate([*(whose for _, whose in old), events.customer])
    n_old = len(ids) - len(events)
    replayed = events.offset <= states.position[events.customer]
    outcome = np.where(replayed, Outcome.REPLAYED, Outcome.APPLIED).astype(np.int8)
    order = np.lexsort((np.arange(len(ids)), ids["offset"], ids["event"], owner))
    starts = group_starts(owner[order], ids["event"][order])
    ends = group_ends(starts, len(order))
    several = ends - starts > 1
    for start, end in zip(starts[several], ends[several], strict=True):
        _judge_repeats(ids, order[start:end].tolist(), n_old, outcome, limits.dedupe_window)
    return outcome


def _suspects(ids: npt.NDArray[Any], offsets: Int64, events: npt.NDArray[np.uint64]) -> tuple[npt.NDArray[Any], Int64]:
    """Return the ids that share a hash bucket with an event, and whose they are: few, and every true repeat."""
    shift = np.uint64(64 - _BUCKET_BITS)
    asked = np.zeros(1 << _BUCKET_BITS, dtype=np.bool_)
    asked[events >> shift] = True
    at = np.flatnonzero(asked[ids["event"] >> shift])
    return pick(ids, at), np.searchsorted(offsets, at, side="right") - 1


def _judge_repeats(
    ids: npt.NDArray[Any], rows: list[int], n_old: int, outcome: npt.NDArray[np.int8], window: int
) -> None:
    """Walk one customer's occurrences of one event id by offset: what is not the first within the window repeats."""
    accepted_offset, accepted_arrival = None, None
    for row in rows:
        offset, arrival = int(ids["offset"][row]), int(ids["arrival"][row])
        if row < n_old:
            accepted_offset, accepted_arrival = offset, arrival
            continue
        repeats = accepted_arrival is not None and arrival - accepted_arrival <= window and offset != accepted_offset
        if outcome[row - n_old] == Outcome.REPLAYED:
            outcome[row - n_old] = Outcome.REPLAYED_DUPLICATE if repeats else Outcome.REPLAYED
        elif repeats:
            outcome[row - n_old] = Outcome.DUPLICATE
        else:
            accepted_offset, accepted_arrival = offset, arrival


def _seal(
    seen: npt.NDArray[Any], offsets: Int64, sealed: list[bytes], limits: Limits
) -> tuple[npt.NDArray[Any], Int64]:
    """Move the ids up to each customer's last one that seals into `sealed`; return the others.

    What no later repeat could meet within the window leaves on the way, seen from the id that seals.
    """
    at = np.flatnonzero(seen["event"] % np.uint64(limits.sealing) == 0)
    if len(at) == 0:
        return seen, offsets
    ends = offsets[:-1].copy()
    np.maximum.at(ends, np.searchsorted(offsets, at, side="right") - 1, at + 1)
    for customer in np.flatnonzero(ends > offsets[:-1]).tolist():
        block = np.frombuffer(sealed[customer] + seen[offsets[customer] : ends[customer]].tobytes(), dtype=SEEN_ID)
        kept = block[block["arrival"] >= block["arrival"].max() - limits.dedupe_window]
        sealed[customer] = kept[-limits.seen :].tobytes()
    stays = np.arange(len(seen)) >= np.repeat(ends, np.diff(offsets))
    return pick(seen, stays), lengths_to_offsets(offsets[1:] - ends)


def _newest(seen: npt.NDArray[Any], offsets: Int64, limits: Limits) -> tuple[npt.NDArray[Any], Int64]:
    """Return the ids that a later repeat could still meet within the window, and at most so many."""
    if len(seen) and int(np.ptp(seen["arrival"])) > limits.dedupe_window:
        whose = owners(offsets)
        seen, offsets = keep(seen, offsets, seen["arrival"] >= _latest(seen, offsets)[whose] - limits.dedupe_window)
    if np.diff(offsets).max(initial=0) > limits.seen:
        seen, offsets = keep(seen, offsets, keep_last(offsets, limits.seen))
    return seen, offsets


def _expire(sealed: list[bytes], earliest: int, seen: npt.NDArray[Any], offsets: Int64, limits: Limits) -> None:
    """Drop what was sealed so long ago that nothing can repeat it any more; none of it came before `earliest`."""
    if len(seen) == 0 or int(seen["arrival"].max()) - earliest <= limits.dedupe_window:
        return
    latest = _latest(seen, offsets)
    for customer in np.flatnonzero(latest > _LONG_AGO).tolist():
        if ids := sealed[customer]:
            last = int(np.frombuffer(ids[-SEEN_ID.itemsize :], dtype=SEEN_ID)["arrival"][0])
            if last < int(latest[customer]) - limits.dedupe_window:
                sealed[customer] = b""


def _latest(seen: npt.NDArray[Any], offsets: Int64) -> Int64:
    """Return ``int64[n]``: the latest arrival of each customer's ids."""
    latest = np.full(len(offsets) - 1, _LONG_AGO, dtype=np.int64)
    np.maximum.at(latest, owners(offsets), seen["arrival"])
    return latest
