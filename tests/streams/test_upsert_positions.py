"""A Redis that comes back older than it was, or empty, gets the catalogue and the customers again."""

from collections.abc import Callable, Sequence

import pytest
import redis
from confluent_kafka import Consumer, TopicPartition
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt

from feature_repo.online_store import OnlineStore
from feature_repo.record_store import RecordStore
from feature_repo.redis_commands import Connections, connect
from streams import upsert_positions
from streams.contracts.codec import encode
from streams.contracts.events import Customer, Item
from streams.contracts.operations import DeadLetter
from streams.upsert_positions import Reader, Upserter, UpsertPositions
from streams.upserts import Items, Raw
from tests.streams.ingest_site import SHOP, IngestSite
from tests.streams.own_redis import OwnRedis
from tests.streams.test_app import running, wait_for


class Agent:
    """Stands for an agent: takes what it is told of the topic `items`."""

    def __init__(self, site: IngestSite) -> None:
        self.topic = site.settings.topics.items.name
        connections = Connections()
        client = connect(site.settings.redis_url, retries=0, connections=connections)
        self.reader = Reader(self.topic, "test", site.settings.kafka_config())
        self.positions = UpsertPositions(client, self.topic)
        self.letters: list[DeadLetter] = []
        self.upserter = Upserter(
            self.reader, self.positions, connections, Items(OnlineStore(client), SHOP).apply, self.letters.extend
        )

    def topic_records(self) -> list[Raw]:
        ends = self.reader.ends([0, 1])
        return [
            record for each, end in ends.items() if end for some in self.reader.records(each, 0, end) for record in some
        ]

    def take(self, records: Sequence[Raw]) -> None:
        self.upserter.take(records)


def publish(site: IngestSite, names: Sequence[str]) -> None:
    topic = site.settings.topics.items.name
    site.publish(topic, [(name.encode(), encode(Item(item_id=name, name=f"the {name}"))) for name in names])


def stored(server: OwnRedis) -> set[str]:
    return {name for name, _ in RecordStore(server.client, "item")}


NAMES = [f"i{at}" for at in range(30)]


@pytest.fixture
def agent(own_site: IngestSite) -> Agent:
    publish(own_site, NAMES[:20])
    return Agent(own_site)


def restart(server: OwnRedis, snapshot: str) -> None:
    server.kill()
    server.set_back(snapshot)
    server.start()


def retried(act: Callable[[], None]) -> None:
    """What the agent does: the same again until Redis takes it."""
    Retrying(stop=stop_after_attempt(5), retry=retry_if_exception_type(redis.RedisError), reraise=True)(act)


def test_what_a_rewound_redis_lacks_comes_before_the_next_records(
    own_site: IngestSite, own_redis: OwnRedis, agent: Agent
) -> None:
    records = agent.topic_records()
    agent.take(records[:5])
    own_redis.snapshot("older.rdb")
    agent.take(records[5:])
    restart(own_redis, "older.rdb")
    assert stored(own_redis) == {record.key.decode() for record in records[:5] if record.key}
    publish(own_site, NAMES[20:])
    new = [record for record in agent.topic_records() if record not in records]
    retried(lambda: agent.take(new))
    assert stored(own_redis) == set(NAMES)
    assert agent.positions.read() == agent.reader.ends([0, 1])


def test_a_look_finds_it_without_new_records(own_redis: OwnRedis, agent: Agent) -> None:
    records = agent.topic_records()
    own_redis.snapshot("empty.rdb")
    agent.take(records)
    restart(own_redis, "empty.rdb")
    retried(agent.upserter.look)
    assert stored(own_redis) == set(NAMES[:20])


def test_a_new_process_finds_what_its_group_had_committed(own_redis: OwnRedis, agent: Agent) -> None:
    ends = agent.reader.ends([0, 1])
    consumer = Consumer(agent.reader._config)
    consumer.commit(
        offsets=[TopicPartition(agent.topic, each, end) for each, end in ends.items()],
        asynchronous=False,
    )
    consumer.close()
    agent.upserter.assigned([0, 1])
    agent.upserter.look()
    assert stored(own_redis) == set(NAMES[:20])
    assert agent.positions.read() == ends


def test_what_is_on_the_topic_and_does_not_come_is_read(
    own_site: IngestSite, own_redis: OwnRedis, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upsert_positions, "STALLED_S", -1.0)
    records = agent.topic_records()
    agent.upserter.assigned([0, 1])
    agent.take(records[:5])
    agent.upserter.look()  # takes note of how far it is
    assert len(stored(own_redis)) == 5
    agent.upserter.look()
    assert stored(own_redis) == set(NAMES[:20])
    assert agent.positions.read() == agent.reader.ends([0, 1])
    publish(own_site, NAMES[20:])
    new = [record for record in agent.topic_records() if record not in records]
    agent.take([*records[5:], *new])  # what comes late after all changes nothing, what is new is taken
    assert stored(own_redis) == set(NAMES)
    assert agent.positions.read() == agent.reader.ends([0, 1])
    agent.upserter.look()
    agent.upserter.look()
    assert agent.letters == []


def test_positions_never_pass_a_gap(own_redis: OwnRedis, agent: Agent) -> None:
    assert agent.positions.advance(0, 5, 9) == 0
    assert agent.positions.advance(0, 0, 5) is None
    assert agent.positions.advance(0, 5, 9) is None
    assert agent.positions.advance(0, 2, 4) is None
    assert agent.positions.read() == {0: 9}


def test_the_process_restores_a_redis_that_was_set_back(
    own_site: IngestSite, own_redis: OwnRedis, tmp_path_factory: pytest.TempPathFactory
) -> None:
    customers = own_site.settings.topics.customers.name
    with running(own_site, tmp_path_factory.mktemp("process")):
        publish(own_site, NAMES[:5])
        wait_for("the first items", lambda: stored(own_redis) == set(NAMES[:5]))
        own_redis.snapshot("older.rdb")
        publish(own_site, NAMES[5:])
        own_site.publish(customers, [(b"c1", encode(Customer(customer_id="c1")))])
        kept = RecordStore(own_redis.client, "customer")
        wait_for("everything", lambda: stored(own_redis) == set(NAMES) and kept.get(["c1"]) != [None])
        own_redis.client.set("since", "the snapshot")
        restart(own_redis, "older.rdb")
        assert own_redis.client.get("since") is None, "set back it was, whatever has been restored by now"
        wait_for("everything again", lambda: stored(own_redis) == set(NAMES) and kept.get(["c1"]) != [None])
