"""A request on Kafka is answered on Kafka, with real Kafka, Redis and Triton, whatever else is missing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from confluent_kafka import Consumer, TopicPartition

from feature_repo.encoder import OUT_OF_VOCABULARY, Encoder
from feature_repo.purchases import DAY
from feature_repo.request_context import request_columns
from serving.client import RecommendationClient
from serving.customers import CustomerReader
from serving.local_scorer import LocalScorer
from serving.recommendation import Query
from serving.recommender import Recommender
from serving.snapshot import snapshot
from streams.contracts.codec import decode
from streams.contracts.operations import DeadLetter
from streams.contracts.partitioner import partition_of
from streams.contracts.requests import RecommendationRequest, Reply, ServedRecord, Source, Status
from tests.serving.running import BOUGHT, PATIENCE_MS, PROFILE_ONLY, SHOP, TODAY, Running, Topic, running, until
from tests.serving.shop import item_state
from tests.serving.triton_server import free_ports, start_triton, stop

pytestmark = pytest.mark.stack

AS_OF_MS = (TODAY * DAY + 3_600_000_000) // 1000


@pytest.fixture(scope="module")
def client(service: Running) -> Iterator[RecommendationClient]:
    with service.client() as client:
        yield client


def test_before_the_first_model_trending_is_answered(service: Running, client: RecommendationClient) -> None:
    reply = client.recommend("ann", n=3)
    assert (reply.status, reply.reason, reply.model_version) == (Status.FALLBACK, "model_unavailable", None)
    assert [item.item_id for item in reply.items] == ["i299", "i298", "i297"]
    assert all(item.sources == [Source.TRENDING] for item in reply.items)
    assert reply.items[0].name == "Item 299"


def test_the_first_model_goes_live_without_a_restart(service: Running, client: RecommendationClient) -> None:
    service.announce(1)
    until(lambda: service.live(1))
    reply = client.recommend("ann")
    assert (reply.status, reply.model_version, len(reply.items)) == (Status.OK, 1, 10)
    assert reply.seen is not None
    assert (reply.seen.offset, reply.seen.last_event_at) == (7, (TODAY - 4) * DAY // 1000)


@pytest.mark.parametrize("customer", BOUGHT)
def test_what_is_served_is_what_the_same_code_ranks_offline(
    service: Running, client: RecommendationClient, customer: str
) -> None:
    reply = client.recommend(customer, n=50, as_of=AS_OF_MS)
    items, bundle = service.items(), service.bundles[1]
    model = snapshot(bundle, items, TODAY)
    customers = CustomerReader(service.store, SHOP).read([customer])
    recommender = Recommender(items, LocalScorer(bundle), lambda: 0.0)
    [expected] = recommender.recommend([Query(customer, AS_OF_MS * 1000, 50)], customers, model)
    assert [item.item_id for item in reply.items] == [items.catalogue.item_ids[row] for row in expected.rows]
    np.testing.assert_allclose([item.score for item in reply.items], expected.scores, rtol=1e-5)
    if len(BOUGHT[customer]) > 1:
        assert any(Source.HISTORY in item.sources for item in client.recommend(customer, n=200).items)


def test_the_served_record_holds_the_features_as_scored(service: Running, client: RecommendationClient) -> None:
    served = Topic(service.settings, service.settings.topics.served.name)
    reply = client.recommend("ann", n=4, as_of=AS_OF_MS, context={"store": "330"})
    [message] = until(lambda: [m for m in served.poll() if reply.correlation_id.encode() in m.value()])
    served.close()
    record = decode(message.value(), ServedRecord)
    assert record.reply == reply
    assert record.request.n == 4
    assert record.features is not None
    scores = LocalScorer(service.bundles[1]).rank(
        1, np.array(record.features.categorical, np.int32), np.array(record.features.continuous, np.float32)
    )
    np.testing.assert_allclose(scores, [item.score for item in reply.items], rtol=1e-4)
    told = request_columns(SHOP, [{"store": "330"}], np.array([AS_OF_MS * 1000]))
    codes, numbers = Encoder.read(service.bundles[1].file("encoder.json")).encode(told, "request")
    for place in range(4):
        assert record.features.categorical[place][-1:] == codes[0].tolist() == [OUT_OF_VOCABULARY]
        assert record.features.continuous[place][-4:] == pytest.approx(numbers[0].tolist())


def test_strangers_get_trending_with_the_reason(client: RecommendationClient) -> None:
    reply = client.recommend("nobody", n=5, exclude_items=["i299"])
    assert (reply.status, reply.reason, reply.seen) == (Status.FALLBACK, "unknown_customer", None)
    assert [item.item_id for item in reply.items] == ["i298", "i297", "i296", "i295", "i294"]
    assert client.recommend(PROFILE_ONLY).reason == "missing_features"


def test_filters(client: RecommendationClient) -> None:
    everything = [item.item_id for item in client.recommend("ann", n=200).items]
    unwanted = everything[:20]
    wanted = client.recommend("ann", n=200, exclude_items=unwanted).items
    assert wanted
    assert not {item.item_id for item in wanted} & set(unwanted)
    novel = client.recommend("ann", n=200, exclude_purchased=True).items
    assert novel
    assert not {item.item_id for item in novel} & set(BOUGHT["ann"])
    of_one = client.recommend("ann", n=200, categories=["c3"]).items
    assert {int(item.item_id[1:]) % 7 for item in of_one} == {3}


def test_explanations_are_the_pair_columns(client: RecommendationClient) -> None:
    items = client.recommend("ann", n=200, explain=True).items
    for item in items:
        assert item.explanation is not None
        assert item.explanation["pair_lines"] == float(item.item_id in BOUGHT["ann"])


def test_a_bad_request_gets_an_error_and_is_kept(service: Running) -> None:
    topics = service.settings.topics
    replies = Topic(service.settings, topics.recommendations.name)
    dead = Topic(service.settings, topics.dead_letters.name)
    cases = {
        "not-json": (b"{", "not_json"),
        "no-customer": (b"{}", "missing_field"),
        "too-many": (b'{"customer_id":"ann","n":201}', "out_of_range"),
        "bad-time": (b'{"customer_id":"ann","as_of":-5}', "absurd_time"),
    }
    for name, (value, _) in cases.items():
        service.send(topics.recommendation_requests.name, value, "ann", {"correlation_id": name})
    service.send(topics.recommendation_requests.name, b"nobody asked", "ann")
    wrong = {"correlation_id": "elsewhere", "reply_to": topics.interactions.name}
    service.send(topics.recommendation_requests.name, b'{"customer_id":"ann"}', "ann", wrong)
    until(lambda: len(replies.poll()) >= 5 and len(dead.poll()) >= 6)
    found = {reply.correlation_id: reply for m in replies.messages for reply in [decode(m.value(), Reply)]}
    assert all(reply.status is Status.ERROR and reply.error for reply in found.values())
    codes = {name: reply.error.code for name, reply in found.items() if reply.error}
    assert codes == {name: code for name, (_, code) in cases.items()} | {"elsewhere": "out_of_range"}
    letters = [decode(m.value(), DeadLetter) for m in dead.messages]
    assert {letter.value for letter in letters} >= {b"{", b"{}", b"nobody asked"}
    replies.close()
    dead.close()


def test_replies_go_where_the_headers_say_once(service: Running) -> None:
    topics = service.settings.topics
    replies = Topic(service.settings, topics.recommendations.name)
    headers = {"correlation_id": "twice", "reply_to": topics.recommendations.name, "reply_partition": "3"}
    for _ in range(2):
        service.send(topics.recommendation_requests.name, b'{"customer_id":"ann"}', "ann", headers)
    service.send(topics.recommendation_requests.name, b'{"customer_id":"ann","request_id":"last"}', "ann")
    until(lambda: [m for m in replies.poll() if b'"last"' in m.value()])
    mine = [m for m in replies.messages if b'"twice"' in m.value()]
    assert [m.partition() for m in mine] == [3]
    sent = dict(mine[0].headers())
    assert sent["correlation_id"] == b"twice"
    assert sent["model_version"] == b"1"
    assert decode(mine[0].value(), Reply).recommendation_id.encode() == sent["recommendation_id"]
    replies.close()


def test_items_follow_their_topics(service: Running, client: RecommendationClient) -> None:
    """A withdrawn item goes, one that sells comes, without a restart."""
    topics = service.settings.topics

    def trending() -> list[str]:
        return [item.item_id for item in client.recommend("nobody", n=2).items]

    assert trending() == ["i299", "i298"]
    service.send(topics.items.name, None, "i299")
    service.item("i298", available=False)
    until(lambda: trending() == ["i297", "i296"])
    for source in ("0", "1"):
        service.send(topics.features_items.name, item_state(TODAY, 5000), f"{source}:i3")
    until(lambda: trending()[0] == "i3")


def test_the_next_version_goes_live_while_requests_are_answered(service: Running, client: RecommendationClient) -> None:
    """No request fails or falls back, each is answered by one version, and the order of versions is kept."""

    def requests() -> Iterator[RecommendationRequest]:
        service.announce(2)
        while not service.live(2):
            yield from asked
        yield from asked

    asked = [RecommendationRequest(customer_id=customer, deadline_ms=PATIENCE_MS) for customer in BOUGHT]
    answers = [received.reply for received in client.recommend_many(requests(), concurrency=4)]
    assert {reply.status for reply in answers} == {Status.OK}
    assert {reply.model_version for reply in answers} == {1, 2}
    assert client.recommend("ann").model_version == 2
    service.announce(3)
    until(lambda: service.live(3))
    until(lambda: service.triton.repository.versions() == [2, 3])


def test_a_damaged_bundle_does_not_go_live(service: Running, client: RecommendationClient) -> None:
    service.announce(2)
    until(lambda: service.live(2))
    with service.bundles[3].file("ranker.onnx").open("ab") as file:
        file.write(b"x")
    service.announce(3)
    until(lambda: "bundle refused" in service.log.read_text())
    assert client.recommend("ann").model_version == 2


def test_a_dead_stub_costs_personality_and_comes_back(service: Running, client: RecommendationClient) -> None:
    service.triton.kill_stubs("ranker")
    statuses = []

    def recovered() -> bool:
        reply = client.recommend("ann")
        statuses.append((reply.status, reply.reason))
        assert len(reply.items) == 10
        return reply.status is Status.OK and len(statuses) > 1

    until(recovered)
    assert set(statuses) == {(Status.OK, None), (Status.FALLBACK, "model_unavailable")}


def test_triton_may_restart(
    kafka: str, redis_url: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """While it is away requests are answered from trending; when it is back the same model ranks again."""
    ports, directory = free_ports(3), tmp_path_factory.mktemp("own-triton")
    server = start_triton(directory, ports)
    shop = running(kafka, redis_url, server, tmp_path)
    shop.announce(1)
    try:
        shop.start()
        with shop.client() as client:
            until(lambda: client.recommend("ann").status is Status.OK)
            server.process.kill()
            server.process.wait(10)
            gone = [client.recommend("ann") for _ in range(20)]
            assert {reply.reason for reply in gone} == {"model_unavailable"}
            server = start_triton(directory, ports)
            until(lambda: client.recommend("ann").status is Status.OK)
            again = [client.recommend("ann") for _ in range(20)]
            assert {reply.model_version for reply in again} == {1}
    finally:
        assert shop.close() == 0
        stop(server.process)


def test_everything_answered_is_committed(service: Running, client: RecommendationClient) -> None:
    client.recommend("ann")
    name = service.settings.topics.recommendation_requests.name
    config = {**service.settings.kafka_config(), "group.id": service.settings.serving_group}
    group = Consumer(config)
    try:
        partitions = [TopicPartition(name, p) for p in group.list_topics(name, timeout=10).topics[name].partitions]
        ends = {p.partition: group.get_watermark_offsets(p, timeout=10)[1] for p in partitions}

        def committed() -> bool:
            found = {p.partition: max(p.offset, 0) for p in group.committed(partitions, timeout=10)}
            return found == ends

        until(committed)
        mine = partition_of(b"ann", len(partitions))
        until(lambda: service.metric(f'headwater_request_lag{{partition="{mine}"}}') == 0.0)
    finally:
        group.close()


def test_latency_is_told(client: RecommendationClient) -> None:
    started = time.perf_counter()
    reply = client.recommend("cleo")
    elapsed = (time.perf_counter() - started) * 1000
    t = reply.timings_ms
    assert 0 < t.features + t.retrieve + t.candidates + t.score <= t.total * 1.01
    assert t.total <= elapsed
