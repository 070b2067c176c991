"""The pages for the shop's engineer say what is true: every example is parsed out of them and run."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from streams.contracts.codec import decode, decode_customer, decode_interaction, decode_item, decode_request
from streams.contracts.compacted import CompactedTable, Record
from streams.contracts.events import Customer, Interaction, InteractionType, Item
from streams.contracts.operations import DeadLetter, Reason
from streams.contracts.partitioner import partition_of
from streams.contracts.requests import RecommendationRequest, Reply
from streams.contracts.topics import Topics
from streams.create_topics import create_topics
from streams.sources.mapping import load_mapping

DOCS = Path(__file__).resolve().parents[2] / "docs"
EVENTS = (DOCS / "events.md").read_text(encoding="utf-8")
NOW = 1_767_225_600_000_000 + 30 * 86_400_000_000


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


def section(title: str) -> str:
    found = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", EVENTS, flags=re.MULTILINE | re.DOTALL)
    assert found, title
    return found[1]


def test_there_is_one_example_of_each_interaction() -> None:
    examples = [decode_interaction(block.encode(), NOW) for block in blocks(section("Interactions"), "json")]
    assert sorted(e.type for e in examples) == sorted(InteractionType)
    for example in examples:
        assert f"`{example.type}`: " in section("Interactions")


@pytest.mark.parametrize(
    ("title", "read"),
    [
        ("Customers", decode_customer),
        ("Items", decode_item),
        ("Requests", decode_request),
        ("Replies", lambda value: decode(value, Reply)),
        ("Dead letters", lambda value: decode(value, DeadLetter)),
    ],
)
def test_examples_are_taken_by_the_codec(title: str, read: Callable[[bytes], msgspec.Struct]) -> None:
    (block,) = blocks(section(title), "json")
    message = read(block.encode())
    assert set(json.loads(block)) <= set(message.__struct_fields__)


@pytest.mark.parametrize(
    ("title", "message"),
    [
        ("Interactions", Interaction),
        ("Customers", Customer),
        ("Items", Item),
        ("Requests", RecommendationRequest),
        ("Replies", Reply),
        ("Dead letters", DeadLetter),
    ],
)
def test_every_field_is_explained(title: str, message: type[msgspec.Struct]) -> None:
    table = section(title).partition("|---|---|---|\n")[2].partition("\n\n")[0]
    explained = [name for row in table.splitlines() for name in re.findall(r"`(\w+)`", row.split("|")[1])]
    assert sorted(explained) == sorted(message.__struct_fields__)
    required = {field.name for field in msgspec.structs.fields(message) if field.required}
    if title not in ("Replies", "Dead letters"):
        assert {re.findall(r"`(\w+)`", row)[0] for row in table.splitlines() if "required |" in row} == required


def test_every_reason_is_explained() -> None:
    table = section("Dead letters").partition("| Reason | The record |")[2]
    explained = [name for row in table.splitlines() for name in re.findall(r"`(\w+)`", [*row.split("|"), "", ""][1])]
    assert sorted(explained) == sorted(Reason)


def test_topics_are_named_as_they_are() -> None:
    names = {topic.name for topic in Topics.named().all()}
    table = EVENTS.partition("|---|---|---|---|\n")[2].partition("\n\n")[0]
    assert {re.findall(r"`([\w-]+)`", row)[0] for row in table.splitlines()} <= names


def test_mappings_of_the_page_on_sources_are_valid(tmp_path: Path) -> None:
    mappings = blocks((DOCS / "sources.md").read_text(encoding="utf-8"), "toml")
    assert len(mappings) == 2
    for text in mappings:
        (tmp_path / "map.toml").write_text(text, encoding="utf-8")
        assert load_mapping(tmp_path / "map.toml").interactions.customer_id == "kunde"


@pytest.fixture
def topics(kafka: str) -> Topics:
    made = Topics.named("docs-")
    create_topics(made.all(), {"bootstrap.servers": kafka})
    return made


def run(program: list[str], code: str, kafka: str) -> str:
    """Run a snippet of the page, its topics renamed so that no other test sees its records."""
    code = re.sub(r"-t (interactions|items|dead-letters)", r"-t docs-\1", code)
    code = re.sub(r'"(interactions|recommendations|recommendation-requests)"', r'"docs-\1"', code)
    environment = {**os.environ, "KAFKA_BOOTSTRAP_SERVERS": kafka}
    done = subprocess.run([*program, code], capture_output=True, text=True, env=environment, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def records(kafka: str, topic: str) -> list[Record]:
    with CompactedTable(topic, {"bootstrap.servers": kafka}) as table:
        return list(table.load())


def test_commands_and_programs_to_try_publish_what_they_say(kafka: str, topics: Topics) -> None:
    commands = [block for block in blocks(section("Try it"), "bash") if "kcat" in block]
    assert len(commands) == 2
    for command in commands:
        run(["bash", "-euo", "pipefail", "-c"], command, kafka)
    (program,) = blocks(section("Try it"), "python")
    run([sys.executable, "-c"], program, kafka)
    sent = records(kafka, topics.interactions.name)
    events = [decode_interaction(r.value, r.timestamp * 1000, key=r.key) for r in sent]
    assert sorted((e.type, e.item_id) for e in events) == [
        ("purchase", "995242"), ("view", "1029743"), ("view", "995242"),
    ]  # fmt: skip
    assert {r.partition for r in sent} == {partition_of(b"1842", topics.interactions.partitions)}
    bread, gone = records(kafka, topics.items.name)
    assert decode_item(bread.value, key=bread.key).name == "Rye bread, 500 g"
    assert (gone.key, gone.value) == (b"A-17", None)


def test_the_command_that_shows_dead_letters_works(kafka: str, topics: Topics) -> None:
    (command,) = blocks(section("Dead letters"), "bash")
    assert run(["bash", "-euo", "pipefail", "-c"], command, kafka) == ""


def test_the_program_that_asks_publishes_a_good_request(kafka: str, topics: Topics) -> None:
    (program,) = blocks(section("Requests"), "python")
    assert run([sys.executable, "-c"], program.replace("range(20)", "range(1)"), kafka) == ""  # nobody answers here
    (request,) = records(kafka, topics.recommendation_requests.name)
    assert decode_request(request.value).n == 5
    assert request.key == b"1842"


@pytest.mark.stack
def test_the_program_that_asks_gets_an_answer(stack: object) -> None:
    (program,) = blocks(section("Requests"), "python")
    environment = {**os.environ, **stack.environment}  # type: ignore[attr-defined]
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment, timeout=120, check=True
    )
    assert re.match(r"(ok|fallback) \[", done.stdout)
