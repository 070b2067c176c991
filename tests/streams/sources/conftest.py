import csv
from pathlib import Path

import pytest

from streams.sources.hm import HM
from streams.sources.source import Source
from streams.sources.synthetic import Options, Synthetic
from streams.sources.tabular import Tabular


def write_csv(path: Path, rows: list[dict[str, object]], delimiter: str = ",") -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
    return path


ARTICLE = {
    "article_id": "0108775015", "product_code": "0108775", "prod_name": "Strap top", "product_type_no": "253",
    "product_type_name": "Vest top", "product_group_name": "Garment Upper body",
    "graphical_appearance_no": "1010016", "graphical_appearance_name": "Solid", "colour_group_code": "09",
    "colour_group_name": "Black", "perceived_colour_value_id": "4", "perceived_colour_value_name": "Dark",
    "perceived_colour_master_id": "5", "perceived_colour_master_name": "Black", "department_no": "1676",
    "department_name": "Jersey Basic", "index_code": "A", "index_name": "Ladieswear", "index_group_no": "1",
    "index_group_name": "Ladieswear", "section_no": "16", "section_name": "Womens Everyday Basics",
    "garment_group_no": "1002", "garment_group_name": "Jersey Basic",
    "detail_desc": "Jersey top, with narrow shoulder straps.",
}  # fmt: skip


@pytest.fixture
def hm_directory(tmp_path: Path) -> Path:
    """Files in exactly the layout of Kaggle's, with its quirks: empty cells, leading zeros, quoted text."""
    write_csv(
        tmp_path / "customers.csv",
        [
            {"customer_id": "00000dba", "FN": "", "Active": "", "club_member_status": "ACTIVE",
             "fashion_news_frequency": "NONE", "age": "49", "postal_code": "52043ee2"},
            {"customer_id": "0000423b", "FN": "1.0", "Active": "1.0", "club_member_status": "",
             "fashion_news_frequency": "Regularly", "age": "", "postal_code": "2973abc5"},
        ],
    )  # fmt: skip
    other = {**ARTICLE, "article_id": "0108775044", "colour_group_name": "White", "detail_desc": ""}
    write_csv(tmp_path / "articles.csv", [ARTICLE, other])
    write_csv(
        tmp_path / "transactions_train.csv",
        [
            {"t_dat": day, "customer_id": customer, "article_id": article, "price": price, "sales_channel_id": channel}
            for day, customer, article, price, channel in [
                ("2018-09-20", "00000dba", "0108775015", "0.050830508474576264", 2),
                ("2018-09-20", "00000dba", "0108775015", "0.050830508474576264", 2),
                ("2018-09-22", "0000423b", "0108775044", "0.0169322033898", 1),
                ("2018-09-21", "0000423b", "0108775015", "0.03049", 1),
            ]
        ],
    )
    return tmp_path


@pytest.fixture
def tabular(tmp_path: Path) -> Source:
    file = write_csv(
        tmp_path / "sales.csv",
        [{"user": f"u{n % 7}", "sku": f"00{n % 5}", "when": 1_700_000_000 + n * 7919 % 100_000, "units": n % 4 - 1,
          "euro": "" if n % 3 == 0 else n / 10, "shop": n % 2} for n in range(200)],
    )  # fmt: skip
    (tmp_path / "map.toml").write_text(
        '[interactions]\ncustomer_id = "user"\nitem_id = "sku"\ntime = "when"\ntime_format = "s"\n'
        'type = "purchase"\nquantity = "units"\nprice = "euro"\ncontext = { store = "shop" }\n',
        encoding="utf-8",
    )
    return Tabular(file, tmp_path / "map.toml")


@pytest.fixture
def synthetic() -> Source:
    return Synthetic(Options(events=60_000, customers=300, items=400, days=30.0, seed=5))


@pytest.fixture
def hm(hm_directory: Path) -> Source:
    return HM(hm_directory)
