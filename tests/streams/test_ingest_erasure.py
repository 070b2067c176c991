"""Customers are erased in the order of the stream, once, whatever crashes; nobody else's state moves."""

import threading
import time
from itertools import count

import msgspec
import pytest
from confluent_kafka import TopicPartition

from feature_repo.redis_commands import Client
from feature_repo.views import CUSTOMER
from serving.customers import CustomerReader
from streams.contracts.events import Interaction, InteractionType
from streams.contracts.operations import Erasure, Reason
from streams.erasure import erasures
from streams.erasure.topics import read_ledger
from streams.ingest import service
from streams.ingest.partition_log import LostPartitionError
from streams.ingest.worker import Pace
from tests.streams.erasure_site import ask_for_erasure, assert_as_expected
from tests.streams.ingest_site import SHOP, IngestSite, made_events

NUMBERS = count()


def purchase(customer: str, ahead_s: float, item: str = "i1") -> Interaction:
    """A purchase that happens some time from now: a clock that runs ahead, or somebody who has come back."""
    return Interaction(
        event_id=f"new{next(NUMBERS)}",
        customer_id=customer,
        item_id=item,
        type=InteractionType.PURCHASE,
        timestamp=int((time.time() + ahead_s) * 1000),
        price=2.5,
    )


def publish_story(site: IngestSite) -> None:
    """Histories, erasures in between, late events, somebody who comes back and is erased again."""
    events = made_events(900, customers=25)
    site.publish_events(events[:300])
    site.publish_events([purchase("c0", 600), purchase("c1", 600, "i2")])
    ask_for_erasure(site, ["c0", "c1", "c2"])
    site.publish_events(events[300:600])  # all of these happened before the erasure
    site.publish_events([purchase("c1", 7200, "i3"), purchase("c1", 7300, "i2")])
    ask_for_erasure(site, ["c3", "nobody"])
    ask_for_erasure(site, ["c1"])
    site.publish_events([*events[600:], purchase("c1", 7400), purchase("c2", 7400)])


def test_nothing_of_an_erased_customer_stays_and_late_events_are_left_out(site: IngestSite) -> None:
    with site.running():
        publish_story(site)
        site.wait_until_applied()
    wanted = assert_as_expected(site)
    assert wanted.erased.keys() - wanted.customers.keys() == {"c0", "c3", "nobody"}
    assert {"c1", "c2"} <= wanted.customers.keys(), "who came back is known by what came since"
    assert site.dead_letters() == []
    assert CustomerReader(site.store, SHOP).read(["c0", "c1"]).present.tolist() == [False, True]
    ledger = read_ledger(site.settings.topics, site.settings.kafka_config())
    assert {name: [e.offset for e in ledger.of(name)][-1] for name in wanted.erased} == wanted.erased
    assert [len(ledger.of(name)) for name in ("c0", "c1", "c4")] == [1, 2, 0]
    stored = erasures.read(site.offline)
    assert [stored.of(name) for name in wanted.erased] == [ledger.of(name) for name in wanted.erased]


def test_asked_for_twice_by_the_same_tombstone_it_is_done_once(site: IngestSite) -> None:
    site.publish_events(made_events(50, customers=3))
    ask_for_erasure(site, ["c1"], cause="0:7:1")
    site.publish_events([purchase("c1", 7200)])
    ask_for_erasure(site, ["c1"], cause="0:7:1")
    with site.running():
        site.wait_until_applied()
    assert "c1" in assert_as_expected(site).customers
    ask_for_erasure(site, ["c1"], cause="0:8:1")
    with site.running():
        site.wait_until_applied()
    assert "c1" not in assert_as_expected(site).customers


def test_an_empty_record_that_asks_for_nothing_and_one_that_names_nobody_are_dead_letters(site: IngestSite) -> None:
    site.publish_events(made_events(50, customers=3))
    site.publish(site.settings.topics.interactions.name, [(b"c1", None)])
    ask_for_erasure(site, ["x" * 129])
    with site.running():
        site.wait_until_applied()
    assert sorted(each.reason for each in site.dead_letters()) == sorted([Reason.EMPTY, Reason.BAD_ID])
    assert "c1" in assert_as_expected(site).customers


class Crash(BaseException):
    """Stands for the process's end."""


