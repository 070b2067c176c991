"""`headwater forget` on the real streams process: all of a customer goes, and what stays is told with its end."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from deploy.cli import main
from deploy.traces import Search, Trace, models
from feature_repo.encoder import EncoderSpec
from feature_repo.redis_commands import connect
from serving.settings import ServingSettings
from streams.contracts.codec import encode
from streams.contracts.events import Customer
from streams.settings import Settings
from tests.serving.tiny_bundle import write_bundle
from tests.streams.ingest_site import IngestSite, made_events, made_items
from tests.streams.test_app import running
from tests.streams.test_scrub import answer


@pytest.fixture
def site(kafka: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[IngestSite]:
    """An installation with the streams process running, and the command line pointed at it."""
    connect(redis_url).flushall()
    prefix = f"forget{time.time_ns()}-"
    found = IngestSite(
        Settings(kafka_bootstrap_servers=kafka, redis_url=redis_url, state=tmp_path, topic_prefix=prefix)
    )
    for name, value in (
        ("KAFKA_BOOTSTRAP_SERVERS", kafka),
        ("REDIS_URL", redis_url),
        ("HEADWATER_STATE", str(tmp_path)),
        ("HEADWATER_TOPIC_PREFIX", prefix),
        ("HEADWATER_COMPACT_EVERY_SECONDS", "1"),
        ("HEADWATER_COMPACT_GRACE_SECONDS", "0"),
        ("COLUMNS", "200"),
    ):
        monkeypatch.setenv(name, value)
    with running(found, tmp_path):
        yield found
    found.close()


def headwater(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def rows(output: str) -> dict[str, str]:
    """The table's places, each with what is left."""
    found = re.findall(r"^(\S.*?)  +(nothing|\d+)\b", output, re.MULTILINE)
    return {place.partition("-")[2] if place.startswith("topic") else place: left for place, left in found}


def fill(site: IngestSite) -> None:
    topics = site.settings.topics
    site.publish_items(made_items())
    site.publish(topics.customers.name, [(b"c1", encode(Customer(customer_id="c1", attributes={"age": "35"})))])
    site.publish_events(made_events(400, customers=8))
    site.publish(topics.interactions.name, [(b"c1", b"{"), (b"c2", b"{")])
    site.publish(topics.recommendation_requests.name, [(b"c1", b'{"customer_id": "c1"}')])
    for name, customer in (("r1", "c1"), ("r2", "c2")):
        answer(site, name, customer)
    assert site.producer.flush(30) == 0
    site.wait_until_applied()


def test_nothing_is_left_but_what_has_an_end(site: IngestSite) -> None:
    fill(site)
    before = headwater("forget", "c1", "--only-verify")
    assert before.exit_code == 1, before.output
    assert "not all is gone" in before.output

    erased = headwater("forget", "c1", "--yes", "--verify")
    assert erased.exit_code == 0, erased.output
    left = rows(erased.output)
    nothing = [
        "Redis: features, profile, record", "ledger of erasures", "offline store, next training set", "customers",
        "features-customers", "features-seen-ids", "served", "dead-letters",
    ]  # fmt: skip
    assert {name: left[name] for name in nothing} == dict.fromkeys(nothing, "nothing"), erased.output
    assert int(left["interactions"]) > 10, "Kafka still has them, and the table says until when"
    assert left["recommendation-requests"] == left["served: deleted, on disk"] == "1"
    assert left["dead-letters: deleted, on disk"] == "1"
    for line in erased.output.splitlines():
        if re.match(r"topic .*  \d+ ", line):
            assert re.search(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", line), line

    until = time.monotonic() + 60
    while any(trace.found for trace in traces("c1") if trace.place.startswith("offline store")):
        assert time.monotonic() < until, traces("c1")
        time.sleep(1)
    assert headwater("forget", "c1", "--only-verify").exit_code == 0
    assert headwater("forget", "c2", "--only-verify").exit_code == 1, "nobody else is touched"


def traces(customer: str) -> list[Trace]:
    return list(Search(ServingSettings()).traces(customer))


def test_customers_of_whom_nothing_is_known_are_erased_too(site: IngestSite) -> None:
    answered = headwater("forget", "stranger", "nobody", "--yes", "--verify")
    assert answered.exit_code == 0, answered.output
    assert "erased: stranger, nobody" in answered.output


def test_it_asks_before_it_erases(site: IngestSite) -> None:
    asked = CliRunner().invoke(main, ["forget", "c1"], input="n\n")
    assert asked.exit_code == 1
    assert "can't be undone" in asked.output
    assert site.changelog(site.settings.topics.customers.name) == {}


def test_models_that_know_a_customer_by_name_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADWATER_STATE", str(tmp_path))
    settings = ServingSettings()
    spec = EncoderSpec(categorical=(), continuous=(), vocabularies={"customer_id": ("c1", "c2")})
    write_bundle(settings.bundles, 3, ["i1"], encoder=spec.to_json())
    checkpoint = tmp_path / "checkpoints" / "v000003"
    checkpoint.mkdir(parents=True)
    (checkpoint / "state.json").write_bytes(b'{"vocabularies": [{"customer_id": ["c1"]}, 0]}')
    assert [(trace.place, trace.done) for trace in models(settings, "c1")] == [
        ("model 3: vocabulary", False),
        ("checkpoint v000003: vocabulary", False),
    ]
    assert [trace.place for trace in models(settings, "c2")] == ["model 3: vocabulary"]
    assert list(models(settings, "c3")) == []
