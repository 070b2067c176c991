"""Asking for recommendations over Kafka from asyncio: requests go out at once, a thread takes the replies in."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from typing import Any, Self

from confluent_kafka import KafkaException

from serving.client import Received, RecommendationClient
from streams.contracts.requests import RecommendationRequest, Reply
from streams.settings import Settings

LOOK_EVERY_S = 0.1
"""How soon the thread notices that it is to end."""


class AsyncRecommendationClient:
    """`RecommendationClient` for one event loop, where many requests may wait at once. Use it in an `async with` block.

    Parameters
    ----------
    settings
        Where Kafka is, and the topics' prefix.
    reply_to
        Topic to be answered on; default: `recommendations`.
    timeout_s
        Seconds to wait for a reply, and for the broker at the start.
    """

    def __init__(self, settings: Settings, reply_to: str | None = None, timeout_s: float = 30.0) -> None:
        self._settings, self._reply_to, self._timeout_s = settings, reply_to, timeout_s
        self._waiting: dict[str, asyncio.Future[Received]] = {}
        self._leaving = threading.Event()

    async def __aenter__(self) -> Self:
        """Connect; raises as `RecommendationClient` does."""
        self._loop = asyncio.get_running_loop()
        self._client = await asyncio.to_thread(RecommendationClient, self._settings, self._reply_to, self._timeout_s)
        self._reader = threading.Thread(target=self._read, name="recommendation-replies", daemon=True)
        self._reader.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._leaving.set()
        await asyncio.to_thread(self._reader.join)
        await asyncio.to_thread(self._client.close)

    async def recommend(self, customer_id: str, **fields: Any) -> Reply:
        """Ask for one customer; `fields` are those of RecommendationRequest. Raises TimeoutError without a reply."""
        return (await self.ask(RecommendationRequest(customer_id=customer_id, **fields))).reply

    async def ask(self, request: RecommendationRequest) -> Received:
        """Ask and wait for the reply.

        Raises
        ------
        TimeoutError
            None came in time.
        KafkaException
            The broker did not take a request, or gives no replies.
        """
        # No reply is handed over before the next `await`: by then its future is known.
        correlation_id = self._client.send(request)
        self._waiting[correlation_id] = self._loop.create_future()
        try:
            return await asyncio.wait_for(self._waiting[correlation_id], self._timeout_s)
        except TimeoutError:
            raise self._client.no_reply(request) from None
        finally:
            del self._waiting[correlation_id]
            self._client.forget(correlation_id)

    def _read(self) -> None:
        while not self._leaving.is_set():
            try:
                received = self._client.receive(LOOK_EVERY_S)
            except KafkaException as error:
                self._loop.call_soon_threadsafe(self._fail, error)
            else:
                if received:
                    self._loop.call_soon_threadsafe(self._take, received)

    def _take(self, received: Sequence[Received]) -> None:
        for each in received:
            future = self._waiting.get(each.reply.correlation_id)
            if future is not None and not future.done():
                future.set_result(each)

    def _fail(self, error: KafkaException) -> None:
        """Which request it is about is not told: all that wait learn of it."""
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(error)
