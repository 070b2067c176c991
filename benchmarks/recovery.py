"""How long the stream stands still when something is killed, and how long until it has caught up."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import redis

from benchmarks.lag import Lag
from benchmarks.processor_time import processes
from benchmarks.shop_process import ShopProcess
from deploy.demo.world import World
from deploy.stack.http import get
from deploy.stack.ports import Ports
from deploy.stack.site import ROOT
from deploy.stack.workers import is_ready

Say = Callable[[str], None]

SOURCE = "synthetic:events=3000000,customers=50000,items=10000,categories=100,segments=20,skew=1.4"
RATE = 5000.0
CALM_S = 10.0
"""Seconds of undisturbed work before each blow."""
TIMEOUT_S = 180.0


@dataclass(frozen=True)
class Recovered:
    """Seconds from a kill: until something was applied again, until every partition went on, until the lag was back.

    `lag_max`: events behind at most.
    """

    first_s: float
    all_partitions_s: float
    caught_up_s: float
    lag_max: int

    def figures(self) -> dict[str, Any]:
        """As they are written down."""
        return {
            "first_batch_s": self.first_s,
            "all_partitions_s": self.all_partitions_s,
            "lag_below_a_second_s": self.caught_up_s,
            "lag_max": self.lag_max,
        }


def run(world: World, rate: float = RATE, calm_s: float = CALM_S, say: Say = lambda _: None) -> dict[str, Any]:
    """Kill a worker and restart it, kill Redis and restart it, kill a worker beside which another one works.

    Returns
    -------
    dict
        For each blow what `Recovered` says, while so many ``events_per_s`` came.
    """
    found: dict[str, Any] = {"events_per_s": rate}
    stack = world.stack

    def killing(part: str) -> Callable[[], None]:
        process = processes(stack)[part]
        return lambda: process.send_signal(signal.SIGKILL)

    def blow(name: str, kill: Callable[[], None], revive: Callable[[], object]) -> None:
        lag.wait_until(int(rate), timeout_s=TIMEOUT_S)
        time.sleep(calm_s)
        say(name)
        found[name] = _watch(lag, kill, revive, rate).figures()

    with ShopProcess(world, rate, 10 * (calm_s + TIMEOUT_S)), Lag(world.settings) as lag:
        blow("worker_restarted", killing("streams"), lambda: stack.up(["streams"]))
        blow("redis_restarted", killing("redis"), lambda: stack.up(["redis"]))
        with _second_worker(world):
            blow("other_worker_takes_over", killing("streams"), lambda: None)
    return found


def _watch(lag: Lag, kill: Callable[[], None], revive: Callable[[], object], rate: float) -> Recovered:
    """Kill, see to its coming back, and look ten times a second until the lag is below a second's worth."""
    base = lag.positions()
    kill()
    started = time.monotonic()
    with suppress(redis.RedisError):
        base = lag.positions()  # what was written between the look and the kill
    reviving = threading.Thread(target=revive, name="revive")
    reviving.start()
    first = everywhere = None
    most = 0
    while time.monotonic() - started < TIMEOUT_S:
        time.sleep(0.1)
        try:
            positions, behind = lag.positions(), lag()
        except redis.RedisError:
            continue  # it is away: that is what is measured
        now, most = time.monotonic() - started, max(most, behind)
        moved = [positions[each] > at for each, at in base.items()]
        first = now if first is None and any(moved) else first
        everywhere = now if everywhere is None and all(moved) else everywhere
        if first is not None and everywhere is not None and behind < rate:
            reviving.join()
            return Recovered(first, everywhere, now, most)
    reviving.join()
    raise TimeoutError(f"not recovered {TIMEOUT_S:.0f} s after the kill: {lag()} events are behind")


@contextmanager
def _second_worker(world: World) -> Iterator[None]:
    """Have another worker of the group at work."""
    ports = Ports(world.site.run / "second-ports.json", {})
    port = ports.port("second-streams-metrics")
    environment = {**os.environ, **world.environment, "HEADWATER_METRICS_PORT": str(port)}
    log = world.site.logs / "second-streams.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(world.site.python), "-m", "streams.app"], env=environment, cwd=ROOT, stdout=output, stderr=output
        )
    try:
        _await_ready(process, f"http://127.0.0.1:{port}/metrics", str(log))
        yield
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await_ready(process: "subprocess.Popen[bytes]", address: str, log: str) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(OSError):
            if any(is_ready(line) for line in get(address).text.splitlines()):
                return
        time.sleep(0.2)
    raise RuntimeError(f"the second worker did not become ready; see {log}")
