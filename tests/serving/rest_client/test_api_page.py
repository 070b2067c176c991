"""docs/api.md is true: it names every operation, and its examples run, from top to bottom, on the running gateway."""

from __future__ import annotations

import json
import os
import re
import secrets
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from serving.rest_client import HeadwaterClient, UnreachableError
from serving.rest_client.operations import Operation, Operations
from streams.contracts.events import Item
from tests.serving.running import until
from tests.serving.triton_server import ROOT, free_ports, stop

DOCS = ROOT / "docs"
PAGE = (DOCS / "api.md").read_text(encoding="utf-8")
METHODS = ("get", "put", "post", "patch", "delete")
ROW = re.compile(r"^\| `([A-Z]+) (/\S*)` \|(.*)\|$", re.MULTILINE)


def published() -> dict[str, Any]:
    document: dict[str, Any] = json.loads((DOCS / "openapi.json").read_text(encoding="utf-8"))
    return document


def operations() -> list[tuple[str, str]]:
    return [(method.upper(), path) for path, each in published()["paths"].items() for method in each]


def test_every_operation_has_its_row_and_there_is_no_other() -> None:
    assert sorted((method, path) for method, path, _ in ROW.findall(PAGE)) == sorted(operations())


def test_every_row_names_a_method_of_the_client() -> None:
    named = {name for *_, rest in ROW.findall(PAGE) for name in re.findall(r"`(\w+)\(", rest)}
    assert all(callable(getattr(HeadwaterClient, name, None)) for name in named), named
    missing = [path for _, path, rest in ROW.findall(PAGE) if "(" not in rest]
    assert missing == ["/health/live"]  # asked by what starts processes, not by a shop


def test_every_method_of_the_client_is_shown_at_work() -> None:
    methods = {name for name, found in vars(Operations).items() if isinstance(found, Operation)}
    assert methods <= set(re.findall(r"(?:client|operator|shop)\.(\w+)\(", PAGE))


@dataclass(frozen=True)
class Example:
    """A program of the page and, if it is told, the JSON that it prints."""

    language: str
    code: str
    printed: Any


def examples(page: str) -> list[Example]:
    """In the order of the page."""
    found = re.findall(r"^```(\w+)\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL)
    programs = []
    for place, (language, code) in enumerate(found):
        if language == "json":
            continue
        after = found[place + 1] if place + 1 < len(found) else ("", "")
        programs.append(Example(language, code, json.loads(after[1]) if after[0] == "json" else None))
    return programs


def likeness(value: Any) -> Any:
    """What must agree between what the page shows and what is printed: everything but figures and sentences."""
    if isinstance(value, dict):
        return {name: "…" if name == "detail" else likeness(each) for name, each in value.items()}
    return [likeness(each) for each in value] if isinstance(value, list) else value


@pytest.fixture
def shell(stack: Any, tmp_path: Path) -> Iterator[dict[str, str]]:
    """A reader's environment: the stack's, with a gateway beside its own that wants keys."""
    port, metrics = free_ports(2)
    gateway = {
        "HEADWATER_GATEWAY_URL": f"http://127.0.0.1:{port}",
        "HEADWATER_GATEWAY_PORT": str(port),
        "HEADWATER_GATEWAY_OPEN": "false",
        "HEADWATER_GATEWAY_TOKEN_SECRET": secrets.token_hex(32),
        "HEADWATER_METRICS_PORT": str(metrics),
    }
    scripts = Path(sys.executable).parent
    environment = {**os.environ, **stack.environment, **gateway, "PATH": f"{scripts}:{os.environ['PATH']}"}
    log = tmp_path / "gateway.log"
    with log.open("wb") as output:
        process = subprocess.Popen([sys.executable, "-m", "serving.gateway"], env=environment, stderr=output, cwd=ROOT)
    try:
        with HeadwaterClient(gateway["HEADWATER_GATEWAY_URL"], attempts=1) as client:
            until(lambda: _ready(client, process, log))
        yield environment
    finally:
        stop(process)


def _ready(client: HeadwaterClient, process: subprocess.Popen[bytes], log: Path) -> bool:
    assert process.poll() is None, log.read_text()[-4000:]
    try:
        return client.ready().ready
    except UnreachableError:
        return False


def run(example: Example, environment: dict[str, str], tmp_path: Path) -> str:
    """Run a program of the page; what a shell has exported is in the environment of those after it."""
    left = tmp_path / "environment"
    shell = ["bash", "-euo", "pipefail", "-c", f"trap 'env -0 > {left}' EXIT\n{example.code}"]
    program = shell if example.language == "bash" else [sys.executable, "-c", example.code]
    done = subprocess.run(program, capture_output=True, text=True, env=environment, timeout=120, check=False)
    assert done.returncode == 0, f"{example.code}\n{done.stdout}\n{done.stderr}"
    if example.language == "bash":
        environment.update(each.split("=", 1) for each in left.read_text().split("\0") if each)
    return done.stdout


@pytest.mark.stack
@pytest.mark.timeout(900)  # the whole stack may have to be started
def test_the_examples_run_from_top_to_bottom(shell: dict[str, str], tmp_path: Path) -> None:
    for example in examples(PAGE):
        if "stack.env" in example.code:
            continue  # that is where a reader's environment comes from; this one's is the fixture
        printed = run(example, shell, tmp_path)
        if example.printed is not None:
            assert likeness(json.loads(printed)) == likeness(example.printed), example.code


@pytest.mark.stack
@pytest.mark.timeout(900)  # the whole stack may have to be started
def test_what_the_readme_shows_runs_on_the_stack_as_it_is_started(stack: Any, tmp_path: Path) -> None:
    """The stack's own gateway: open, as `make up` starts it."""
    environment = {**os.environ, **stack.environment}
    with HeadwaterClient(environment["HEADWATER_GATEWAY_URL"]) as client:
        client.put_item(Item(item_id="995242", name="Milk"))
    readme = (
        (ROOT / "README.md").read_text(encoding="utf-8").partition("## The same over REST\n")[2].partition("\n## ")[0]
    )
    shell, program = examples(readme)
    printed = run(shell, environment, tmp_path)
    assert '"accepted":1' in printed
    assert '"recommendation_id"' in printed
    run(program, environment, tmp_path)
