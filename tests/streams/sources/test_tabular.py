from pathlib import Path

import pandas as pd
import pytest

from streams.sources import open_source
from streams.sources.mapping import MappingError
from streams.sources.tabular import Tabular

SALES = """wann;kunde;artikel;menge;was;preis
03.02.2024 14:05;007;A1;2;kauf;1,5
02.02.2024 09:00;12;B7;-1;kauf;
02.02.2024 09:01;12;B7;;schau;
;12;B7;;schau;
02.02.2024 09:01;;B7;;schau;
02.02.2024 09:02;12;B7;;verkauf;
"""
MAPPING = """
[interactions]
customer_id = "kunde"
item_id = "artikel"
time = "wann"
time_format = "%d.%m.%Y %H:%M"
time_zone = "Europe/Berlin"
quantity = "menge"
type_column = "was"
types = { kauf = "purchase", schau = "view" }
delimiter = ";"
"""


def opened(directory: Path, mapping: str = MAPPING, text: str = SALES, name: str = "sales.csv") -> Tabular:
    (directory / name).write_text(text, encoding="utf-8")
    (directory / "map.toml").write_text(mapping, encoding="utf-8")
    return Tabular(directory / name, directory / "map.toml")


def simple(**interactions: str) -> str:
    fields = {"customer_id": "c", "item_id": "i", "time": "t", "type": "purchase", **interactions}
    return "[interactions]\n" + "".join(f'{key} = "{value}"\n' for key, value in fields.items())


def test_a_foreign_csv_becomes_events(tmp_path: Path) -> None:
    source = opened(tmp_path)
    (events,) = source.interactions()
    assert [(e.event_id, e.customer_id, e.item_id, e.type, e.quantity, e.price) for e in events] == [
        ("sales-1", "12", "B7", "return", 1, None),
        ("sales-2", "12", "B7", "view", 1, None),
        ("sales-0", "007", "A1", "purchase", 2, None),
    ]
    assert events[0].time == int(pd.Timestamp("2024-02-02 09:00", tz="Europe/Berlin").timestamp()) * 1_000_000
    assert source.skipped == {"no customer": 1, "no time": 1, "type without a translation": 1}
    assert [c.customer_id for c in source.customers()] == ["12", "007"]
    assert [(i.item_id, i.name) for i in source.items()] == [("B7", "B7"), ("A1", "A1")]


@pytest.mark.parametrize(
    ("form", "cell"),
    [
        ("s", "1706864400"),
        ("s", "1706864400.0"),
        ("ms", "1706864400000"),
        ("us", "1706864400000000"),
        ("iso", "2024-02-02T09:00:00Z"),
        ("iso", "2024-02-02 09:00"),
        ("iso", "2024-02-02T10:00:00+01:00"),
        ("%Y%m%d%H", "2024020209"),
        ("%d/%m/%y %I:%M %p", "02/02/24 09:00 AM"),
        ("%Y-%m-%d %H:%M:%S %z", "2024-02-02 04:00:00 -0500"),
    ],
)
def test_times_in_many_forms_are_one_instant(tmp_path: Path, form: str, cell: str) -> None:
    source = opened(tmp_path, simple(time_format=form), f"c,i,t\n1,2,{cell}\n")
    ((event,),) = source.interactions()
    assert event.time == 1_706_864_400_000_000


def test_iso_times_with_and_without_zone_in_one_column(tmp_path: Path) -> None:
    text = "c,i,t\n1,2,2024-02-02T09:00:00Z\n1,2,2024-02-02T10:00:00\n1,2,2024-02-02T10:00:00.5+02:00\n1,2,2024-02-02\n"
    source = opened(tmp_path, simple(time_zone="Europe/Berlin"), text)
    (events,) = source.interactions()
    day = 1_706_832_000_000_000 - 3_600_000_000
    nine = 1_706_864_400_000_000
    assert [e.time for e in events] == [day, nine - 3_600_000_000 + 500_000, nine, nine]


def test_hours_that_clocks_skip_or_repeat_do_not_fail(tmp_path: Path) -> None:
    text = "c,i,t\n1,2,2024-03-31 02:30\n1,2,2024-10-27 02:30\n"
    (events,) = opened(tmp_path, simple(time_zone="Europe/Berlin"), text).interactions()
    assert len(events) == 2


def test_parquet_with_typed_columns(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "id": [5, 6, 7],
            "user": [10, 11, None],
            "sku": [1, 2, 3],
            "at": pd.to_datetime(["2024-02-02 09:00", "2024-02-02 08:00", "2024-02-02 00:00"]),
            "stars": [4.5, 2.0, 1.0],
        }
    )
    frame.to_parquet(tmp_path / "ratings.parquet")
    (tmp_path / "map.toml").write_text(
        '[interactions]\ncustomer_id="user"\nitem_id="sku"\ntime="at"\ntype="rating"\nrating="stars"\nevent_id="id"\n'
    )
    source = open_source(str(tmp_path / "ratings.parquet"), tmp_path / "map.toml")
    (events,) = source.interactions()
    assert [(e.event_id, e.customer_id, e.item_id, e.rating) for e in events] == [
        ("6", "11", "2", 2.0),
        ("5", "10", "1", 4.5),
    ]
    assert source.skipped == {"no customer": 1}


