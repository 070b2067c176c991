"""Write the published schemas from the structs: `python -m streams.contracts.publish [docs]`.

JSON Schema (2020-12) for every message under `schemas/`, and all topics in an AsyncAPI 3 document.
"""

import inspect
import json
import re
import sys
from pathlib import Path
from typing import Any

import msgspec

from streams.contracts.events import Id
from streams.contracts.examples import EXAMPLES
from streams.contracts.requests import CORRELATION_ID, REPLY_PARTITION, REPLY_TO
from streams.contracts.topics import Topic, Topics

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_EXAMPLES = {type(example): msgspec.to_builtins(example) for example in EXAMPLES}
MESSAGES: tuple[type, ...] = tuple(_EXAMPLES)


def json_schema(message: type) -> dict[str, Any]:
    """JSON Schema of one message, complete in itself, with an example."""
    (_,), components = msgspec.json.schema_components([message], ref_template="#/$defs/{name}")
    polished = {name: _polished(name, schema) for name, schema in components.items()}
    schema = polished.pop(message.__name__)
    whole = {"$schema": _DIALECT, **schema, "examples": [_EXAMPLES[message]]}
    return {**whole, "$defs": polished} if polished else whole


def asyncapi(topics: Topics) -> dict[str, Any]:
    """The AsyncAPI document of all topics."""
    _, components = msgspec.json.schema_components(MESSAGES, ref_template="#/components/schemas/{name}")
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Headwater",
            "version": "1.0.0",
            "description": "Publish what customers do and ask what they should see. Producers must use the "
            "murmur2_random partitioner (Java's default for keyed records).",
        },
        "defaultContentType": "application/json",
        "channels": {_camel(topic.name): _channel(topic) for topic in topics.all()},
        "operations": {_operation_name(topic): _operation(topic, topics) for topic in topics.all()},
        "components": {
            "messages": {_message_name(topic): _message(topic) for topic in topics.all()},
            "schemas": {name: _polished(name, schema) for name, schema in components.items()},
        },
    }


def published(topics: Topics | None = None) -> dict[str, str]:
    """Path below the documentation's directory -> text of every published file."""
    files = {
        f"schemas/{_snake(message.__name__)}.json": json.dumps(json_schema(message), indent=2, ensure_ascii=False)
        + "\n"
        for message in MESSAGES
    }
    document = msgspec.yaml.encode(asyncapi(topics or Topics.named()))
    return {**files, "asyncapi.yaml": document.decode()}


def _polished(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """Say in each field's schema what the struct's docstring says of it; add what types can't express."""
    summary, notes = _split_docstring(schema.get("description", ""))
    polished = {**schema, "description": summary}
    if "enum" in schema:
        return {"type": "string", **polished}
    properties = {
        field: {**each, "description": notes[field]} if field in notes else each
        for field, each in schema.get("properties", {}).items()
    }
    polished["properties"] = properties
    if name == "Interaction":
        rated = {"properties": {"type": {"const": "rating"}}}
        polished["allOf"] = [
            {"if": rated, "then": {"required": ["rating"], "properties": {"rating": {"type": "number"}}}}
        ]
    return polished


def _split_docstring(text: str) -> tuple[str, dict[str, str]]:
    """What stands before the list of attributes, and that list: field -> what it means."""
    before, _, after = inspect.cleandoc(text).partition("Attributes\n----------\n")
    notes: dict[str, str] = {}
    for names, note in re.findall(r"^(\w[\w, ]*): (.+(?:\n[ ].+)*)", after, flags=re.MULTILINE):
        notes |= dict.fromkeys(names.split(", "), _one_line(note))
    return _one_line(before), notes


def _one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


def _channel(topic: Topic) -> dict[str, Any]:
    config = topic.config
    known: dict[str, Any] = {}
    if "cleanup.policy" in config:
        known["cleanup.policy"] = config["cleanup.policy"].split(",")
    for name in ("retention.ms", "delete.retention.ms", "max.message.bytes"):
        if name in config:
            known[name] = int(config[name])
    name = _message_name(topic)
    return {
        "address": topic.name,
        "description": topic.summary,
        "messages": {name: {"$ref": f"#/components/messages/{name}"}},
        "bindings": {"kafka": {"topic": topic.name, "partitions": topic.partitions, "topicConfiguration": known}},
    }


def _operation_name(topic: Topic) -> str:
    return ("receive" if topic.published_by == "shop" else "send") + _camel(topic.name, upper=True)


def _operation(topic: Topic, topics: Topics) -> dict[str, Any]:
    """As AsyncAPI has it, from Headwater's side: it receives what the shop publishes."""
    channel = f"#/channels/{_camel(topic.name)}"
    operation: dict[str, Any] = {
        "action": "receive" if topic.published_by == "shop" else "send",
        "channel": {"$ref": channel},
        "summary": topic.summary,
        "messages": [{"$ref": f"{channel}/messages/{_message_name(topic)}"}],
    }
    if topic is topics.recommendation_requests:
        answers = f"#/channels/{_camel(topics.recommendations.name)}"
        operation["reply"] = {
            "address": {
                "location": f"$message.header#/{REPLY_TO}",
                "description": f"Default: {topics.recommendations.name}.",
            },
            "channel": {"$ref": answers},
            "messages": [{"$ref": f"{answers}/messages/{_message_name(topics.recommendations)}"}],
        }
    return operation


def _message_name(topic: Topic) -> str:
    return topic.message.__name__ if topic.message is not None else _camel(topic.name, upper=True)


def _message(topic: Topic) -> dict[str, Any]:
    name = _message_name(topic)
    message: dict[str, Any] = {"name": name, "summary": topic.summary}
    if topic.key:
        message["bindings"] = {"kafka": {"key": {"type": "string", "description": topic.key}}}
    if topic.message is None:
        return {**message, "contentType": "application/octet-stream", "payload": {"type": "string", "format": "binary"}}
    if topic.message.__name__ == "RecommendationRequest":
        message["headers"] = {"type": "object", "properties": _request_headers()}
        message["correlationId"] = {"location": f"$message.header#/{CORRELATION_ID}"}
    return {
        **message,
        "payload": {"$ref": f"#/components/schemas/{name}"},
        "examples": [{"name": _snake(name), "payload": _EXAMPLES[topic.message]}],
    }


def _request_headers() -> dict[str, Any]:
    identity = msgspec.json.schema(Id)
    return {
        CORRELATION_ID: {**identity, "description": "Comes back in the reply; wins over request_id in the body."},
        REPLY_TO: {"type": "string", "description": "Topic for the reply; must match an allowed prefix."},
        REPLY_PARTITION: {"type": "string", "pattern": "^[0-9]+$", "description": "Partition for the reply."},
    }


def _camel(name: str, *, upper: bool = False) -> str:
    words = [word.capitalize() for word in name.split("-")]
    return "".join(words) if upper else words[0].lower() + "".join(words[1:])


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


def main(directory: Path) -> None:
    """Write all files, and remove schemas of messages that are no more."""
    files = published()
    (directory / "schemas").mkdir(parents=True, exist_ok=True)
    for stale in {f"schemas/{path.name}" for path in (directory / "schemas").glob("*.json")} - set(files):
        (directory / stale).unlink()
    for name, text in files.items():
        (directory / name).write_text(text, encoding="utf-8")
        print(directory / name)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs"))
