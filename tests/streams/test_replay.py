import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from click.testing import CliRunner
from confluent_kafka import Consumer, Message, TopicPartition

from deploy.commands.replay import command
from streams.contracts.codec import decode_customer, decode_interaction, decode_item
from streams.contracts.operations import Reason
from streams.contracts.partitioner import partition_of
from streams.contracts.rejection import Rejected
from streams.create_topics import create_topics
from streams.publisher import DeliveryError, Publisher
from streams.replay import Outgoing, Pace, Plan, interleave, replay
from streams.replay_checkpoint import Checkpoint
from streams.settings import Settings
from streams.sources.malformed import KINDS, malformed_records
from streams.sources.synthetic import Options, Synthetic

NOW = 1_767_225_600_000_000 + 86_400_000_000
_prefixes = itertools.count()


@pytest.fixture
def settings(kafka: str, tmp_path: Path) -> Settings:
    made = Settings(kafka_bootstrap_servers=kafka, topic_prefix=f"replay-{next(_prefixes)}-", state=tmp_path / "state")
    create_topics((made.topics.items, made.topics.customers, made.topics.interactions), made.kafka_config())
    return made


@pytest.fixture
def read(kafka: str) -> Callable[[str], list[Message]]:
    """Everything on a topic, partition by partition."""

    def everything(topic: str) -> list[Message]:
        consumer = Consumer({"bootstrap.servers": kafka, "group.id": "reader", "enable.auto.commit": False})
        try:
            ends = {
                p: consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=10)
                for p in consumer.list_topics(topic, timeout=10).topics[topic].partitions
            }
            consumer.assign([TopicPartition(topic, p, low) for p, (low, _) in ends.items()])
            wanted = sum(high - low for low, high in ends.values())
            found: list[Message] = []
            while len(found) < wanted:
                found += [m for m in consumer.consume(wanted - len(found), 5) if m.error() is None]
            return found
        finally:
            consumer.close()

    return everything


@pytest.fixture
def source() -> Synthetic:
    return Synthetic(Options(events=9_000, customers=200, items=300, seed=8))


def test_everything_arrives_keyed_in_order_and_on_the_right_partition(
    settings: Settings, source: Synthetic, read: Callable[[str], list[Message]]
) -> None:
    summary = replay(source, settings, Plan(), Checkpoint())
    assert summary.sent == {"items": 300, "customers": 200, "interactions": 9_000}
    items = [decode_item(m.value(), key=m.key()) for m in read(settings.topics.items.name)]
    assert sorted(i.item_id for i in items) == sorted(i.item_id for i in source.items())
    customers = [decode_customer(m.value(), key=m.key()) for m in read(settings.topics.customers.name)]
    assert len(customers) == 200
    messages = read(settings.topics.interactions.name)
    received = {}
    newest = dict.fromkeys(range(4), 0)
    for message in messages:
        event = decode_interaction(message.value(), NOW, key=message.key())
        assert message.partition() == partition_of(message.key(), 4)
        assert event.time >= newest[message.partition()]
        newest[message.partition()] = event.time
        received[event.event_id] = event
    assert received == {e.event_id: e for batch in source.interactions() for e in batch}
    assert len(messages) == 9_000


def test_malformed_records_are_mixed_in_and_told_apart(
    settings: Settings, source: Synthetic, read: Callable[[str], list[Message]]
) -> None:
    summary = replay(source, settings, Plan(what=("interactions",), malformed=100), Checkpoint())
    assert (summary.sent["interactions"], summary.malformed) == (9_000, 100)
    good, reasons = 0, []
    for message in read(settings.topics.interactions.name):
        try:
            decode_interaction(message.value(), NOW, key=message.key())
            good += 1
        except Rejected as rejected:
            reasons.append(rejected.reason)
    assert good == 9_000
    assert sorted(reasons) == sorted(reason for reason, _ in KINDS for _ in range(10))


