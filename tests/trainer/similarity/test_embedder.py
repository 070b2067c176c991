"""The embedder publishes what changed, each text once, and nothing that is published already."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.contracts import embeddings
from streams.contracts.compacted import Record
from streams.contracts.events import Item
from trainer.similarity import embedder
from trainer.similarity.embedder import Embedder
from trainer.similarity.encoders import TextEncoder
from trainer.similarity.item_text import item_text

pytestmark = pytest.mark.trainer


class Letters(TextEncoder):
    """An encoder by the letters of a text, which remembers what it was asked for."""

    def __init__(self, name: str = "letters") -> None:
        super().__init__(name, 26, lambda texts: [[1 + text.count(chr(97 + k)) for k in range(26)] for text in texts])
        self.asked: list[str] = []

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        self.asked += texts
        return super().encode(texts)


class Topic:
    """Keeps the last record of each key."""

    def __init__(self) -> None:
        self.held: dict[bytes, bytes] = {}
        self.published: list[bytes] = []

    def publish(self, key: bytes, value: bytes | None) -> None:
        self.published.append(key)
        if value is None:
            self.held.pop(key, None)
        else:
            self.held[key] = value

    def records(self) -> list[Record]:
        return [Record(key, value, 0, offset, 0) for offset, (key, value) in enumerate(self.held.items())]


def item(name: str, text: str) -> tuple[str, Item]:
    return name, Item(item_id=name, name=text)


def drain(worker: Embedder, topic: Topic) -> None:
    while len(worker):
        worker.work(topic.publish, 3)


def test_equal_texts_are_embedded_once():
    encoder, topic = Letters(), Topic()
    worker = Embedder(encoder)
    worker.take_items([item("1", "red shoe"), item("2", "red shoe"), item("3", "blue shoe")])
    drain(worker, topic)
    assert sorted(encoder.asked) == ["blue shoe", "red shoe"]
    first, second, third = (embeddings.decode(topic.held[key]) for key in (b"1", b"2", b"3"))
    assert first.text == second.text != third.text
    np.testing.assert_array_equal(first.vector, second.vector)
    assert np.linalg.norm(third.vector) == pytest.approx(1, abs=1e-3)


def test_a_run_goes_on_where_the_last_one_ended():
    topic = Topic()
    first = Embedder(Letters())
    first.take_items([item("1", "red shoe"), item("2", "hat"), item("3", "cap")])
    drain(first, topic)
    topic.published.clear()
    encoder = Letters()
    second = Embedder(encoder)
    second.take_published(topic.records())
    second.take_items([item("1", "red shoe"), item("2", "hat"), item("4", "red shoe")])
    second.forget_unlisted()
    drain(second, topic)
    assert sorted(topic.published) == [b"3", b"4"], "what is deleted goes, what is new comes"
    assert encoder.asked == [], "its text is known from another item"
    assert sorted(topic.held) == [b"1", b"2", b"4"]


def test_another_encoder_does_everything_anew():
    topic = Topic()
    for name in ("letters", "more-letters"):
        worker = Embedder(Letters(name))
        worker.take_published(topic.records())
        worker.take_items([item("1", "shoe"), item("2", "hat")])
        drain(worker, topic)
    assert {embeddings.decode(value).encoder for value in topic.held.values()} == {"more-letters"}


def test_the_newest_change_comes_first():
    worker, topic = Embedder(Letters()), Topic()
    worker.take_items([item(str(k), f"thing {'x' * k}") for k in range(50)])
    worker.take_items([item("7", "changed")])
    worker.work(topic.publish, 1)
    assert topic.published == [b"7"]


def test_what_is_no_news_is_not_published():
    worker, topic = Embedder(Letters()), Topic()
    worker.take_items([item("1", "shoe")])
    worker.take_items([("1", Item(item_id="1", name="shoe", price=3.0, available=False)), ("2", None)])
    drain(worker, topic)
    worker.take_items([("1", Item(item_id="1", name="shoe", price=4.0))])
    assert len(worker) == 0
    assert topic.published == [b"1"]


def test_what_kafka_did_not_take_is_published_again_unless_it_has_changed():
    worker, topic, lost = Embedder(Letters()), Topic(), Topic()
    worker.take_items([item("1", "shoe"), item("2", "hat"), ("3", None)])
    changes = worker.work(lost.publish, 9)
    worker.take_items([item("2", "cap")])
    worker.retry(changes)
    drain(worker, topic)
    assert embeddings.decode(topic.held[b"1"]).text == embeddings.decode(lost.held[b"1"]).text
    assert embeddings.decode(topic.held[b"2"]).text != embeddings.decode(lost.held[b"2"]).text


STEPS = st.lists(
    st.tuples(st.sampled_from("1234"), st.one_of(st.none(), st.sampled_from(["red", "blue", "green", ""]))), max_size=30
)


@given(STEPS, st.integers(1, 3))
def test_in_the_end_the_topic_tells_of_every_item_and_no_other(steps, remembered):
    before, embedder.REMEMBERED = embedder.REMEMBERED, remembered + 3
    try:
        worker, topic = Embedder(Letters()), Topic()
        for place, (name, text) in enumerate(steps):
            worker.take_items([(name, None) if text is None else item(name, text)])
            if place % 3 == 0:
                worker.work(topic.publish, 1)
        drain(worker, topic)
    finally:
        embedder.REMEMBERED = before
    last = {name: text for name, text in dict(steps).items() if text}
    assert {key.decode() for key in topic.held} == set(last)
    digests = {name: embeddings.decode(topic.held[name.encode()]).text for name in last}
    assert all((digests[a] == digests[b]) == (last[a] == last[b]) for a in last for b in last)


def test_a_text_tells_words_only_each_once():
    told = Item(
        item_id="7",
        name="Shirt",
        attributes={"code": "108775", "kind": "SHIRT", "colour": "Dark  blue", "size": "L", "empty": ""},
        description="Soft.\nWarm.",
    )
    assert item_text(told) == "Shirt. Dark blue. Soft. Warm."
    assert item_text(Item(item_id="7", name="12-34")) == ""