def test_side_files_give_names_prices_and_attributes(tmp_path: Path) -> None:
    (tmp_path / "goods.csv").write_text("sku,title,euro,marke\nA1,Apple,1.20,Acme\nB7,,,\n,x,,\n")
    (tmp_path / "people.csv").write_text("no|town\n007|Bern\n12|\n")
    mapping = MAPPING + (
        '[items]\nfile = "goods.csv"\nitem_id = "sku"\nname = "title"\nprice = "euro"\n'
        'attributes = { brand = "marke" }\n'
        '[customers]\nfile = "people.csv"\ncustomer_id = "no"\nattributes = ["town"]\ndelimiter = "|"\n'
    )
    source = opened(tmp_path, mapping)
    apple, nameless = source.items()
    assert (apple.name, apple.price, apple.attributes) == ("Apple", 1.2, {"brand": "Acme"})
    assert (nameless.name, nameless.price, nameless.attributes) == ("B7", None, {})
    bern, nowhere = source.customers()
    assert (bern.customer_id, bern.attributes, nowhere.attributes) == ("007", {"town": "Bern"}, {})
    assert source.skipped == {"items without item_id": 1}


def test_line_totals_are_divided_by_the_quantity(tmp_path: Path) -> None:
    mapping = simple(quantity="q", line_total="total")
    source = opened(
        tmp_path, mapping, "c,i,t,q,total\n1,2,2024-01-01,3,10.00\n1,2,2024-01-01,-2,-5\n1,2,2024-01-01,0,1\n"
    )
    table = source.interactions_table()
    assert table["amount"].to_pylist() == [1000, 500, 100]
    assert table["type"].to_pylist() == ["purchase", "return", "purchase"]


def test_a_csv_as_spreadsheets_write_it(tmp_path: Path) -> None:
    """Byte order mark, Latin-1, decimal commas, quoted delimiters and line breaks."""
    (tmp_path / "map.toml").write_text(
        simple(price="p", delimiter=";", decimal_point=",", encoding="latin-1")
        + '[items]\nfile = "goods.csv"\nitem_id = "i"\nname = "n"\nprice = "p"\ndelimiter = ";"\ndecimal_point = ","\n'
    )
    (tmp_path / "sales.csv").write_bytes('c;i;t;p\nRené;"a;b";2024-01-01;1,25\n'.encode("latin-1"))
    (tmp_path / "goods.csv").write_bytes('i;n;p\n"a;b";"Käse\njung";2,5\n'.encode("utf-8-sig"))
    source = Tabular(tmp_path / "sales.csv", tmp_path / "map.toml")
    ((event,),) = source.interactions()
    assert (event.customer_id, event.item_id, event.price) == ("René", "a;b", 1.25)
    (item,) = source.items()
    assert (item.item_id, item.name, item.price) == ("a;b", "Käse\njung", 2.5)


def test_a_file_in_another_encoding_says_so(tmp_path: Path) -> None:
    (tmp_path / "map.toml").write_text(simple())
    (tmp_path / "sales.csv").write_bytes("c,i,t\nRené,2,2024-01-01\n".encode("latin-1"))
    with pytest.raises(ValueError, match="encoding 'utf-8'"):
        Tabular(tmp_path / "sales.csv", tmp_path / "map.toml").interactions_table()


def test_rows_that_the_stream_would_reject_are_left_out(tmp_path: Path) -> None:
    rows = [
        "a,2,2024-01-01,1",
        "a,2,1950-01-01,1",
        "a,2,2024-01-01,1e12",
        f"{'x' * 200},2,2024-01-01,1",
        "a,2,2024-01-01,-4",
    ]
    source = opened(tmp_path, simple(price="p"), "c,i,t,p\n" + "\n".join(rows) + "\n")
    (events,) = source.interactions()
    assert [e.price for e in events] == [1.0, None]
    assert source.skipped == {"absurd time": 1, "absurd price": 1, "bad id": 1}


@pytest.mark.parametrize(
    ("mapping", "told"),
    [
        ("[interactions", "is not TOML"),
        ('[interactions]\ncustomer_id = "c"\n', "item_id"),
        (simple(colour="red"), "unknown field `colour`"),
        (simple(type="buy"), "'buy'"),
        (simple().replace('type = "purchase"\n', ""), "type_column"),
        (simple(price="euros"), "interactions.price names column 'euros', but sales.csv has: c, i, t, p"),
        (
            simple(context='"').replace('context = """', 'context = { shop = "where" }'),
            "interactions.context.shop names",
        ),
        (simple(price="p", line_total="p"), "not both"),
        (simple(time_format="%d.%m.%Y"), "row 1 is '2024-01-01', which time_format = '%d.%m.%Y' does not fit"),
        (simple(time_format="s"), "interactions.time: row 1 is '2024-01-01'"),
        (simple(time_zone="Mars/Base"), "'Mars/Base' is no IANA time zone"),
        (simple(price="p"), "interactions.price: row 2 of column 'p' is 'cheap', not a number"),
        (
            simple().replace('type = "purchase"', 'type_column = "p"'),
            "add a table [interactions.types] for: '1', 'cheap'",
        ),
        (simple() + '[items]\nfile = "none.csv"\nitem_id = "i"\n', "items.file names none.csv"),
    ],
)
def test_a_mapping_that_does_not_fit_is_explained(tmp_path: Path, mapping: str, told: str) -> None:
    def read() -> None:
        source = opened(tmp_path, mapping, "c,i,t,p\n1,2,2024-01-01,1\n1,2,2024-01-02,cheap\n")
        list(source.items())
        list(source.interactions())

    with pytest.raises((MappingError, FileNotFoundError)) as caught:
        read()
    assert told in str(caught.value)
    assert "map.toml" in str(caught.value)


def test_a_file_without_a_mapping_says_so(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a\n")
    with pytest.raises(ValueError, match="--mapping"):
        open_source(str(tmp_path / "x.csv"))


@pytest.mark.parametrize(
    ("name", "told"),
    [("nowhere", "complete_journey, hm:"), ("synthetic:cats=3", "events, customers"), ("synthetic:events=x", "events")],
)
def test_an_unknown_source_or_option_says_what_there_is(name: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        open_source(name)
