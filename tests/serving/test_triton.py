"""Retriever and ranker in the real Triton: known values, refusals, versions that change, a killed stub."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from serving.bundle import Bundle
from serving.triton.client import TritonClient, TritonError
from tests.serving.tiny_bundle import WIDTHS, Linear, write_bundle
from tests.serving.triton_server import TritonServer

ITEMS = [f"item-{number}" for number in range(50)]
CATEGORICAL = np.array([[1, 2], [3, 4]], np.int32)
CONTINUOUS = np.array([[0.5, -1.0, 2.0], [0.0, 0.25, -3.0]], np.float32)


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Bundle]:
    directory = tmp_path_factory.mktemp("bundles")
    return {version: write_bundle(directory, version, ITEMS) for version in (1, 2, 3)}


@pytest.fixture(scope="module")
def client(triton: TritonServer, bundles: dict[int, Bundle]) -> Iterator[TritonClient]:
    client = TritonClient(triton.url, triton.repository, timeout_s=2.0)
    for version in triton.repository.versions():
        client.drop(version)
    client.load(bundles[1], WIDTHS)
    yield client
    for version in triton.repository.versions():
        client.drop(version)
    client.close()


def assert_retrieves(client: TritonClient, bundle: Bundle) -> None:
    rows, scores = client.retrieve(bundle.version, CATEGORICAL, CONTINUOUS, 5)()
    expected = Linear(bundle.version).embed(CATEGORICAL, CONTINUOUS) @ bundle.item_embeddings().T
    np.testing.assert_array_equal(rows, np.argsort(-expected, axis=1)[:, :5])
    np.testing.assert_allclose(scores, np.take_along_axis(expected, rows, axis=1), rtol=1e-5)


def test_retrieval_equals_the_dot_products(client: TritonClient, bundles: dict[int, Bundle]) -> None:
    assert_retrieves(client, bundles[1])


def test_what_is_asked_for_at_once_is_answered_each_on_its_own(
    client: TritonClient, bundles: dict[int, Bundle]
) -> None:
    asked = [client.retrieve(1, CATEGORICAL[place : place + 1], CONTINUOUS[place : place + 1], 3) for place in (0, 1)]
    scores = client.rank(1, np.ones((1, WIDTHS.categorical), np.int32), np.ones((1, WIDTHS.continuous), np.float32))
    expected = Linear(1).embed(CATEGORICAL, CONTINUOUS) @ bundles[1].item_embeddings().T
    for place in (1, 0):
        rows, _ = asked[place]()
        np.testing.assert_array_equal(rows[0], np.argsort(-expected[place])[:3])
    assert scores.shape == (1,)


def test_nobody_there_is_an_error(triton: TritonServer) -> None:
    lonely = TritonClient("127.0.0.1:1", triton.repository)
    with pytest.raises(TritonError, match=r"127\.0\.0\.1:1: retriever 1: .*refused"):
        lonely.retrieve(1, CATEGORICAL, CONTINUOUS, 5)


def test_more_items_than_there_are_are_capped(client: TritonClient) -> None:
    rows, _ = client.retrieve(1, CATEGORICAL, CONTINUOUS, 200)()
    assert sorted(rows[0]) == list(range(len(ITEMS)))


@pytest.mark.parametrize("rows", [1, 500, 4001])
def test_scores_equal_the_model(client: TritonClient, rows: int) -> None:
    random = np.random.default_rng(0)
    categorical = random.integers(0, 9, (rows, WIDTHS.categorical)).astype(np.int32)
    continuous = random.normal(size=(rows, WIDTHS.continuous)).astype(np.float32)
    expected = Linear(1).score(categorical, continuous)
    np.testing.assert_allclose(client.rank(1, categorical, continuous), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("categorical", "continuous", "k", "message"),
    [
        (CATEGORICAL, np.full((2, 3), np.nan, np.float32), 5, "not finite"),
        (CATEGORICAL, np.full((2, 3), np.inf, np.float32), 5, "not finite"),
        (CATEGORICAL - 3, CONTINUOUS, 5, "CATEGORICAL holds -2"),
        (CATEGORICAL, CONTINUOUS, 0, "K is 0"),
        (CATEGORICAL[:, :1], CONTINUOUS, 5, "retriever"),
    ],
)
def test_wrong_input_is_an_error_not_an_answer(
    client: TritonClient,
    categorical: np.ndarray[tuple[int, int], np.dtype[np.int32]],
    continuous: np.ndarray[tuple[int, int], np.dtype[np.float32]],
    k: int,
    message: str,
) -> None:
    with pytest.raises(TritonError, match=message):
        client.retrieve(1, categorical, continuous, k)()
    with pytest.raises(TritonError):
        client.rank(1, np.full((1, WIDTHS.categorical), -1, np.int32), np.zeros((1, WIDTHS.continuous), np.float32))


def test_versions_come_and_go_without_a_failed_request(
    client: TritonClient, triton: TritonServer, bundles: dict[int, Bundle]
) -> None:
    """Version 1 answers all the way while 2 and 3 are loaded beside it and 2 is dropped again."""
    stop, failures, answers = threading.Event(), [], []

    def ask() -> None:
        other = TritonClient(triton.url, triton.repository, timeout_s=10.0)
        while not stop.is_set():
            try:
                assert_retrieves(other, bundles[1])
                answers.append(1)
            except Exception as error:
                failures.append(error)
        other.close()

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        for version in (2, 3):
            client.load(bundles[version], WIDTHS)
            assert_retrieves(client, bundles[version])
        client.drop(2)
    finally:
        stop.set()
        thread.join()
    assert failures == []
    assert len(answers) > 10
    assert triton.repository.versions() == [1, 3]
    with pytest.raises(TritonError, match="unknown model"):
        client.retrieve(2, CATEGORICAL, CONTINUOUS, 5)()


def test_a_killed_stub_is_found_by_a_probe_and_revived(
    client: TritonClient, triton: TritonServer, bundles: dict[int, Bundle]
) -> None:
    triton.kill_stubs("retriever")
    with pytest.raises(TritonError):
        client.probe(1, WIDTHS)
    client.load(bundles[1], WIDTHS)
    assert_retrieves(client, bundles[1])


def test_a_version_whose_bundle_is_gone_does_not_keep_others_from_being_revived(
    client: TritonClient, bundles: dict[int, Bundle], tmp_path: Path
) -> None:
    lost = write_bundle(tmp_path, 8, ITEMS)
    client.load(lost, WIDTHS)
    assert_retrieves(client, lost)
    lost.file("ranker.onnx").unlink()
    client.revive()
    assert_retrieves(client, bundles[1])
    assert 8 not in client.repository.versions()


def test_an_altered_bundle_is_not_loaded_and_hurts_no_other(
    client: TritonClient, bundles: dict[int, Bundle], tmp_path: Path
) -> None:
    bundle = write_bundle(tmp_path, 9, ITEMS)
    with bundle.file("ranker.onnx").open("ab") as file:
        file.write(b"x")
    with pytest.raises(TritonError, match=r"ranker\.onnx has"):
        client.load(bundle, WIDTHS)
    assert 9 not in client.repository.versions()
    assert_retrieves(client, bundles[1])
