"""The small application behind the gate, one a module."""

from __future__ import annotations

import pytest

from tests.serving.gateway.security.gated import Site


@pytest.fixture(scope="module")
def site() -> Site:
    return Site()
