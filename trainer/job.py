"""One training job, from data to a published bundle: what the service and the command line both run."""

from __future__ import annotations

import fcntl
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from feature_repo.columns import columns
from feature_repo.shop import Shop, load_shop
from serving.bundle import Bundle, directory_name, open_bundle, versions
from streams.contracts.observability import TRAINING_SECONDS, logger
from streams.contracts.operations import BundleAnnouncement, TrainingMode
from trainer import checkpoint, publish
from trainer.checkpoint import CheckpointError, Trained
from trainer.inputs import Inputs, read
from trainer.progress import Report
from trainer.recipe import Recipe
from trainer.settings import TrainerSettings
from trainer.shop_feed import ShopFeed
from trainer.train import full, incremental

log = logger(__name__)

KEPT_CHECKPOINTS = 2


class BusyError(RuntimeError):
    """Another process trains in this state directory."""


class Trainer:
    """Trains into one state directory, one job at a time, and keeps the last model warm between jobs.

    Raises BusyError when made while another process holds the directory; what crashed jobs left is cleared away.
    """

    def __init__(self, settings: TrainerSettings, feed: ShopFeed, recipe: Recipe | None = None) -> None:
        self.settings = settings
        self.shop: Shop = load_shop(settings.shop)
        self._feed = feed
        self._recipe = recipe or Recipe()
        self._warm: Trained | None = None
        settings.state.mkdir(parents=True, exist_ok=True)
        self._lock = (settings.state / "trainer.lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._lock.close()
            raise BusyError(f"another trainer works in {settings.state}; stop it or ask it with a trigger") from error
        self._vocabularies = Path(tempfile.mkdtemp(prefix="headwater-vocabularies-"))
        self._runs = 0
        settings.bundles.mkdir(exist_ok=True)
        settings.checkpoints.mkdir(exist_ok=True)
        publish.clear_staging(settings.bundles)
        checkpoint.clear(settings.checkpoints, KEPT_CHECKPOINTS)

    def __enter__(self) -> Trainer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the directory."""
        shutil.rmtree(self._vocabularies, ignore_errors=True)
        self._lock.close()

    def warm_up(self) -> int | None:
        """Load the newest checkpoint, so that the next job need not; return its version, None without one."""
        self._warm = self._continued()
        return None if self._warm is None else self._warm.version

    def run(
        self,
        mode: TrainingMode,
        report: Report,
        trigger: str | None = None,
        arrived_until: int | None = None,
        happened_until: int | None = None,
    ) -> tuple[Bundle, Inputs]:
        """Train and publish; incrementally only where there is something to continue.

        The instants (microseconds since the epoch, inclusive) bound the data. Raises NothingToLearnError where
        there is nothing to learn from, publish.RejectedError where the gate says no. After any error the next job
        starts from the last checkpoint.
        """
        before = None if mode == TrainingMode.FULL else (self._warm or self._continued())
        self._warm = None  # a job that fails half-way leaves its model half-trained
        with _timed(report, "read"):
            self._feed.refresh()
            inputs = read(
                self.settings.store, self.shop, self._feed.catalogue, self._feed.profiles,
                arrived_until=arrived_until, happened_until=happened_until, event_clock=self.settings.event_clock,
            )  # fmt: skip
        log.info(
            "training", mode="full" if before is None else "incremental", events=len(inputs.log.events),
            customers=len(inputs.log.customer_ids), items=len(inputs.catalogue), trigger=trigger,
        )  # fmt: skip
        if before is None:
            run = full(inputs, self._recipe, self._place, report.progress, _observed(report))
        else:
            run = incremental(inputs, before, self._place, report.progress, _observed(report))
        with _timed(report, "publish"):
            bundle = publish.bundle(run, inputs, self.settings.state, trigger)
        self._warm = run.trained
        checkpoint.clear(self.settings.checkpoints, KEPT_CHECKPOINTS)
        log.info("published", version=bundle.version, seconds=report.seconds, figures=bundle.manifest.metrics)
        return bundle, inputs

    def published_for(self, trigger: str) -> Bundle | None:
        """The newest bundle, if it is this trigger's: a crash may have come between publishing and announcing."""
        newest = max(versions(self.settings.bundles), default=None)
        if newest is None:
            return None
        bundle = open_bundle(self.settings.bundles / directory_name(newest))
        return bundle if bundle.manifest.trigger == trigger else None

    def _continued(self) -> Trained | None:
        version = checkpoint.newest(self.settings.checkpoints, self.settings.bundles)
        if version is None:
            return None
        try:
            return checkpoint.load(self.settings.checkpoints, version, columns(self.shop), self._place())
        except CheckpointError as error:
            log.warning("training in full", reason=str(error))
            return None

    def _place(self) -> Path:
        self._runs += 1
        return self._vocabularies / f"{self._runs:06d}"


def announcement(bundle: Bundle, newest_arrival: int | None = None) -> BundleAnnouncement:
    """The message that makes a bundle live; `newest_arrival`: of the data, microseconds since the epoch."""
    manifest = bundle.manifest
    return BundleAnnouncement(
        version=manifest.version,
        path=str(bundle.path.absolute()),
        manifest_sha256=bundle.manifest_sha256,
        created_at=manifest.created_at // 1000,
        parent=manifest.parent,
        trigger_id=manifest.trigger,
        data_until=(newest_arrival or manifest.data_window.until_at) // 1000,
        metrics=manifest.metrics,
    )


def _observed(report: Report) -> Callable[[str, float], None]:
    def over(phase: str, seconds: float) -> None:
        TRAINING_SECONDS.labels(phase).observe(seconds)
        report.phase(phase, seconds)

    return over


@contextmanager
def _timed(report: Report, phase: str) -> Iterator[None]:
    start = time.monotonic()
    yield
    _observed(report)(phase, time.monotonic() - start)
