"""Posts that may be sent twice: the header `Idempotency-Key` names one, and its answer is given again.

After the IETF's draft "The Idempotency-Key HTTP Header Field". Keys are a caller's own; answers are kept in Redis for
a day, and the post of which they are answers as a digest only.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Awaitable, Callable
from typing import Annotated

import msgspec
import redis
from fastapi import Header, Response

from feature_repo.redis_commands import Client, send
from serving.gateway import problems
from serving.gateway.problems import Problem
from serving.gateway.threads import Threads
from streams.contracts.observability import logger

log = logger(__name__)

KEPT_S = 24 * 3600
"""For how long an answer is given again."""

RUNNING_S = 60
"""For how long a post counts as under way whose gateway has died."""

REPLAYED = "Idempotency-Replayed"
"""Header of an answer that is given again."""

IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=255,
        pattern=r"^[\x21-\x7e]+$",
        description="Names this post: sent again with the same key within a day, it is answered as it was before",
    ),
]


class _Kept(msgspec.Struct, array_like=True):
    """What Redis has of a post: its body's digest, and its answer once there is one (status 0: not yet)."""

    body: bytes
    status: int = 0
    content: bytes = b""
    media_type: str = ""
    token: bytes = b""


_DECODER = msgspec.msgpack.Decoder(_Kept)


class Idempotency:
    """Answers of posts, by caller, route and key."""

    def __init__(self, client: Client, threads: Threads) -> None:
        self._client, self._threads = client, threads

    async def once(
        self, key: str | None, caller: str, route: str, body: bytes, answer: Callable[[], Awaitable[Response]]
    ) -> Response:
        """Return the answer to a post: a new one, or the one that it was given before.

        A post that fails is not remembered: it may be sent again.

        Parameters
        ----------
        key
            Of the header; without one there is nothing to remember.
        caller, route
            Whose key it is, and for what.

        Raises
        ------
        Problem
            409 while the first post with this key is under way; 422 where it had another body; 503 without Redis;
            and whatever `answer` raises.
        """
        if key is None:
            return await answer()
        name, digest = kept_at(caller, route, key), digest_of(body)
        try:
            before = await self._threads.run(self._begin, name, digest)
        except redis.RedisError as error:
            raise problems.unavailable("whether this post was made before can't be told without Redis") from error
        if before is not None:
            return _again(key, before, digest)
        try:
            found = await answer()
        except BaseException:
            await self._set(name, None)
            raise
        kept = _Kept(digest, found.status_code, bytes(found.body), found.media_type or "")
        await self._set(name, kept)
        return found

    def _begin(self, name: bytes, digest: bytes) -> _Kept | None:
        """Take the key for this post; return what is kept of an earlier one, if there was one."""
        running = msgspec.msgpack.encode(_Kept(digest, token=secrets.token_bytes(8)))
        # Only the first of several has its own token there; it still has if the connection broke and this was repeated.
        _, found = send(self._client, [(b"SET", name, running, b"NX", b"EX", RUNNING_S), (b"GET", name)])
        return None if found in (None, running) else _DECODER.decode(found)

    async def _set(self, name: bytes, kept: _Kept | None) -> None:
        command = (b"DEL", name)
        if kept is not None:
            command = (b"SET", name, msgspec.msgpack.encode(kept), b"EX", KEPT_S)  # type: ignore[assignment]
        try:
            await self._threads.run(send, self._client, [command])
        except redis.RedisError as error:  # what was done is done, and said so; a repetition may be done again
            log.warning("an answer was not kept", why=str(error))


def _again(key: str, before: _Kept, digest: bytes) -> Response:
    if before.body != digest:
        raise Problem(
            422, "idempotency_key_reused", f"Idempotency-Key {key!r} was used for another body; take a new key"
        )
    if not before.status:
        raise Problem(
            409,
            "under_way",
            f"the first post with Idempotency-Key {key!r} is still under way; ask again in a moment",
            headers={"Retry-After": "1"},
        )
    return Response(before.content, before.status, headers={REPLAYED: "true"}, media_type=before.media_type)


def kept_at(caller: str, route: str, key: str) -> bytes:
    """Return the name under which Redis has a post; it tells nothing of the key."""
    return b"hw:rest:idempotency:" + digest_of("\0".join((caller, route, key)).encode()).hex().encode()


def digest_of(data: bytes) -> bytes:
    """Return 16 bytes by which a body is known again."""
    return hashlib.blake2b(data, digest_size=16).digest()
