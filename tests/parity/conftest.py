"""Feast, applied once a module to a Redis of its own."""

import warnings
from pathlib import Path
from typing import Any

import pytest

from feature_repo.apply import apply, open_feature_store
from feature_repo.shop import shop_from_environment


@pytest.fixture(scope="module")
def feature_store(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Feast's own `FeatureStore`, its registry filled from the definitions."""
    state: Path = tmp_path_factory.mktemp("feast_state")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        found = open_feature_store(redis_url, state)
        apply(found, shop_from_environment(), state / "offline")
    return found
