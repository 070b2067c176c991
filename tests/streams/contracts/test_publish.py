import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from streams.contracts.codec import decode_interaction, encode
from streams.contracts.events import Interaction
from streams.contracts.examples import EXAMPLES
from streams.contracts.operations import Reason
from streams.contracts.publish import MESSAGES, asyncapi, json_schema, main, published
from streams.contracts.requests import RecommendationRequest
from streams.contracts.topics import Topics
from streams.sources.malformed import Malformed, malformed_records

DOCS = Path(__file__).resolve().parents[3] / "docs"
NOW = 1_767_225_600_000_000


def validator(schema: dict[str, Any]) -> Draft202012Validator:
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)


@pytest.mark.parametrize("name", sorted(published()))
def test_published_files_are_in_step_with_the_structs(name: str) -> None:
    written = (DOCS / name).read_text(encoding="utf-8")
    assert written == published()[name], "run: python -m streams.contracts.publish"


def test_nothing_else_is_published() -> None:
    assert {f"schemas/{path.name}" for path in (DOCS / "schemas").iterdir()} == set(published()) - {"asyncapi.yaml"}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: type(example).__name__)
def test_examples_are_valid_and_decode_to_themselves(example: msgspec.Struct) -> None:
    value = encode(example)
    validator(json_schema(type(example))).validate(json.loads(value))
    assert msgspec.json.decode(value, type=type(example)) == example


def can_be_said_in_json_schema(record: Malformed) -> bool:
    """Bytes, sizes, the meaning of times, printable characters and upper limits are the codec's alone."""
    if record.reason in (Reason.NOT_JSON, Reason.NOT_UTF8, Reason.TOO_LARGE, Reason.ABSURD_TIME):
        return False
    value = json.loads(record.value)
    if record.reason is Reason.BAD_ID:
        return not 0 < len(value["item_id"]) <= 128
    return record.reason is not Reason.ABSURD_PRICE or value["price"] < 0


def test_schema_refuses_malformed_events_too() -> None:
    check = validator(json_schema(Interaction))
    records = [record for record in malformed_records(300, NOW) if can_be_said_in_json_schema(record)]
    assert len({record.reason for record in records}) == 6
    for record in records:
        assert not check.is_valid(json.loads(record.value))


def test_a_rating_needs_its_rating() -> None:
    event = {"event_id": "e", "customer_id": "c", "item_id": "i", "type": "rating", "timestamp": 1_700_000_000_000}
    check = validator(json_schema(Interaction))
    with pytest.raises(ValidationError):
        check.validate(event)
    check.validate({**event, "rating": 4})
    assert decode_interaction(json.dumps({**event, "rating": 4}).encode(), NOW).rating == 4


def test_every_field_of_what_shops_publish_is_explained_or_speaks_for_itself() -> None:
    properties = json_schema(RecommendationRequest)["properties"]
    assert [field for field, schema in properties.items() if "description" not in schema] == ["customer_id"]


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "$ref":
                yield value
            else:
                yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def resolve(document: dict[str, Any], reference: str) -> Any:
    node: Any = document
    for part in reference.removeprefix("#/").split("/"):
        node = node[part]
    return node


def test_asyncapi_is_whole() -> None:
    document = msgspec.yaml.decode((DOCS / "asyncapi.yaml").read_bytes())
    assert document["asyncapi"] == "3.0.0"
    for reference in references(document):
        assert resolve(document, reference) is not None
    topics = Topics.named()
    assert [channel["address"] for channel in document["channels"].values()] == [t.name for t in topics.all()]
    assert [c["bindings"]["kafka"]["partitions"] for c in document["channels"].values()] == [
        t.partitions for t in topics.all()
    ]
    assert {o["channel"]["$ref"] for o in document["operations"].values()} == {
        f"#/channels/{name}" for name in document["channels"]
    }
    answering = document["operations"]["receiveRecommendationRequests"]
    assert answering["action"] == "receive"
    assert answering["reply"]["channel"]["$ref"] == "#/channels/recommendations"


def test_asyncapi_examples_fit_their_payloads() -> None:
    document = asyncapi(Topics.named("shop-"))
    checked = 0
    for message in document["components"]["messages"].values():
        for example in message.get("examples", ()):
            validator({**message["payload"], "components": document["components"]}).validate(example["payload"])
            checked += 1
    assert checked == len(MESSAGES)
    assert document["channels"]["shopInteractions"]["address"] == "shop-interactions"


def test_writing_removes_what_is_stale(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas" / "old.json").write_text("{}")
    main(tmp_path)
    assert not (tmp_path / "schemas" / "old.json").exists()
    assert (tmp_path / "asyncapi.yaml").exists()
    assert "interaction.json" in capsys.readouterr().out
