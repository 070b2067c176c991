"""Every query of the dashboard, run against the real Prometheus while real events and requests pass."""

import contextlib
import json
import math
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid

import numpy as np
import pytest
from confluent_kafka import Producer

from deploy.grafana.panels import queries
from streams.contracts.codec import encode
from streams.contracts.events import Customer, Interaction, InteractionType, Item
from streams.contracts.requests import RecommendationRequest
from streams.contracts.topics import Topics
from streams.settings import Settings
from tests.conftest import RunningStack

# A shop small enough to train on in a minute, with more purchases than the test stack lets pass untrained.
CUSTOMERS = 60
ITEMS = 120
PURCHASES = 3_000
FAVOURITES = 6
DEPARTMENTS = ("bakery", "dairy", "produce", "seafood")
DAYS = 60
# A first model takes a minute or two on two busy cores; nothing is asserted about how long it took.
PATIENCE_S = 480.0


class Shop:
    """Publishes a catalogue, customers, purchases that follow a taste, and questions."""

    def __init__(self, stack: RunningStack) -> None:
        self.topics: Topics = Settings().topics
        self.gateway = stack.environment["HEADWATER_GATEWAY_URL"]
        self.producer = Producer({"bootstrap.servers": stack.kafka_bootstrap_servers, "partitioner": "murmur2_random"})
        self.rng = np.random.default_rng(7)

    def open(self) -> None:
        for row in range(ITEMS):
            attributes = {"department": DEPARTMENTS[row % len(DEPARTMENTS)], "brand": f"brand {row % 9}"}
            item = Item(item_id=f"board-{row}", name=f"thing {row}", price=1.5 + row, attributes=attributes)
            self.publish(self.topics.items.name, item.item_id, encode(item))
        for row in range(CUSTOMERS):
            customer = Customer(customer_id=f"looker-{row}", attributes={"age": "25-34"})
            self.publish(self.topics.customers.name, customer.customer_id, encode(customer))
        now = time.time()
        for age_s in np.sort(self.rng.uniform(0, DAYS * 86_400, PURCHASES))[::-1]:
            self.sell(now - float(age_s))

    def sell(self, at: float) -> None:
        customer = int(self.rng.integers(CUSTOMERS))
        # Mostly one of a few favourites, bought again and again: enough to learn for a model that passes the gate.
        if self.rng.random() < 0.85:
            item = (7 * customer + int(self.rng.integers(FAVOURITES))) % ITEMS
        else:
            item = int(self.rng.integers(ITEMS))
        event = Interaction(
            event_id=uuid.uuid4().hex,
            customer_id=f"looker-{customer}",
            item_id=f"board-{item}",
            type=InteractionType.PURCHASE,
            timestamp=int(at * 1000),
            price=1.5 + item,
        )
        self.publish(self.topics.interactions.name, event.customer_id, encode(event))

    def ask(self, customer: str) -> None:
        request = RecommendationRequest(customer_id=customer, request_id=uuid.uuid4().hex, deadline_ms=10_000)
        self.publish(self.topics.recommendation_requests.name, customer, encode(request))

    def do_business(self) -> None:
        """A second's worth of everything that the dashboard shows: sales, rubbish, questions, a stranger."""
        for _ in range(20):
            self.sell(time.time())
            self.ask(f"looker-{int(self.rng.integers(CUSTOMERS))}")
        self.ask(f"stranger-{uuid.uuid4().hex}")
        with urllib.request.urlopen(f"{self.gateway}/customers/looker-1/recommendations", timeout=10) as answer:  # noqa: S310
            assert answer.status == 200
        for question in ("similar", "bought-together"):
            with (
                contextlib.suppress(urllib.error.HTTPError),  # the gateway may not have heard of the item yet
                urllib.request.urlopen(f"{self.gateway}/items/board-1/{question}", timeout=10),  # noqa: S310
            ):
                pass
        self.publish(self.topics.interactions.name, "looker-0", b"not JSON")
        self.producer.flush(10)

    def publish(self, topic: str, key: str, value: bytes) -> None:
        self.producer.produce(topic, value, key)
        self.producer.poll(0)


def finite_series(prometheus: str, query: str) -> int:
    """Number of series of an instant query whose value is a finite number."""
    url = f"{prometheus}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - the test's own Prometheus
        result = json.load(answer)["data"]["result"]
    return sum(math.isfinite(float(series["value"][1])) for series in result)


@pytest.mark.stack
@pytest.mark.timeout(PATIENCE_S + 120)
def test_every_query_has_a_finite_series(stack: RunningStack) -> None:
    prometheus = stack.environment["HEADWATER_PROMETHEUS_URL"]
    shop = Shop(stack)
    shop.open()
    wanting = set(queries())
    deadline = time.monotonic() + PATIENCE_S
    while wanting and time.monotonic() < deadline:
        shop.do_business()
        time.sleep(1)
        wanting = {query for query in wanting if finite_series(prometheus, query) == 0}
    assert not wanting
