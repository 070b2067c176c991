"""Items' texts as vectors on topic `item-embeddings`: MessagePack, keyed by item id; an empty value takes one away."""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

DIGEST_BYTES = 16


class ItemEmbedding(msgspec.Struct, frozen=True, array_like=True):
    """The wire format, positional.

    Attributes
    ----------
    encoder: name of the text encoder; vectors of different encoders cannot be compared.
    text: BLAKE2b of encoder and text, 128 bits: the same digest, the same vector.
    vector: float16[d], little-endian, of length 1.
    """

    encoder: str
    text: bytes
    vector: bytes


class Embedding(NamedTuple):
    """One vector as it is used: `vector` is float32[d]."""

    encoder: str
    text: bytes
    vector: NDArray[np.float32]


_decoder = msgspec.msgpack.Decoder(ItemEmbedding)


def encode(embedding: Embedding) -> bytes:
    """The record's value."""
    vector = np.asarray(embedding.vector, "<f2").tobytes()
    return msgspec.msgpack.encode(ItemEmbedding(embedding.encoder, embedding.text, vector))


def decode(value: bytes) -> Embedding:
    """The vector in a record's value.

    Raises
    ------
    ValueError: it is none; says why.
    """
    try:
        found = _decoder.decode(value)
    except msgspec.MsgspecError as error:
        raise ValueError(f"no embedding: {error}") from error
    if len(found.text) != DIGEST_BYTES or not found.vector or len(found.vector) % 2:
        raise ValueError(
            f"no embedding: a digest of {len(found.text)} bytes ({DIGEST_BYTES} wanted) and "
            f"a vector of {len(found.vector)} bytes (an even number wanted)"
        )
    vector = np.frombuffer(found.vector, "<f2").astype(np.float32)
    if not np.isfinite(vector).all():
        raise ValueError(f"no embedding: a vector of encoder {found.encoder!r} holds what is no finite number")
    return Embedding(found.encoder, found.text, vector)
