"""What one customer is recommended before and after a few purchases."""

import time

import numpy as np

from benchmarks.freshness import Publisher, UnseenError, purchase
from deploy.demo.report import Story
from deploy.demo.world import World
from serving.client import RecommendationClient
from streams.contracts.requests import Reply

SHOWN = 10


def tell(world: World, customer_id: str, at: int) -> Story:
    """Ask, buy three items of the answer's own tail, ask again.

    Parameters
    ----------
    customer_id
        A customer whom the service knows.
    at
        Event time of the purchases, milliseconds since the epoch.
    """
    with RecommendationClient(world.settings) as client:
        before = client.recommend(customer_id, n=200)
        names = {item.item_id: item.name or item.item_id for item in before.items}
        novel = client.recommend(customer_id, n=SHOWN, exclude_purchased=True)
        names |= {item.item_id: item.name or item.item_id for item in novel.items}
        bought = [item.item_id for item in novel.items[:3]]
        publisher, offset = Publisher(world.settings), -1
        for number, item_id in enumerate(bought):
            _, offset = publisher.publish(purchase(customer_id, item_id, at + number))
        after = _ask_until_seen(client, customer_id, offset)
    names |= {item.item_id: item.name or item.item_id for item in after.items}
    first, then = _top(before), _top(after)
    return Story(
        customer_id=customer_id, bought=[names[i] for i in bought], before=[names[i] for i in first],
        after=[names[i] for i in then], entered=[names[i] for i in then if i not in first],
    )  # fmt: skip


def _top(reply: Reply) -> list[str]:
    return [item.item_id for item in reply.items[:SHOWN]]


def _ask_until_seen(client: RecommendationClient, customer_id: str, offset: int) -> Reply:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        reply = client.recommend(customer_id, n=SHOWN)
        if reply.seen is not None and reply.seen.offset >= offset:
            return reply
    raise UnseenError(f"the purchases of customer {customer_id!r} were not seen by any answer within 30 s")


def typical(customers: list[str], purchases: list[int]) -> str:
    """Return the customer with the median number of purchases, the first by id among equals."""
    order = np.lexsort((np.array(customers), np.array(purchases)))
    return customers[int(order[len(order) // 2])]
