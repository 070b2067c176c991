"""Whatever is sent to the gateway, its answers are those that docs/openapi.json tells, and none is its own fault.

`HEADWATER_FUZZ_EXAMPLES` sets how many requests are made up for each operation, beside the cases at its bounds.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest
import schemathesis
from hypothesis import HealthCheck
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from serving.gateway.publish import published
from tests.serving.gateway.fuzzed import EXISTING, Fuzzed, fuzzed_gateway
from tests.serving.triton_server import ROOT, TritonServer

DOCUMENT = ROOT / "docs" / "openapi.json"
EXAMPLES = int(os.environ.get("HEADWATER_FUZZ_EXAMPLES", "200"))

UNSAID = [positive_data_acceptance]
"""A schema can't tell a cursor that was given from another text, the id in a body from the one in its path, or the
version that a record has: what follows it may be refused. All other checks hold.
"""

ONE_BY_ONE = [*UNSAID, negative_data_rejection]
"""Of a post of many each record is judged by itself: wrong ones do not have the post refused."""

schema = schemathesis.openapi.from_path(DOCUMENT)


@schema.hook
def map_path_parameters(_: Any, path_parameters: dict[str, Any] | None) -> dict[str, Any] | None:
    """Half of the ids that may be ones are of something that is there."""
    for name, ids in EXISTING.items():
        if path_parameters is not None and isinstance(given := path_parameters.get(name), str):
            place = sum(map(ord, given))
            if place % 2 and 0 < len(given) <= 128:
                path_parameters[name] = ids[place // 2 % len(ids)]
    return path_parameters


@pytest.fixture(scope="module")
def fuzzed(
    kafka: str, redis_url: str, triton: TritonServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Fuzzed]:
    with fuzzed_gateway(kafka, redis_url, triton, tmp_path_factory.mktemp("fuzzed")) as found:
        yield found


def test_the_published_document_is_that_of_the_routes() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == published(), "run: python -m serving.gateway.publish"


def test_every_answer_is_listed_and_none_by_default() -> None:
    for path, operations in json.loads(DOCUMENT.read_text(encoding="utf-8"))["paths"].items():
        for method, operation in operations.items():
            assert "default" not in operation["responses"], (method, path)
            assert len(operation["responses"]) > 1, (method, path)


@pytest.mark.stack
@pytest.mark.timeout(1200)
@schema.parametrize()
@hypothesis.settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None
)
def test_answers_are_those_of_the_document(case: schemathesis.Case, fuzzed: Fuzzed) -> None:
    left_out = ONE_BY_ONE if case.path.endswith("/bulk") else UNSAID
    case.call_and_validate(base_url=fuzzed.url, headers=fuzzed.headers, excluded_checks=left_out)
