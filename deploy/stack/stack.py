"""Bring the parts up in order, say how they are, take them down."""

import fcntl
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import psutil
from tenacity import Retrying, retry_if_not_exception_type, stop_after_delay, wait_exponential

from deploy.stack import processes
from deploy.stack.kafka import Kafka
from deploy.stack.part import Part, Step
from deploy.stack.prometheus import Prometheus
from deploy.stack.redis import Redis
from deploy.stack.site import ROOT, Site
from deploy.stack.steps import Feast, Topics
from deploy.stack.triton import Triton
from deploy.stack.workers import Gateway, Serving, Similarity, Storefront, Streams, Trainer

ORDER: tuple[type[Part] | type[Step], ...] = (
    Kafka,
    Redis,
    Topics,
    Feast,
    Triton,
    Streams,
    Trainer,
    Similarity,
    Serving,
    Gateway,
    Storefront,
    Prometheus,
)
STEP_TIMEOUT_S = 180.0


class StackError(RuntimeError):
    """A part can't start, died at its start, or didn't become ready; the message holds its last log lines."""


class _NotReadyError(Exception):
    """The probe said no."""


@dataclass(frozen=True)
class Condition:
    """How a part is.

    `wanted` is True if it was started and not taken down since; `uptime_s` counts from its process' start.
    """

    name: str
    wanted: bool
    pid: int | None
    port: int | None
    ready: bool
    uptime_s: float | None
    log: str