class Interrupted(Synthetic):
    """Breaks off in the middle, as Ctrl-C would."""

    def chunks(self, start: int | None = None, stop: int | None = None) -> Iterator[pa.Table]:
        yield next(super().chunks(start, stop)).slice(0, 4_000)
        raise KeyboardInterrupt


def test_an_interrupted_replay_goes_on_where_kafka_acknowledged(
    settings: Settings, source: Synthetic, read: Callable[[str], list[Message]], tmp_path: Path
) -> None:
    path = tmp_path / "checkpoint.json"
    with pytest.raises(KeyboardInterrupt):
        replay(Interrupted(source.options), settings, Plan(malformed=10), Checkpoint(path))
    saved = json.loads(path.read_text())
    assert (saved["items"], saved["customers"], saved["interactions"]) == (300, 200, 4_000)
    summary = replay(source, settings, Plan(malformed=10), Checkpoint(path))
    assert summary.sent == {"items": 0, "customers": 0, "interactions": 5_000}
    assert summary.already_sent == {"items": 300, "customers": 200, "interactions": 4_000}
    assert len(read(settings.topics.interactions.name)) == 9_010
    assert replay(source, settings, Plan(malformed=10), Checkpoint(path)).sent["interactions"] == 0


def test_the_limit_counts_from_the_start_of_the_selection(
    settings: Settings, source: Synthetic, tmp_path: Path
) -> None:
    path = tmp_path / "checkpoint.json"
    first = replay(source, settings, Plan(what=("interactions",), limit=2_500), Checkpoint(path))
    second = replay(source, settings, Plan(what=("interactions",), limit=4_000), Checkpoint(path))
    assert (first.sent["interactions"], second.sent["interactions"]) == (2_500, 1_500)


def test_paced_replay_keeps_the_distances_of_events(settings: Settings, read: Callable[[str], list[Message]]) -> None:
    source = Synthetic(Options(events=60, customers=5, items=30, days=1.0, seed=2))
    first, last = source.span() or (0, 0)
    speed = (last - first) / 1e6 / 2.0  # two seconds in all
    summary = replay(source, settings, Plan(what=("interactions",), speed=speed), Checkpoint())
    assert len(read(settings.topics.interactions.name)) == 60
    assert summary.seconds >= 2.0  # never quicker than asked for


def test_a_record_that_kafka_refuses_stops_the_replay(settings: Settings) -> None:
    publisher = Publisher(settings, {"message.timeout.ms": 3000})
    publisher.send(settings.topics.interactions.name, b"a", b"x" * 100)
    publisher.mark(1)
    publisher.send("no-such-topic", b"the-key", b"x")
    publisher.mark(2)
    with pytest.raises(DeliveryError, match="'the-key'"):
        publisher.flush()
    assert publisher.acknowledged == 1
    publisher.abandon(2)
    assert publisher.acknowledged == 1


def test_a_full_queue_is_waited_for(settings: Settings, read: Callable[[str], list[Message]]) -> None:
    publisher = Publisher(settings, {"queue.buffering.max.messages": 10, "linger.ms": 0})
    for n in range(500):
        publisher.send(settings.topics.interactions.name, str(n).encode(), b"x")
    publisher.mark(500)
    publisher.flush()
    assert publisher.acknowledged == 500
    assert len(read(settings.topics.interactions.name)) == 500


def test_interleaving_is_even_and_the_same_when_resumed() -> None:
    rows = [Outgoing(b"", str(n).encode(), 1) for n in range(100)]
    whole = list(interleave(iter(rows), 0, 100, 9))
    assert [n for n, record in enumerate(whole) if not record.counts] == [10 + 11 * n for n in range(9)]
    resumed = list(interleave(iter(rows[45:]), 45, 100, 9))
    assert resumed == whole[-len(resumed) :]
    few = list(interleave(iter(rows[:3]), 0, 3, 20))
    assert sum(not record.counts for record in few) == 20
    assert {r.value for r in few if not r.counts} == {r.value for r in malformed_records(20, 1_577_836_800_000_000)}


