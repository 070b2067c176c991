"""Batches for Keras: rows are gathered out of the encoded tables a batch at a time, so nothing is laid out twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from feature_repo.encoder import FIRST_CODE, OUT_OF_VOCABULARY
from trainer.examples import Examples, Tables
from trainer.model_schema import Features
from trainer.windows import Int64

FORGOTTEN = 0.02
"""Share of codes that a batch replaces by "out of vocabulary", so that this code learns to stand for the unknown."""

SMALLEST = 64
STEPS_AN_EPOCH = 40
LEAST_STEPS = 200
MOST_EPOCHS = 20

Gather = Callable[[Any], Any]


def ranker_batches(tables: Tables, rows: Examples, features: Features, size: int, seed: int) -> tf.data.Dataset:
    """Shuffled batches of (columns, label float32[b, 1])."""
    customers, items = _constants(tables.customers), _constants(tables.items)
    customer, item = tf.constant(rows.customer), tf.constant(rows.item)
    pairs, requests = _constants(rows.pair), _constants(tables.requests)
    label = tf.constant(rows.label)

    def gather(chosen: Any) -> Any:
        who, what = tf.gather(customer, chosen), tf.gather(item, chosen)
        sides = (customers, who), (items, what), (pairs, chosen), (requests, who)
        codes, numbers = ([tf.gather(side[kind], places) for side, places in sides] for kind in (0, 1))
        columns = features(_forget(tf.concat(codes, 1)), tf.concat(numbers, 1))
        return columns, tf.gather(label, chosen)[:, None]

    return _dataset(len(rows.label), size, seed, gather)


def tower_batches(
    tables: Tables, customer: Int64, item: Int64, query: Features, candidate: Features, size: int, seed: int
) -> tf.data.Dataset:
    """Shuffled batches of the columns of positive pairs, given as rows of the tables."""
    customers, items = _constants(tables.customers), _constants(tables.items)
    who, what = tf.constant(customer), tf.constant(item)

    def gather(chosen: Any) -> Any:
        c, i = tf.gather(who, chosen), tf.gather(what, chosen)
        left = query(_forget(tf.gather(customers[0], c)), tf.gather(customers[1], c))
        return left | candidate(_forget(tf.gather(items[0], i)), tf.gather(items[1], i))

    return _dataset(len(customer), size, seed, gather)


def fitting_size(rows: int, size: int) -> int:
    """The batch size for so many rows: `size`, or less where that would make too few steps to learn anything."""
    return max(2, min(size, max(SMALLEST, rows // STEPS_AN_EPOCH)))


def enough_epochs(rows: int, size: int, epochs: int) -> int:
    """`epochs`, or more where so little data would end the training before it has begun."""
    steps = batch_count(rows, fitting_size(rows, size))
    return max(epochs, min(-(-LEAST_STEPS // steps), MOST_EPOCHS))


def batch_count(rows: int, size: int) -> int:
    """Batches that `rows` rows make; none has fewer than two rows where there are two."""
    return max(1, min(-(-rows // size), rows // 2))


def _constants(encoded: Any) -> tuple[Any, Any]:
    return tf.constant(encoded.codes), tf.constant(encoded.numbers)


def _forget(codes: Any) -> Any:
    chance = tf.random.uniform(tf.shape(codes)) < FORGOTTEN
    return tf.where(chance & (codes >= FIRST_CODE), OUT_OF_VOCABULARY, codes)


def _dataset(rows: int, size: int, seed: int, gather: Gather) -> tf.data.Dataset:
    rng = np.random.default_rng(seed)

    def shuffled() -> Iterator[Int64]:
        yield from np.array_split(rng.permutation(rows), batch_count(rows, size))

    indices = tf.data.Dataset.from_generator(shuffled, output_signature=tf.TensorSpec((None,), tf.int64))
    return indices.map(gather, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)
