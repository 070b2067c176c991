"""`headwater keys`: the first key, and what becomes of it, by the topic that every gateway follows."""

from __future__ import annotations

import time
import uuid

import pytest
from click.testing import CliRunner, Result

from deploy.cli import main
from serving.gateway.security.keys import KeyRefusedError, KeyTable
from serving.gateway.security.principal import Scope
from streams.contracts.compacted import CompactedTable
from streams.create_topics import create_topics
from streams.settings import Settings


@pytest.fixture
def settings(kafka: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", kafka)
    monkeypatch.setenv("HEADWATER_TOPIC_PREFIX", f"keys-{uuid.uuid4().hex[:8]}-")
    found = Settings()
    create_topics([found.topics.api_keys], found.kafka_config())
    return found


def run(*words: str) -> Result:
    return CliRunner().invoke(main, ["keys", *words], env={"COLUMNS": "200"})


def table(settings: Settings) -> KeyTable:
    keys = KeyTable()
    with CompactedTable(settings.topics.api_keys.name, settings.kafka_config()) as records:
        keys.apply(records.load())
    return keys


def now() -> int:
    return time.time_ns() // 1_000_000


def test_a_key_is_made_listed_rotated_and_revoked(settings: Settings) -> None:
    made = run(
        "create",
        "--client",
        "web [b]shop",
        "--scope",
        "ingest",
        "--scope",
        "recommend",
        "--days",
        "2",
        "--rate",
        "9/minute",
    )
    assert made.exit_code == 0, made.output
    text = made.stdout.strip()
    holder = table(settings).holder(text, now())
    assert (holder.scopes, holder.rate) == ({Scope.INGEST, Scope.RECOMMEND}, "9/minute")
    with pytest.raises(KeyRefusedError):
        table(settings).holder(text, now() + 2 * 86_400_000)

    listed = run("list")
    for word in (holder.id, "web [b]shop", "ingest recommend", "9/minute", "good"):
        assert word in listed.stdout
    assert text not in listed.output

    rotated = run("rotate", holder.id, "--overlap-hours", "0").stdout.strip()
    with pytest.raises(KeyRefusedError):
        table(settings).holder(text, now())
    assert table(settings).holder(rotated, now()) == holder

    assert run("revoke", holder.id).exit_code == 0
    with pytest.raises(KeyRefusedError):
        table(settings).holder(rotated, now())
    assert "revoked" in run("list").stdout
    refused = run("rotate", holder.id)
    assert refused.exit_code == 1
    assert "revoked" in refused.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("create", "--client", "shop", "--scope", "everything"), "everything"),
        (("create", "--client", "shop"), "--scope"),
        (("create", "--client", "shop", "--scope", "admin", "--rate", "often"), "often"),
        (("create", "--client", "shop", "--scope", "admin", "--days", "0"), "--days"),
        (("revoke", "nokey"), "nokey"),
        (("rotate", "nokey"), "nokey"),
    ],
)
def test_a_mistake_is_told(settings: Settings, words: tuple[str, ...], said: str) -> None:
    answer = run(*words)
    assert answer.exit_code != 0
    assert said in answer.output
    assert table(settings).all() == []
