"""Every model input is described in docs/features.md, under its group, and nothing else is."""

import re
from pathlib import Path

import pytest

from feature_repo.columns import columns
from feature_repo.shop import load_shop
from serving.candidates import LIMITS, SCORED, SCORED_PER_ITEM, Source

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/features.md").read_text(encoding="utf-8")
SECTIONS = {"customer": "## Customer", "item": "## Item", "pair": "## Pair", "request": "## Request"}


def described(group: str) -> dict[str, str]:
    """By name in the first column of a group's table, the rest of the row."""
    section = PAGE.split(SECTIONS[group], 1)[1].split("\n## ", 1)[0]
    rows = re.findall(r"^\| (`.*?`) \| (.*) \|$", section, re.MULTILINE)
    return {name: rest for names, rest in rows for name in re.findall(r"`(.+?)`", names)}


@pytest.mark.parametrize("shop_name", ["complete_journey", "hm", "synthetic", "generic"])
@pytest.mark.parametrize("group", SECTIONS)
def test_every_column_is_described_under_its_group(shop_name: str, group: str) -> None:
    shop = load_shop(shop_name)
    told = described(group)
    patterns = {"<a>": shop.customer_attributes, "<item attribute>": shop.item_attributes}
    names: dict[str, str] = {}
    for name, rest in told.items():
        values = patterns.get(name) or [name.replace("<p>", value) for value in shop.preference_attributes or [""]]
        values = [each.replace("<c>", value) for each in values for value in shop.context_attributes or [""]]
        names |= dict.fromkeys(values if "<" in name else [name], rest)
    for column in columns(shop):
        if column.group == group:
            assert column.name in names, column.name
            unit = names[column.name].split(" | ")[0]
            assert unit.endswith("log") == column.log, (column.name, unit)
            assert (unit == "category") == (column.kind == "categorical"), (column.name, unit)


def test_nothing_is_described_that_is_not_there() -> None:
    every = {column.name for column in columns(load_shop("complete_journey"))}
    fixed = {name for group in SECTIONS for name in described(group) if "<" not in name}
    assert fixed <= every


def test_files_named_are_there() -> None:
    for name in set(re.findall(r"`(\w+\.py)`", PAGE)):
        assert (ROOT / "feature_repo" / name).exists(), name


def test_sources_and_their_limits_are_as_described() -> None:
    table = PAGE.split("## Candidates", 1)[1].split("\n## ", 1)[0]
    rows = re.findall(r"^\| `(\w+)` \| .* \| (\d+) \|$", table, re.MULTILINE)
    assert {name: int(limit) for name, limit in rows} == {s.name.lower(): LIMITS.of(s) for s in Source if s.name}
    assert f"{SCORED} are scored for an answer" in table
    assert f"{SCORED_PER_ITEM} for each item wanted where that makes more; never more than {LIMITS.total}" in table
