"""The methods of both clients: each call described once, sent at once by the one, awaited with the other."""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine
from typing import Any, Generic, ParamSpec, Protocol, TypeVar, overload

from serving.rest_client import access, catalogue, publishing, recommending
from serving.rest_client.call import Call

P = ParamSpec("P")
T = TypeVar("T")


class Sender(Protocol):
    """Sends a call and returns its result."""

    def send(self, call: Call[T], /) -> T:
        """Send; raises a `HeadwaterError`."""


class AsyncSender(Protocol):
    """Sends a call; its result is awaited."""

    def send(self, call: Call[T], /) -> Coroutine[Any, Any, T]:
        """Send; raises a `HeadwaterError`."""


class Operation(Generic[P, T]):
    """A method made of the description of a call: same parameters, and the result that the call describes.

    Of a `Sender` it returns the result, of an `AsyncSender` its awaitable.
    """

    def __init__(self, describe: Callable[P, Call[T]]) -> None:
        self._describe = describe

    @overload
    def __get__(self, client: None, owner: type) -> Callable[P, Call[T]]: ...
    @overload
    def __get__(self, client: AsyncSender, owner: type) -> Callable[P, Coroutine[Any, Any, T]]: ...
    @overload
    def __get__(self, client: Sender, owner: type) -> Callable[P, T]: ...
    def __get__(self, client: Sender | AsyncSender | None, owner: type) -> Callable[P, Any]:
        if client is None:
            return self._describe

        @functools.wraps(self._describe)
        def send(*args: P.args, **kwargs: P.kwargs) -> Any:
            return client.send(self._describe(*args, **kwargs))

        return send


class Operations:
    """Everything that the gateway can be asked."""

    recommendations = Operation(recommending.recommendations)
    session_recommendations = Operation(recommending.session_recommendations)
    recommendation = Operation(recommending.recommendation)
    popular = Operation(recommending.popular)
    trending = Operation(recommending.trending)
    similar = Operation(recommending.similar)
    bought_together = Operation(recommending.bought_together)

    customers = Operation(catalogue.customers)
    customer = Operation(catalogue.customer)
    put_customer = Operation(catalogue.put_customer)
    patch_customer = Operation(catalogue.patch_customer)
    delete_customer = Operation(catalogue.delete_customer)
    put_customers = Operation(catalogue.put_customers)

    items = Operation(catalogue.items)
    item = Operation(catalogue.item)
    put_item = Operation(catalogue.put_item)
    patch_item = Operation(catalogue.patch_item)
    delete_item = Operation(catalogue.delete_item)
    put_items = Operation(catalogue.put_items)

    publish = Operation(publishing.publish)
    publish_many = Operation(publishing.publish_many)

    ready = Operation(access.ready)
    token = Operation(access.token)
    keys = Operation(access.keys)
    create_key = Operation(access.create_key)
    rotate_key = Operation(access.rotate_key)
    revoke_key = Operation(access.revoke_key)
