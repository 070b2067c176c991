"""Many questions at once over Kafka from one event loop, each answered with its own reply."""

from __future__ import annotations

import asyncio
import uuid

import pytest

from serving.async_client import AsyncRecommendationClient
from streams.contracts.requests import Reply
from streams.create_topics import create_topics
from streams.settings import Settings
from tests.serving.running import BOUGHT, Running

pytestmark = pytest.mark.stack


def test_each_gets_its_own_reply(service: Running) -> None:
    customers = [*BOUGHT, "nobody"] * 8

    async def ask() -> list[Reply]:
        async with AsyncRecommendationClient(service.settings) as client:
            return await asyncio.gather(
                *(client.recommend(customer, n=k + 1, deadline_ms=20_000) for k, customer in enumerate(customers))
            )

    replies = asyncio.run(ask())
    assert [reply.customer_id for reply in replies] == customers
    assert [len(reply.items) for reply in replies] == [k + 1 for k in range(len(customers))]


def test_who_gets_no_reply_is_told_and_others_can_still_ask(kafka: str) -> None:
    settings = Settings(kafka_bootstrap_servers=kafka, topic_prefix=f"nobody-{uuid.uuid4().hex[:8]}-")
    create_topics(settings.topics.all(), settings.kafka_config())

    async def ask() -> None:
        async with AsyncRecommendationClient(settings, timeout_s=5.0) as client:
            for _ in range(2):
                with pytest.raises(TimeoutError, match="no reply for customer 'ann' within 5 s; is the serving"):
                    await client.recommend("ann")

    asyncio.run(ask())


def test_a_topic_that_is_not_there_is_said_so(kafka: str) -> None:
    async def ask() -> None:
        async with AsyncRecommendationClient(Settings(kafka_bootstrap_servers=kafka), "no-such-topic"):
            raise AssertionError

    with pytest.raises(LookupError, match="'no-such-topic' cannot be read"):
        asyncio.run(ask())