def test_pace() -> None:
    pace = Pace(10.0, now=lambda: 100.0)
    assert [pace.due(at) for at in (5_000_000, 5_000_000, 15_000_000)] == [100.0, 100.0, 101.0]


def test_a_damaged_checkpoint_says_how_to_start_over(tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text("{")
    with pytest.raises(ValueError, match="--restart"):
        Checkpoint(tmp_path / "c.json")


@pytest.mark.parametrize("wrong", [{"speed": 0.0}, {"start": 5, "stop": 5}])
def test_a_plan_without_sense_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"speed|nothing"):
        Plan(**wrong)  # type: ignore[arg-type]


# The command.


@pytest.fixture
def run(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str]]:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", settings.kafka_bootstrap_servers)
    monkeypatch.setenv("HEADWATER_TOPIC_PREFIX", settings.topic_prefix)
    monkeypatch.setenv("HEADWATER_STATE", str(settings.state))

    def invoke(*arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(command, arguments)
        return result.exit_code, result.output

    return invoke


def test_command_sends_resumes_and_restarts(run: Callable[..., tuple[int, str]]) -> None:
    source = ("--source", "synthetic:events=3000,customers=50,items=100")
    code, told = run(*source, "--limit", "1000", "--inject-malformed", "10")
    assert code == 0
    assert "1,000 interactions to topic replay-" in told
    assert "10 malformed records" in told
    code, told = run(*source)
    assert "2,000 interactions" in told
    assert "1,000 were there from an earlier run" in told
    code, told = run(*source, "--restart", "--what", "interactions")
    assert "3,000 interactions" in told


def test_command_takes_a_shops_own_file(
    run: Callable[..., tuple[int, str]], tmp_path: Path, settings: Settings, read: Callable[[str], list[Message]]
) -> None:
    (tmp_path / "s.csv").write_text(
        "who,what,when\nann,ü1,03.02.2024 10:00\nbob,x2,04.02.2024 10:00\n,x2,04.02.2024 10:00\n"
    )
    (tmp_path / "m.toml").write_text(
        '[interactions]\ncustomer_id = "who"\nitem_id = "what"\ntype = "purchase"\n'
        'time = "when"\ntime_format = "%d.%m.%Y %H:%M"\n'
    )
    code, told = run(
        "--source", str(tmp_path / "s.csv"), "--mapping", str(tmp_path / "m.toml"), "--since", "2024-02-04"
    )
    assert code == 0, told
    assert "1 interactions" in told
    assert "1 rows of the source left out: no customer" in told
    (message,) = read(settings.topics.interactions.name)
    assert decode_interaction(message.value(), NOW, key=b"bob").item_id == "x2"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--source", "nowhere"), "no source 'nowhere'"),
        (("--speed", "fast"), "--speed 'fast'"),
        (("--since", "soon"), "--since 'soon'"),
        (("--what", "items,shoes"), "--what shoes"),
        (("--source", "synthetic:events=10", "--since", "2030-01-01", "--until", "2029-01-01"), "nothing lies"),
    ],
)
def test_command_explains_wrong_options(
    run: Callable[..., tuple[int, str]], arguments: tuple[str, ...], told: str
) -> None:
    code, output = run(*arguments)
    assert code == 1
    assert told in output


def test_command_needs_kafka_and_its_topics(
    run: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADWATER_TOPIC_PREFIX", "absent-")
    code, output = run("--source", "synthetic:events=10,items=30")
    assert code == 1
    assert "streams.create_topics" in output
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    code, output = run("--source", "synthetic:events=10,items=30")
    assert code == 1
    assert "no Kafka answers at 127.0.0.1:1" in output


def test_reasons_of_malformed_records_are_in_the_contract() -> None:
    assert {reason for reason, _ in KINDS} <= set(Reason)
