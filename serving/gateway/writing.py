"""What the handlers of customers, items and interactions share beyond `Gateway`; made with the first request."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import Depends, Request, Response

from feature_repo.record_store import Kind, RecordStore
from serving.gateway import problems, schemas
from serving.gateway.applied import Applied
from serving.gateway.bulk import Receipt, records_in, sorted_out
from serving.gateway.idempotency import Idempotency
from serving.gateway.item_search import ItemSearch
from serving.gateway.record_locks import RecordLocks
from serving.gateway.record_writes import RecordWrites
from serving.gateway.state import Gateway
from serving.gateway.threads import Threads
from streams.contracts.codec import Limits, decode_customer, decode_item, encode
from streams.contracts.topics import Topic

Records = list[tuple[bytes, bytes | None]]
"""Keys and values."""


class Writing:
    """Reading and writing records, over what a gateway has.

    Attributes
    ----------
    limits
        What is believed of a record; the same as the streams'.
    threads
        For calls that block.
    search
        The catalogue in process, by words and category.
    idempotency
        Answers of posts that may be sent twice.
    """

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        limits = Limits(currency_exponent=gateway.engine.shop.currency_exponent)
        topics = gateway.settings.topics
        self.limits = limits
        self.threads = Threads()
        self._writes: dict[Kind, RecordWrites] = {
            "item": self._make("item", topics.items, lambda value, key: encode(decode_item(value, limits, key=key))),
            "customer": self._make(
                "customer", topics.customers, lambda value, key: encode(decode_customer(value, limits, key=key))
            ),
        }
        self.search = ItemSearch(gateway.engine.items)
        self.idempotency = Idempotency(gateway.redis, self.threads)

    def store(self, kind: Kind) -> RecordStore:
        """Records as the streams wrote them."""
        return self._gateway.records(kind)

    def writes(self, kind: Kind) -> RecordWrites:
        """Single records of a kind."""
        return self._writes[kind]

    async def publish(self, topic: Topic, records: Records) -> None:
        """Publish many records.

        Raises
        ------
        Problem
            503: Kafka did not take all of them; they may all be sent again.
        """
        failed = [each for each in await self._gateway.publishing.publish(topic, records) if each is not None]
        if failed:
            raise problems.unavailable(
                f"{len(failed)} of {len(records)} records were not published: {failed[0]}; send all of them again"
            )

    async def bulk(
        self, body: bytes, post: type[Any], topic: Topic, check: Callable[[bytes], tuple[bytes, bytes]]
    ) -> Response:
        """Publish the records of a post that are right.

        Parameters
        ----------
        post
            The body's envelope, see `bulk`.
        check
            A record's key and value of its JSON; raises `Rejected`.

        Raises
        ------
        Problem
            413, 422 or 503.
        """
        records, rejections = sorted_out(records_in(body, post, self._gateway.settings.gateway_max_bulk), check)
        await self.publish(topic, list(records))
        return schemas.reply(Receipt(accepted=len(records), rejected=rejections), 202)

    def _make(self, kind: Kind, topic: Topic, normal: Callable[[bytes, bytes], bytes]) -> RecordWrites:
        client = self._gateway.redis
        return RecordWrites(
            kind,
            topic,
            normal,
            self.store(kind),
            self._gateway.publishing,
            Applied(client, topic, self._gateway.settings.kafka_config(), self.threads),
            RecordLocks(client, kind, self.threads),
            self.threads,
        )


async def writing(request: Request) -> Writing:
    """Return what this application's handlers share; in the event loop, so that it is made once."""
    state = request.app.state
    if not hasattr(state, "writing"):
        state.writing = Writing(state.gateway)
    found: Writing = state.writing
    return found


Shared = Annotated[Writing, Depends(writing)]
