"""Compiled loops: their types hold, they are kept where there is room, and the stream does without the compiler."""

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from feature_repo.affinity_loops import codes_of
from feature_repo.compiled import INTEGER, array, compiled


def test_another_type_is_refused_and_not_compiled_on_the_way() -> None:
    with pytest.raises(TypeError, match="No matching definition"):
        codes_of(np.zeros((3, 1), np.int16), np.zeros(1, np.int64), np.ones(1, np.int64), np.zeros(1, np.int64))


@pytest.mark.parametrize(
    "rows",
    [
        np.frombuffer(np.array([2, 0]).tobytes(), np.int64),
        np.array([2, 1, 0])[::2],
        np.frombuffer(b"-" + np.array([2, 0]).tobytes(), np.int64, offset=1),
    ],
    ids=["not to be written to", "with gaps", "at an odd address"],
)
def test_any_array_of_the_type_is_read(rows: NDArray[np.int64]) -> None:
    table = np.array([[5], [6], [7]], np.int32)
    assert codes_of(table, np.array([0]), np.array([8]), rows).tolist() == [[7], [5]]


def test_codes_that_another_thread_adds_meanwhile_count_as_none() -> None:
    table = np.array([[0, 1], [3, 2], [9, 1]], np.int32)  # of the first there were 4 codes when they were counted
    found = codes_of(table, np.array([1, 0]), np.array([3, 4]), np.array([0, 1, 2, 3]))
    assert found.tolist() == [[1, 0], [2, 3], [1, 0], [0, 0]]


def test_without_a_place_to_keep_it_a_loop_is_compiled_all_the_same() -> None:
    names: dict[str, Any] = {}
    exec("def double(values, by):\n    return values * by", names)  # noqa: S102  # from no file, so beside no file
    double = compiled(array(np.int64), INTEGER)(names["double"])
    assert double(np.array([1, 2]), 3).tolist() == [3, 6]


@pytest.mark.parametrize("module", ["streams.ingest.service", "streams.app", "streams.replay"])
def test_the_stream_does_not_wait_for_the_compiler(module: str) -> None:
    asked = f"import sys, {module}; print('numba' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True, timeout=120)
    assert found.stdout.split()[-1] == "False"
