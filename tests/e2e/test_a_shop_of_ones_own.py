"""A table in a layout that nobody has seen before: a few lines of mapping, a replay, and recommendations from it."""

import csv
import datetime
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import RunningStack

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]

CUSTOMERS, ARTICLES, ROWS = 25, 40, 500
MAPPING = """
[interactions]
customer_id = "Kunde"
item_id = "Artikel"
time = "Wann"
time_format = "%d.%m.%Y %H:%M"
type = "purchase"
delimiter = ";"
"""


def headwater(stack: RunningStack, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "deploy.cli", *arguments], env=stack.environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr or done.stdout
    return done.stdout


@pytest.fixture
def sales(tmp_path: Path) -> tuple[Path, Path]:
    """A semicolon-separated file of the last month's sales, without prices, and its mapping."""
    now = datetime.datetime.now(datetime.UTC)
    table, mapping = tmp_path / "verkauf.csv", tmp_path / "verkauf.toml"
    with table.open("w", newline="") as file:
        writer = csv.writer(file, delimiter=";")
        writer.writerow(["Bon", "Kunde", "Artikel", "Wann"])
        for row in range(ROWS):
            at = now - datetime.timedelta(hours=ROWS - row)
            customer, article = row % CUSTOMERS, (row * 7 + row // CUSTOMERS) % ARTICLES
            writer.writerow([row, f"Kundin {customer}", f"Nr. {article}", at.strftime("%d.%m.%Y %H:%M")])
    mapping.write_text(MAPPING)
    return table, mapping


def test_it_is_replayed_and_recommended_from(stack: RunningStack, sales: tuple[Path, Path]) -> None:
    table, mapping = sales
    told = headwater(stack, "replay", "--source", str(table), "--mapping", str(mapping))
    assert f"{ROWS} interactions" in told
    deadline = time.monotonic() + 120
    while True:
        answer = json.loads(headwater(stack, "recommend", "Kundin 7", "-n", "5", "--context", "store=12", "--json"))
        lines = sum(purchase["lines"] for purchase in answer["purchases"])
        if lines == ROWS // CUSTOMERS or time.monotonic() > deadline:
            break
        time.sleep(1)
    assert lines == ROWS // CUSTOMERS
    own = {f"Nr. {(row * 7 + row // CUSTOMERS) % ARTICLES}" for row in range(7, ROWS, CUSTOMERS)}
    assert {purchase["item_id"] for purchase in answer["purchases"]} == own
    reply = answer["reply"]
    assert len(reply["items"]) == 5
    assert reply["seen"]["last_event_at"] > (time.time() - 2 * 86_400) * 1000
    if reply["status"] == "ok":  # a model is live by the time other tests have run
        assert {item["item_id"] for item in reply["items"]} & own
