"""Events a second that a whole stack sustains, exactly, and what each process pays for one.

A shop of its own process makes, encodes and sends events at a steady rate; streams and serving follow. Beside it,
one after the other on the same machine: the usual Faust table and Feast's own push.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import psutil
from rich.table import Table

from benchmarks import exactness, faust_table
from benchmarks.freshness_probe import FreshnessProbe
from benchmarks.lag import Lag, LagWatch
from benchmarks.processor_time import Meter, peak_rss_mb, processes, used
from benchmarks.shop_process import ShopProcess
from benchmarks.store import push_rates
from deploy.demo.world import World
from feature_repo.shop import load_shop

Say = Callable[[str], None]
Figures = dict[str, Any]


DRAIN_TIMEOUT_S = 900.0


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to measure.

    Attributes
    ----------
    rate, seconds: events a second, and for how long.
    warm_up_s: before that the rate grows from nothing for so long, and nothing is measured: a worker that has just
        started reads every customer's row once.
    customers, items: of the shop.
    compare: events that the Faust table counts; 0 leaves the comparison out.
    pushes: rows pushed through Feast one at a time.
    """

    rate: float = 10_100.0
    seconds: float = 300.0
    warm_up_s: float = 30.0
    customers: int = 100_000
    items: int = 20_000
    compare: int = 20_000
    pushes: int = 200

    @property
    def source(self) -> str:
        """The shop: ninety days that pass in the time measured, few customers with much and many with little."""
        options = {
            "events": max(1, int(self.rate * (self.seconds + self.warm_up_s / 2))),
            "customers": self.customers,
            "items": self.items,
            "categories": min(200, self.items),
            "segments": 40,
            "skew": 1.4,
        }
        return "synthetic:" + ",".join(f"{name}={value}" for name, value in options.items())


def run(world: World, plan: Plan, say: Say = lambda _: None) -> Figures:
    """Measure on an empty stack that runs; see the module's head.

    Returns
    -------
    dict
        ``events_per_s`` whose features were written from the rate being reached to the last one's; ``lag_*`` events
        behind at most, when the last one was sent and at the end; ``freshness_*_ms`` from sending a probe to its
        customer's row being written; ``mismatched`` of ``checked`` values, the warm-up's included;
        ``processor_us_per_event`` by process.
    """
    world.publish_catalogue()
    settle(processes(world.stack)["streams"])
    figures = _under_load(world, plan, say)
    say("comparing every feature with SQL over what was published")
    started = time.monotonic()
    exact = exactness.check(world.settings, world.source.items())
    figures |= {
        "mismatched": exact.mismatched + abs(exact.missing),
        "checked": exact.checked,
        "published": exact.published,
        "missing_offline": exact.missing,
        "examples": exact.examples,
        "check_seconds": time.monotonic() - started,
    }
    return figures | (_compare(world, plan, say, figures["events_per_s"]) if plan.compare else {})


