"""The dashboard is the one the code makes, over metrics that exist. Its queries run in tests/e2e."""

import json
import re

from prometheus_client import REGISTRY

import streams.contracts.observability  # noqa: F401 - registers the metrics
from deploy.grafana import dashboard, panels


def test_the_committed_dashboard_is_the_one_the_code_makes() -> None:
    assert dashboard.TARGET.read_text() == dashboard.build(), "run python -m deploy.grafana.dashboard"


def test_every_query_is_on_a_panel() -> None:
    board = json.loads(dashboard.build())
    shown = [target["expr"] for panel in board["panels"] for target in panel.get("targets", [])]
    assert sorted(shown) == sorted(panels.queries())


def test_panels_do_not_overlap() -> None:
    cells: set[tuple[int, int]] = set()
    for panel in json.loads(dashboard.build())["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= dashboard.WIDTH
        rows = range(place["y"], place["y"] + place["h"])
        mine = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in rows}
        assert not mine & cells, panel["title"]
        cells |= mine


def test_every_metric_of_the_dashboard_is_one_a_process_exports() -> None:
    exported = {family.name for family in REGISTRY.collect()}
    suffixes = r"_(total|bucket|sum|count)$"
    for query in panels.queries():
        for name in re.findall(r"headwater_[a-z_]+", query):
            assert re.sub(suffixes, "", name) in exported, f"{name} in {query}"