STEPS = ["flush", "begin", "ledger", "customers", "items", "changelog", "applied"]


@pytest.mark.parametrize("step", STEPS)
def test_a_crash_at_any_step_around_erasures_is_made_good(
    site: IngestSite, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nothing leaves on its own before a flush, so that a crash loses what was only queued.
    monkeypatch.setitem(service._PRODUCER, "linger.ms", 500)
    publish_story(site)
    crashes = 0
    while crashes < 8 and _crash_in_the_next_batch_but_one(site, step):
        crashes += 1
        _expire_fences(site.client)
    assert crashes > 2
    with site.running():
        site.wait_until_applied()
    assert_as_expected(site)


def _crash_in_the_next_batch_but_one(site: IngestSite, step: str) -> bool:
    """Work until a step comes for the second time, then leave as if killed; False if there was nothing left to do."""
    left = 2

    def fail(name: str) -> None:
        nonlocal left
        left -= name == step
        if left == 0:
            worker._applier._sender._producer.purge()
            raise Crash

    worker = site.worker(step=fail)
    worker.pace = Pace(records=120)
    worker.join_group()
    crashed, ends = False, site.ends()
    try:
        while site.applied() != ends:
            worker.cycle()
    except Crash:
        crashed = True
    worker.abandon()
    return crashed


def _expire_fences(client: Client) -> None:
    for key in client.scan_iter(match="*customer_id*"):
        if client.ttl(key) > 0:
            client.delete(key)


@pytest.mark.parametrize("emptied", [False, True])
def test_a_redis_that_came_back_as_before_the_erasures_is_made_good(site: IngestSite, emptied: bool) -> None:
    """The ledger then knows of erasures that Redis has yet to see."""
    events = made_events(900, customers=25)
    site.publish_events(events[:300])
    with site.running():
        site.wait_until_applied()
    kept = {} if emptied else {key: site.client.dump(key) for key in site.client.keys("*")}
    publish_story(site)
    with site.running():
        site.wait_until_applied()
    site.client.flushall()
    for key, value in kept.items():
        site.client.restore(key, 0, value)
    with site.running():
        site.wait_until_applied()
    assert_as_expected(site)


def test_a_worker_that_slept_through_an_erasure_brings_nobody_back(site: IngestSite) -> None:
    awake, asleep = threading.Event(), threading.Event()

    def doze(name: str) -> None:
        if name == "customers":
            asleep.set()
            awake.wait(60)

    zombie = site.worker(step=doze)
    zombie.join_group()
    failed: list[BaseException] = []

    def work() -> None:
        try:
            while not awake.is_set():
                zombie.cycle()
        except LostPartitionError as error:
            failed.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    site.publish_events([purchase("c1", -10), purchase("c1", -9, "i2")])
    assert asleep.wait(60)
    ask_for_erasure(site, ["c1"])
    # As after a rebalance that the sleeper knows nothing of.
    other = site.worker()
    for partition in range(4):
        held, start = other._starts.take(other._consumer, partition, other._applier)
        other._held[partition], other._next[partition] = held, start
        other._offline.open(partition, start)
    other._stale = False
    topic = site.settings.topics.interactions.name
    other._consumer.assign([TopicPartition(topic, partition, at) for partition, at in other._next.items()])
    ends = site.ends()
    while site.applied() != ends:
        other.cycle()
    for partition in range(4):
        other._offline.flush(partition)
    other._offline.finished(wait=True)
    assert site.client.ttl(site.store.keys(CUSTOMER, ["c1"])[0]) > 0
    awake.set()
    thread.join(60)
    assert len(failed) == 1, "its write is refused"
    zombie.abandon()
    other.abandon()
    assert assert_as_expected(site).customers == {}


def test_a_ledger_record_says_when_where_and_why(site: IngestSite) -> None:
    ask_for_erasure(site, ["c1"], cause="1:2:3")
    with site.running():
        site.wait_until_applied()
    changes = site.changelog(site.settings.topics.erasures.name)
    ((key, value),) = changes.items()
    entry = msgspec.json.decode(value, type=Erasure)
    assert entry.customer == erasures.customer_hash("c1") == key.split(":")[0]
    assert (entry.cause, entry.offset, abs(entry.erased_at / 1000 - time.time()) < 600) == ("1:2:3", 0, True)
