"""API keys over HTTP: listed, made, rotated, revoked. The first one is made by `headwater keys create`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Annotated, TypeVar

import msgspec
from fastapi import APIRouter, Request
from fastapi.responses import Response
from msgspec import Meta

from serving.gateway.problems import Problem, documented, rejected, unavailable
from serving.gateway.record_answers import json_body
from serving.gateway.schemas import answers, reply, takes
from serving.gateway.security import keys
from serving.gateway.security.principal import Principal, Scope, requires
from serving.gateway.state import Deps, Gateway
from streams.contracts.codec import decode
from streams.contracts.operations import ApiKey
from streams.contracts.rejection import Rejected

T = TypeVar("T")

router = APIRouter(tags=["keys"])

Admin = Annotated[Principal, requires(Scope.ADMIN)]
Lifetime = Annotated[int, Meta(ge=1, le=10 * 366 * 86_400)]

FOLLOWED_WITHIN_S = 5.0
LOOK_EVERY_S = 0.02


class KeyOrder(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Whose key, what it may do, for how many seconds (absent: until it is revoked), and how often it may call."""

    client: Annotated[str, Meta(min_length=1, max_length=128)]
    scopes: Annotated[list[Scope], Meta(min_length=1, max_length=16)]
    expires_in_s: Lifetime | None = None
    rate: Annotated[str, Meta(pattern="^[1-9][0-9]{0,8}/(second|minute|hour|day)$")] | None = None


class RotationOrder(msgspec.Struct, kw_only=True, omit_defaults=True):
    """For how many seconds the old secret stays good, and the new one (absent: as long as the old one was to)."""

    overlap_s: Annotated[int, Meta(ge=0, le=30 * 86_400)] = 86_400
    expires_in_s: Lifetime | None = None


class KnownKey(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A key without its secret; times in milliseconds since the epoch."""

    key_id: str
    client: str
    scopes: list[str]
    created_at: int
    expires_at: int | None = None
    revoked_at: int | None = None
    rate: str | None = None


class KnownKeys(msgspec.Struct, kw_only=True):
    """Every key that there is or was, oldest first."""

    keys: list[KnownKey]


class MadeKey(KnownKey, kw_only=True, omit_defaults=True):
    """A key with its secret, which is told this once and kept nowhere."""

    key: str


@router.get(
    "/keys",
    summary="List keys",
    response_class=Response,
    responses=answers(KnownKeys, "Keys without their secrets") | documented(401, 403, 429, 503),
)
async def list_keys(gateway: Deps, _: Admin) -> Response:
    """Revoked ones too."""
    return reply(KnownKeys(keys=[known(key) for key in gateway.security.keys.all()]))


@router.post(
    "/keys",
    summary="Make a key",
    status_code=201,
    response_class=Response,
    responses=answers(MadeKey, "The key; write it down, it is not told again", 201)
    | documented(401, 403, 413, 415, 422, 429, 503),
    openapi_extra=takes(KeyOrder, KeyOrder(client="web shop", scopes=[Scope.INGEST, Scope.RECOMMEND])),
)
async def post_key(request: Request, gateway: Deps, _: Admin) -> Response:
    """Answered once this replica honours it; the others do within a second.

    There is no Idempotency-Key here: the answer holds a secret, and is kept nowhere.
    """
    order, now = _understood(await json_body(request), KeyOrder), _now_ms()
    try:
        made = keys.make_key(order.client, order.scopes, now, expires_at=_end(now, order.expires_in_s), rate=order.rate)
    except ValueError as why:
        raise Problem(422, "invalid", str(why)) from None
    request.state.about = made.record.key_id  # for the audit log
    await _publish(gateway, keys.record_of(made.record), lambda: _current(gateway, made))
    return reply(told(made), 201)


@router.post(
    "/keys/{key_id}/rotate",
    summary="Give a key a new secret",
    response_class=Response,
    responses=answers(MadeKey, "The key with its new secret") | documented(401, 403, 404, 409, 413, 415, 422, 429, 503),
    openapi_extra={"requestBody": {**takes(RotationOrder, RotationOrder())["requestBody"], "required": False}},
)
async def rotate_key(key_id: str, request: Request, gateway: Deps, _: Admin) -> Response:
    """The old secret stays good for a while, so that the client can change over without a failed request."""
    order, now = _understood(await json_body(request) or b"{}", RotationOrder), _now_ms()
    key = _known(gateway, key_id)
    try:
        made = keys.rotated(key, now, overlap=order.overlap_s * 1000, expires_at=_end(now, order.expires_in_s))
    except keys.KeyRefusedError as why:
        raise Problem(409, "revoked", str(why)) from None
    await _publish(gateway, keys.record_of(made.record), lambda: _current(gateway, made))
    return reply(told(made))


@router.delete(
    "/keys/{key_id}",
    summary="Revoke a key",
    status_code=204,
    response_class=Response,
    responses=documented(401, 403, 404, 429, 503),
)
async def revoke_key(key_id: str, gateway: Deps, _: Admin) -> Response:
    """For good, with all customers' tokens that it asked for; here at once, on other replicas within a second."""
    key = _known(gateway, key_id)
    if key.revoked_at is None:
        revocation = keys.revocation_of(key, _now_ms())
        await _publish(gateway, revocation, lambda: _known(gateway, key_id).revoked_at is not None)
    return Response(status_code=204)


def known(key: ApiKey) -> KnownKey:
    """Return what may be told of a key."""
    return KnownKey(
        key_id=key.key_id,
        client=key.client,
        scopes=key.scopes,
        created_at=key.created_at,
        expires_at=keys.expires_at(key),
        revoked_at=key.revoked_at,
        rate=key.rate,
    )


def told(made: keys.NewKey) -> MadeKey:
    """Return what is told of a key just made, this once."""
    return MadeKey(**msgspec.structs.asdict(known(made.record)), key=made.text)


def _understood(body: bytes, order: type[T]) -> T:
    try:
        return decode(body, order)
    except Rejected as why:
        raise rejected(why) from None


def _known(gateway: Gateway, key_id: str) -> ApiKey:
    key: ApiKey | None = gateway.security.keys.get(key_id)
    if key is None:
        raise Problem(404, "unknown_key", f"there is no key {key_id!r}; GET /keys lists them")
    return key


def _current(gateway: Gateway, made: keys.NewKey) -> bool:
    return bool(gateway.security.keys.get(made.record.key_id) == made.record)


async def _publish(gateway: Gateway, record: tuple[bytes, bytes], followed: Callable[[], bool]) -> None:
    """Publish a record, and wait a while until this replica has it back."""
    (error,) = await gateway.publishing.publish(gateway.settings.topics.api_keys, [record])
    if error is not None:
        raise unavailable(f"the key was not published: {error}; try again")
    deadline = time.monotonic() + FOLLOWED_WITHIN_S
    while not followed() and time.monotonic() < deadline:
        await asyncio.sleep(LOOK_EVERY_S)


def _end(now: int, expires_in_s: int | None) -> int | None:
    return None if expires_in_s is None else now + expires_in_s * 1000


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
