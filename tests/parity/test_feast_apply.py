"""Applying the definitions again, and for another shop."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from feature_repo.apply import apply
from feature_repo.definitions import offline_path, offline_schema
from feature_repo.shop import load_shop, shop_from_environment
from feature_repo.views import views

pytestmark = pytest.mark.filterwarnings("ignore:On demand feature view is an experimental feature")

ON_DEMAND = ["customer_rfm", "customer_session", "item_popularity"]


def names_of(shop_name: str) -> list[str]:
    return sorted([*(layout.name for layout in views(load_shop(shop_name))), *ON_DEMAND])


def test_applying_again_changes_nothing(feature_store: Any, tmp_path: Path) -> None:
    shop = shop_from_environment()
    first = apply(feature_store, shop, tmp_path)
    schemas = {view.name: view.schema for view in feature_store.list_feature_views()}
    assert apply(feature_store, shop, tmp_path) == first == names_of(shop.name)
    assert {view.name: view.schema for view in feature_store.list_feature_views()} == schemas
    services = {service.name for service in feature_store.list_feature_services()}
    assert services == {"retrieval_v1", "ranking_v1"}


def test_offline_files_have_the_schema_of_their_views_and_are_kept(feature_store: Any, tmp_path: Path) -> None:
    shop = shop_from_environment()
    apply(feature_store, shop, tmp_path)
    layout = views(shop)[0]
    path = offline_path(tmp_path, layout)
    assert pq.read_schema(path) == offline_schema(layout)
    before = path.stat().st_mtime_ns
    apply(feature_store, shop, tmp_path)
    assert path.stat().st_mtime_ns == before


def test_the_views_of_another_shop_replace_those_that_it_does_not_have(feature_store: Any, tmp_path: Path) -> None:
    assert apply(feature_store, load_shop("generic"), tmp_path) == names_of("generic")
    assert "customer_profile" not in names_of("generic")
    again = shop_from_environment()
    assert apply(feature_store, again, tmp_path) == names_of(again.name)
