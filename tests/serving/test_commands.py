"""`headwater recommend` and `headwater model` on the running service."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner, Result

from deploy.cli import main
from tests.serving.running import Running, until

pytestmark = pytest.mark.stack


@pytest.fixture(scope="module")
def live(service: Running) -> Running:
    if service.metric("headwater_model_version") == 0:
        service.announce(1)
    until(lambda: (service.metric("headwater_model_version") or 0) > 0)
    return service


def run(service: Running, *arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments), env=service.environment() | {"COLUMNS": "160"})


def test_recommend_prints_purchases_and_answers(live: Running) -> None:
    result = run(live, "recommend", "ann", "-n", "5")
    assert result.exit_code == 0, result.output
    assert "Customer ann bought" in result.output
    assert "Item 39" in result.output  # the latest of what she bought
    assert "and 30 items before" in result.output
    assert "ok by model" in result.output
    assert "ms from request to reply" in result.output


def test_recommend_as_json(live: Running) -> None:
    result = run(live, "recommend", "ann", "--json", "--exclude-purchased", "--category", "c3", "--explain")
    found = json.loads(result.output)
    bought = {each["item_id"] for each in found["purchases"]}
    assert len(bought) == 40
    items = found["reply"]["items"]
    assert len(items) == 10
    for item in items:
        assert item["item_id"] not in bought
        assert int(item["item_id"][1:]) % 7 == 3
        assert item["explanation"]["pair_lines"] == 0.0


def test_a_stranger_is_told_why(live: Running) -> None:
    result = run(live, "recommend", "nobody")
    assert result.exit_code == 0
    assert "fallback (unknown_customer) by no model" in result.output


def test_an_instant_that_is_none(live: Running) -> None:
    result = run(live, "recommend", "ann", "--as-of", "yesterday")
    assert result.exit_code == 2
    assert "write 2024-05-01T12:00:00Z" in result.output


def test_models_are_listed_shown_and_activated(live: Running) -> None:
    live.announce(4)
    until(lambda: live.live(4))
    listed = run(live, "model", "list").output
    assert [line.split()[1] for line in listed.splitlines() if line.startswith("4 ")] == ["live"]
    live.announce(5)
    until(lambda: live.live(5))
    assert json.loads(run(live, "model", "show", "4").output)["version"] == 4
    assert "model 4 announced" in run(live, "model", "activate", "4").output
    until(lambda: live.live(4))
    missing = run(live, "model", "activate", "99")
    assert missing.exit_code == 1
    assert "versions there are:" in missing.output
