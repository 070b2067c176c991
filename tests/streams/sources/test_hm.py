from pathlib import Path

import pytest

from streams.sources import hm as hm_module
from streams.sources.hm import HM


def test_events(hm_directory: Path) -> None:
    (events,) = HM(hm_directory).interactions()
    assert [(e.event_id, e.customer_id, e.item_id) for e in events] == [
        ("hm-2018-09-20-0", "00000dba", "0108775015"),
        ("hm-2018-09-20-1", "00000dba", "0108775015"),
        ("hm-2018-09-21-3", "0000423b", "0108775015"),
        ("hm-2018-09-22-2", "0000423b", "0108775044"),
    ]
    first = events[0]
    assert first.time == 1_537_401_600_000_000
    assert (first.type, first.quantity, first.price) == ("purchase", 1, 0.050830508474576264)
    assert first.context == {"channel": "2"}
    amounts = HM(hm_directory).interactions_table(currency_exponent=4)["amount"].to_pylist()
    assert amounts == [508, 508, 305, 169]


def test_customers_and_items(hm_directory: Path) -> None:
    source = HM(hm_directory)
    first, second = source.customers()
    assert first.attributes == {
        "age": "49", "club_member_status": "ACTIVE", "fashion_news_frequency": "NONE", "postal_code": "52043ee2",
    }  # fmt: skip
    assert second.attributes["FN"] == "1.0"
    assert "age" not in second.attributes
    black, white = source.items()
    assert (black.item_id, black.name) == ("0108775015", "Strap top")
    assert black.attributes["product_code"] == "0108775"
    assert black.attributes["colour_group_name"] == "Black"
    assert black.description.startswith("Jersey top, with")
    assert white.description == ""


def test_large_files_are_streamed_and_must_be_in_order(hm_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hm_module, "_IN_MEMORY", 0)
    with pytest.raises(ValueError, match="not in order of t_dat"):
        list(HM(hm_directory).chunks())
    lines = (hm_directory / "transactions_train.csv").read_text().splitlines()
    many = [lines[0], *(lines[1] for _ in range(3000)), *(lines[4] for _ in range(3000))]
    (hm_directory / "transactions_train.csv").write_text("\n".join(many) + "\n")
    monkeypatch.setattr(hm_module, "_BLOCK", 20_000)
    source = HM(hm_directory)
    streamed = list(source.interactions())
    assert len(streamed) > 5
    monkeypatch.setattr(hm_module, "_IN_MEMORY", 2**30)
    assert [e for batch in streamed for e in batch] == [e for batch in source.interactions() for e in batch]


def test_missing_files_are_named(hm_directory: Path) -> None:
    (hm_directory / "articles.csv").unlink()
    with pytest.raises(FileNotFoundError, match=r"lacks articles\.csv"):
        HM(hm_directory)
