"""One example of every message, for the published schemas and for tests."""

import datetime
from typing import Any

from streams.contracts.events import Customer, Interaction, InteractionType, Item
from streams.contracts.operations import (
    ApiKey,
    BundleAnnouncement,
    DeadLetter,
    Erasure,
    ItemNeighbours,
    KeySecret,
    Neighbour,
    Reason,
    TrainingTrigger,
    TriggerReason,
)
from streams.contracts.requests import (
    RecommendationRequest,
    RecommendedItem,
    Reply,
    ScoredFeatures,
    Seen,
    ServedRecord,
    Source,
    Status,
    Timings,
)

_NOON = 1_764_590_400_000  # 2025-12-01T12:00:00Z

INTERACTION = Interaction(
    event_id="b7e1-0001",
    customer_id="1842",
    item_id="995242",
    type=InteractionType.PURCHASE,
    timestamp=datetime.datetime(2025, 12, 1, 11, 59, 30, tzinfo=datetime.UTC),
    quantity=2,
    price=1.29,
    session_id="till-7-20251201-118",
    context={"store": "330", "channel": "till"},
)
CUSTOMER = Customer(customer_id="1842", attributes={"age": "45-54", "household_size": "2"})
ITEM = Item(
    item_id="995242",
    name="Fluid Milk White Only, 1 GA",
    price=1.29,
    attributes={"department": "GROCERY", "product_category": "FLUID MILK PRODUCTS", "brand": "Private"},
)
REQUEST = RecommendationRequest(
    customer_id="1842", n=2, context={"channel": "app"}, exclude_items=["995242"], request_id="home-page-31"
)
REPLY = Reply(
    correlation_id="home-page-31",
    recommendation_id="0198f6a2c41e",
    customer_id="1842",
    status=Status.OK,
    items=[
        RecommendedItem(item_id="1029743", score=0.8125, sources=[Source.HISTORY, Source.TWO_TOWER], name="Bananas"),
        RecommendedItem(item_id="862349", score=0.4375, sources=[Source.TRENDING], name="Eggs - Large, 1 DZ"),
    ],
    model_version=12,
    as_of=_NOON,
    seen=Seen(partition=2, offset=48_113, last_event_at=_NOON - 30_000),
    timings_ms=Timings(queue=0.5, features=0.5, retrieve=1.0, candidates=0.25, score=2.5, total=5.0),
)
SERVED = ServedRecord(
    recommendation_id=REPLY.recommendation_id,
    correlation_id=REPLY.correlation_id,
    customer_id="1842",
    served_at=_NOON + 6,
    request=REQUEST,
    reply=REPLY,
    features=ScoredFeatures(categorical=[[3, 17], [3, 4]], continuous=[[0.5, -1.25], [0.5, 0.75]]),
)
DEAD_LETTER = DeadLetter(
    reason=Reason.ABSURD_PRICE,
    detail="field 'price' is -3.0: Expected `float` >= 0.0",
    topic="interactions",
    partition=2,
    offset=48_114,
    arrived_at=_NOON,
    rejected_at=_NOON + 15,
    key=b"1842",
    value=b'{"event_id":"b7e1-0002","customer_id":"1842","price":-3.0}',
)
ERASURE = Erasure(
    customer="493586733a58a0b4799c923fd18ca741", erased_at=_NOON, partition=2, offset=48_115, cause=f"1:77:{_NOON - 12}"
)
TRIGGER = TrainingTrigger(
    trigger_id="0198f6a2c500",
    reason=TriggerReason.COUNT,
    created_at=_NOON,
    interactions=20_000,
    positions={"0": 51_200, "1": 50_911, "2": 48_114, "3": 52_007},
)
BUNDLE = BundleAnnouncement(
    version=12,
    path="bundles/v000012",
    manifest_sha256="3a7bd3e2360a3d29eea436fcfb7e44c735d117c42d1c1835420b6b9942dd4f1b",
    created_at=_NOON,
    parent=11,
    trigger_id=TRIGGER.trigger_id,
    data_until=_NOON - 45_000,
    metrics={"auc": 0.875},
)
API_KEY = ApiKey(
    key_id="k7Qd2mZx",
    client="web shop",
    scopes=["ingest", "recommend"],
    secrets=[KeySecret(digest="9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", created_at=_NOON)],
    created_at=_NOON,
)
NEIGHBOURS = ItemNeighbours(
    item_id="995242",
    counted_until=_NOON,
    baskets=1204,
    together=[Neighbour(item_id="1029743", score=3.5, baskets=311)],
    instead=[Neighbour(item_id="981760", score=1.25, baskets=12)],
)

EXAMPLES: tuple[Any, ...] = (
    INTERACTION,
    CUSTOMER,
    ITEM,
    REQUEST,
    REPLY,
    SERVED,
    DEAD_LETTER,
    ERASURE,
    TRIGGER,
    BUNDLE,
    API_KEY,
    NEIGHBOURS,
)
