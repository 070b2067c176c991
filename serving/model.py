"""Brings announced bundles to life and clears away what is not needed any more."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from serving.bundle import BundleError, open_bundle
from serving.item_matrix import day_of
from serving.items_table import ItemsTable
from serving.live_model import GuardedScorer, LiveModel
from serving.scorer import ScorerError
from serving.snapshot import FILLED_AT_ONCE, PAUSE_S, Snapshot, snapshot, widths
from serving.triton.client import TritonClient
from streams.contracts.codec import decode
from streams.contracts.compacted import CompactedTable, Record
from streams.contracts.observability import MODEL_TRAINED, MODEL_VERSION, logger
from streams.contracts.operations import BundleAnnouncement
from streams.contracts.rejection import Rejected
from streams.contracts.topics import Topics

log = logger(__name__)

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
DRAIN_S = 30.0
STEPS = 20


class ModelFollower:
    """Follows the topic `models` in a thread of its own.

    An announced bundle is verified, loaded into Triton beside the live one, tried with a real inference and its item
    matrix encoded, all while requests go on; then the pointer flips. One that is refused is left alone until it is
    announced again; one that Triton does not take is tried again. Meanwhile the live one stays.

    Parameters
    ----------
    live
        Whose pointer to flip.
    guard
        The scorer that requests use; mended by a new model.
    triton
        A client that loads and drops versions; `loading` is held meanwhile.
    default_as_of
        The instant that the next request will most likely be answered for, microseconds since the epoch.
    """

    def __init__(
        self,
        live: LiveModel,
        guard: GuardedScorer,
        triton: TritonClient,
        loading: threading.Lock,
        items: ItemsTable,
        topics: Topics,
        config: Mapping[str, Any],
        default_as_of: Callable[[], int],
    ) -> None:
        self._live, self._guard, self._triton, self._items = live, guard, triton, items
        self._loading = loading
        self._default_as_of = default_as_of
        self._table = CompactedTable(topics.models.name, config)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="models", daemon=True)
        self._previous: int | None = None
        self._wanted: BundleAnnouncement | None = None
        self._try_at, self._pause_s = 0.0, FIRST_PAUSE_S

    def load(self) -> None:
        """Bring the bundle that was announced last to life; without one, or where it fails, nothing is live."""
        announced = [a for record in self._table.load() if (a := announcement(record)) is not None]
        if announced:
            self._want(announced[-1])
            self._try()

    def start(self) -> None:
        """Follow what is announced next."""
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """End the thread and leave Kafka."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=DRAIN_S)
        self._table.close()

    def activate(self, announced: BundleAnnouncement) -> None:
        """Make the announced bundle the live one.

        Raises BundleError, ScorerError or ValueError, with the live one untouched, where it cannot be.
        """
        started = time.perf_counter()
        bundle = open_bundle(Path(announced.path), manifest_sha256=announced.manifest_sha256)
        if bundle.version != announced.version:
            raise BundleError(f"bundle {bundle.path} is version {bundle.version}, announced was {announced.version}")
        fresh = snapshot(bundle, self._items, day_of(self._default_as_of()))
        with self._loading:
            self._triton.load(bundle, widths(fresh.encoder))
        before = self._live.current
        self._live.flip(fresh)
        self._guard.mend()
        MODEL_VERSION.set(bundle.version)
        MODEL_TRAINED.set(bundle.manifest.created_at / 1e6)
        log.info("model live", version=bundle.version, seconds=round(time.perf_counter() - started, 3))
        if before is not None and before.version != bundle.version:
            self._live.drained(before.version, DRAIN_S)
            self._previous = before.version
        self._clear()

    def _clear(self) -> None:
        """Drop every version but the live one and the one before, which other replicas may still be using."""
        current = self._live.current
        keep = {self._previous, current.version if current else None}
        for version in self._triton.repository.versions():
            if version not in keep:
                try:
                    with self._loading:
                        self._triton.drop(version)
                except ScorerError as error:
                    log.warning("old version not dropped", version=version, why=str(error))

    def _follow(self) -> None:
        while not self._stop.is_set():
            try:
                announced = [a for record in self._table.poll(0.2) if (a := announcement(record)) is not None]
                if announced:
                    self._want(announced[-1])
                self._try()
                self._keep_encoded()
            except Exception:
                log.exception("models not followed")
                self._stop.wait(1.0)

    def _want(self, announced: BundleAnnouncement) -> None:
        self._wanted, self._try_at, self._pause_s = announced, 0.0, FIRST_PAUSE_S

    def _try(self) -> None:
        """Activate what is wanted; where Triton does not take it, again after a while, for it may come back."""
        if self._wanted is None or time.monotonic() < self._try_at:
            return
        wanted, self._wanted = self._wanted, None
        try:
            self.activate(wanted)
        except (BundleError, ValueError) as error:
            log.error("bundle refused", version=wanted.version, why=str(error))
        except ScorerError as error:
            log.warning("bundle not live yet", version=wanted.version, why=str(error), again_in_s=self._pause_s)
            self._wanted, self._try_at = wanted, time.monotonic() + self._pause_s
            self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)

    def _keep_encoded(self) -> None:
        """Prepare items for the current day, and for the next one before it begins."""
        current = self._live.current
        for ahead in (0, NEXT_DAY_AHEAD):
            day = day_of(self._default_as_of() + ahead)
            self._items.trending(day)
            if current is not None:
                self._fill(current, day)

    def _fill(self, current: Snapshot, day: int) -> None:
        """Encode a few thousand items; the rest is for the next turns, if it is still that day."""
        for _ in range(STEPS):
            if self._stop.is_set() or current.matrix.fill(day, len(self._items.catalogue), FILLED_AT_ONCE):
                return
            time.sleep(PAUSE_S)


NEXT_DAY_AHEAD = 600_000_000
"""Microseconds before a UTC day at which its item matrix is encoded."""


def announcement(record: Record) -> BundleAnnouncement | None:
    """The announcement in a record of `models`; None for a tombstone or something else, which is logged."""
    if not record.value:
        return None
    try:
        return decode(record.value, BundleAnnouncement)
    except Rejected as error:
        log.error("announcement not understood", offset=record.offset, why=str(error))
        return None