class Stack:
    """The parts of one site.

    `say` is told every step in a sentence.
    """

    def __init__(self, site: Site, say: Callable[[str], None] = lambda _: None) -> None:
        self.site = site
        self._say = say
        self._all = [kind(site) for kind in ORDER]

    @property
    def parts(self) -> list[Part]:
        """Parts that this site runs itself, in starting order."""
        return [part for part in self._all if isinstance(part, Part) and part.wanted]

    def up(self, only: Sequence[str] = ()) -> list[str]:
        """Start what is missing, each after what it needs is ready; names of the parts started.

        Parameters
        ----------
        only
            Parts to start, with all they need; all parts if empty.

        Raises
        ------
        StackError
            A part did not come up. Those before it keep running.
        """
        chosen = self._chosen(only)
        with self._locked():
            parts = [part for part in chosen if isinstance(part, Part)]
            missing = [part for part in parts if self._process(part) is None]
            for part in missing:
                for port_name in part.port_names:
                    self.site.ports.renew(port_name)
            self.site.write_environment()
            self._expect(self._expected() | {part.name for part in parts})
            needed = {need for part in missing for need in part.needs}
            self._start_in_waves([p for p in chosen if isinstance(p, Part) or p.name in needed])
            return [part.name for part in missing]

    def down(self, only: Sequence[str] = ()) -> list[str]:
        """Stop parts (all if `only` is empty), last started first; names of those that ran."""
        names = {part.name for part in self._all} if not only else set(only)
        self._reject_unknown(names)
        stopped = []
        with self._locked():
            for part in reversed([p for p in self._all if isinstance(p, Part) and p.name in names]):
                record = processes.load(part.pid_file)
                if record is None:
                    continue
                gentle = processes.stop(record, part.stop_grace_s)
                part.clear()
                part.pid_file.unlink()
                self._say(f"{part.name} stopped" if gentle else f"{part.name} killed, it ignored SIGTERM")
                stopped.append(part.name)
            self._expect(self._expected() - names)
            if not self._expected():
                self.site.environment_file.unlink(missing_ok=True)
        return stopped

    def status(self) -> list[Condition]:
        """How each part is now, asked of the part itself."""
        expected = self._expected()
        return [self._condition(part, part.name in expected) for part in self.parts]

    def _condition(self, part: Part, wanted: bool) -> Condition:
        process = self._process(part)
        ready = False
        if process is not None:
            with suppress(Exception):  # whatever the probe ran into, the answer is no
                ready = part.probe()
        return Condition(
            name=part.name,
            wanted=wanted,
            pid=process.pid if process else None,
            port=self.site.ports.recorded(part.port_names[0]),
            ready=ready,
            uptime_s=time.time() - process.create_time() if process else None,
            log=str(part.log),
        )

    def _start_in_waves(self, chosen: Sequence[Part | Step]) -> None:
        """Start together what needs nothing more, wait for all of it, go on with the rest."""
        pending = list(chosen)
        while pending:
            names = {part.name for part in pending}
            wave = [part for part in pending if not names.intersection(part.needs)]
            pending = [part for part in pending if part not in wave]
            started = [part for part in wave if isinstance(part, Part) and self._started(part)]
            for part in wave:
                if isinstance(part, Step):
                    self._take(part)
                else:
                    self._await(part, new=part in started)

    def _started(self, part: Part) -> bool:
        """Start `part` unless it runs; True if it was started."""
        if self._process(part) is not None:
            return False
        try:
            part.prepare()
            environment = {**os.environ, **self._shared_environment(), **part.environment()}
            record = processes.start(part.command(), part.log, environment, ROOT)
        except FileNotFoundError as error:
            raise StackError(f"{part.name} can't start: {error}") from None
        except subprocess.CalledProcessError as error:
            raise StackError(f"{part.name} can't start: {error}\n{error.stdout}{error.stderr}") from None
        record.save(part.pid_file)
        return True

    def _await(self, part: Part, new: bool) -> None:
        """Ask `part` until it is ready."""

        def ask() -> None:
            if self._process(part) is None:
                last = processes.tail(part.log)
                raise StackError(f"{part.name} died at its start; the end of {part.log}:\n{last}")
            if not part.probe():
                raise _NotReadyError

        patience = Retrying(
            stop=stop_after_delay(part.start_timeout_s),
            wait=wait_exponential(multiplier=0.1, exp_base=1.3, max=1.0),
            retry=retry_if_not_exception_type(StackError),
            reraise=True,
        )
        try:
            patience(ask)
        except StackError:
            part.pid_file.unlink(missing_ok=True)
            part.clear()
            raise
        except Exception as error:  # whatever the last probe ran into
            raise StackError(
                f"{part.name} runs but was not ready in {part.start_timeout_s:.0f} s ({error!r}); "
                f"the end of {part.log}:\n{processes.tail(part.log)}"
            ) from error
        self._say(f"{part.name} is ready" if new else f"{part.name} is running already")

    def _take(self, step: Step) -> None:
        if step.done():
            self._say(f"{step.name}: nothing to do")
            return
        began = time.monotonic()
        step.log.parent.mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, **self._shared_environment()}
        with step.log.open("wb") as log:
            try:
                code = subprocess.run(
                    step.command(),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=environment,
                    cwd=ROOT,
                    timeout=STEP_TIMEOUT_S,
                    check=False,
                ).returncode
            except subprocess.TimeoutExpired:
                raise StackError(f"{step.name} took over {STEP_TIMEOUT_S:.0f} s; see {step.log}") from None
        if code != 0:
            raise StackError(f"{step.name} exited {code}; the end of {step.log}:\n{processes.tail(step.log)}")
        step.finished()
        self._say(f"{step.name} done in {time.monotonic() - began:.1f} s")

    def _shared_environment(self) -> dict[str, str]:
        return {**self.site.given, **self.site.environment(), "PYTHONUNBUFFERED": "1"}

    def _chosen(self, only: Sequence[str]) -> list[Part | Step]:
        """Parts and steps of `only` and all they need, in order."""
        by_name = {part.name: part for part in self._all}
        self._reject_unknown(set(only))
        names = set(only) or set(by_name)
        while more := {need for name in names for need in by_name[name].needs} - names:
            names |= more
        return [p for p in self._all if p.name in names and (isinstance(p, Step) or p.wanted)]

    def _reject_unknown(self, names: set[str]) -> None:
        known = [part.name for part in self._all]
        if unknown := names.difference(known):
            raise StackError(f"no part {', '.join(sorted(unknown))!r}; there are {', '.join(known)}")

    def _process(self, part: Part) -> psutil.Process | None:
        record = processes.load(part.pid_file)
        return record.process() if record else None

    def _expected(self) -> set[str]:
        """Names of the parts that should be running: started and not taken down since."""
        path = self.site.run / "expected"
        return set(path.read_text().split()) if path.exists() else set()

    def _expect(self, names: set[str]) -> None:
        (self.site.run / "expected").write_text("".join(f"{name}\n" for name in sorted(names)))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One `up` or `down` at a time."""
        self.site.run.mkdir(parents=True, exist_ok=True)
        with (self.site.run / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