def settle(process: psutil.Process, idle: float = 0.2, timeout_s: float = 180.0) -> None:
    """Wait until a process uses less than a share of one core over a second: it has done what it was given."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        before = used(process)
        time.sleep(1.0)
        if used(process) - before < idle:
            return


def _under_load(world: World, plan: Plan, say: Say) -> Figures:
    parts = processes(world.stack)
    say(f"{plan.rate:,.0f} events a second for {plan.seconds:,.0f} s, after {plan.warm_up_s:,.0f} s of growing to that")
    watch = LagWatch(world.settings)
    probe = FreshnessProbe(world.settings, "i0", world.source.options.end // 1000 - 1)  # type: ignore[attr-defined]
    with ShopProcess(world, plan.rate, plan.seconds, plan.warm_up_s) as shop, Lag(world.settings) as lag:
        shop.wait_at_rate()
        meter, own, started = Meter(parts), time.process_time(), time.monotonic()
        before = sum(lag.positions().values())
        watch.start()
        probe.start()
        sent = shop.result()
        at_stop = lag()
        probe.stop()
        lag.wait_until(0, timeout_s=DRAIN_TIMEOUT_S)
        seconds = time.monotonic() - started
        milliseconds = probe.finish()
        samples = watch.finish()
        events = sum(lag.ends().values()) - before
        spent = {"producer": sent["processor_s"], **meter.seconds(), "probes": time.process_time() - own}
        end = lag()
    p50, p99 = np.percentile(milliseconds, [50, 99])
    per_event = {name: round(1e6 * value / events, 2) for name, value in spent.items()}
    return {
        "events_per_s": events / seconds,
        "seconds": seconds,
        "events": events,
        "customers": plan.customers,
        "items": plan.items,
        "rate_asked": plan.rate,
        "warm_up_s": plan.warm_up_s,
        "producer_late_s": sent["late_s"],
        "lag_at_stop": at_stop,
        "lag_end": end,
        "lag_max": max(samples, default=0),
        "lag_p50": float(np.median(samples)) if samples else 0.0,
        "freshness_p50_ms": float(p50),
        "freshness_p99_ms": float(p99),
        "freshness_max_ms_by_10_s": [
            round(float(milliseconds[at : at + 50].max())) for at in range(0, len(milliseconds), 50)
        ],
        "lag_by_s": samples,
        "probes": len(milliseconds),
        "peak_rss_mb": peak_rss_mb(parts["streams"]),
        "peak_rss_mb_by_process": {name: round(peak_rss_mb(process)) for name, process in parts.items()},
        "processor_us_per_event": {**per_event, "all": round(sum(per_event.values()), 2)},
        "processor_cores": sum(spent.values()) / seconds,
    }


def _compare(world: World, plan: Plan, say: Say, ours: float) -> Figures:
    say("a Faust table that counts events by customer")
    table = faust_table.measure(world.settings, chain.from_iterable(world.source.interactions()), plan.compare)
    say("Feast's own push, one row at a time and in batches")
    single, batched = push_rates(world.settings.redis_url, load_shop(world.settings.shop), plan.pushes)
    return {
        "faust_table_events_per_s": table,
        "feast_push_events_per_s": single,
        "feast_push_batched_events_per_s": batched,
        "x_faust_table": ours / table,
        "x_feast_push": ours / single,
        "x_feast_push_batched": ours / batched,
    }


def table(figures: Mapping[str, Any]) -> Table:
    """What a person wants to see."""
    shown = Table("", "events/s", "ratio", box=None, pad_edge=False)
    for column in shown.columns[1:]:
        column.justify = "right"
    shown.add_row("Headwater, every feature, the producer included", f"{figures['events_per_s']:,.0f}", "1")
    others = {
        "a Faust table that counts": ("faust_table_events_per_s", "x_faust_table"),
        "Feast's push, a row an event": ("feast_push_events_per_s", "x_feast_push"),
        "Feast's push, 1,000 rows at a time": ("feast_push_batched_events_per_s", "x_feast_push_batched"),
    }
    for name, (key, ratio) in others.items():
        if key in figures:
            shown.add_row(name, f"{figures[key]:,.0f}", f"{figures[ratio]:,.1f} x")
    shown.add_section()
    shown.add_row("values checked against SQL, of which wrong", f"{figures['checked']:,}", f"{figures['mismatched']:,}")
    shown.add_row(
        "sent → written, ms: p50, p99", f"{figures['freshness_p50_ms']:,.0f}", f"{figures['freshness_p99_ms']:,.0f}"
    )
    shown.add_row("events behind: at most, at the end", f"{figures['lag_max']:,}", f"{figures['lag_end']:,}")
    shown.add_row("stream worker's memory at most, MiB", f"{figures['peak_rss_mb']:,.0f}", "")
    for name, spent in figures["processor_us_per_event"].items():
        shown.add_row(f"processor time an event, µs: {name}", f"{spent:,.1f}", "")
    return shown
