"""Write the gateway's OpenAPI document: `python -m serving.gateway.publish [docs]`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from serving.gateway.app import make_app
from serving.gateway.settings import GatewaySettings
from serving.gateway.state import Gateway

NAME = "openapi.json"


def document() -> dict[str, Any]:
    """Every route, what it takes and what it may answer; needs nothing that runs."""
    bare = SimpleNamespace(settings=GatewaySettings(gateway_open=False), security=None)
    found = make_app(cast(Gateway, bare)).openapi()
    components = found["components"]
    components["schemas"] = dict(sorted(components["schemas"].items()))  # they come in no order
    return found


def published() -> str:
    """The file's text."""
    return json.dumps(document(), indent=1, ensure_ascii=False) + "\n"


def main(docs: Path) -> None:
    """Write the file below a directory."""
    (docs / NAME).write_text(published(), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[2] / "docs")
