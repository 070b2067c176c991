"""H&M's fashion purchases in the layout of its Kaggle competition: three CSV files in one directory.

`customers.csv`, `articles.csv` and `transactions_train.csv`. A row of the latter is a purchase of one article; its
time is a day, taken as midnight UTC, and its price is the competition's, scaled to between 0 and 1.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from streams.contracts.events import Customer, InteractionType, Item
from streams.sources.source import SCHEMA, Source, cut, joined, json_objects
from streams.sources.text_table import file_fingerprint, read_columns, stream_columns

ITEM_ATTRIBUTES = (
    "product_code",
    "product_type_name",
    "product_group_name",
    "graphical_appearance_name",
    "colour_group_name",
    "perceived_colour_value_name",
    "perceived_colour_master_name",
    "department_name",
    "index_name",
    "index_group_name",
    "section_name",
    "garment_group_name",
)
CUSTOMER_ATTRIBUTES = ("age", "club_member_status", "fashion_news_frequency", "postal_code", "FN", "Active")

_COLUMNS = ["t_dat", "customer_id", "article_id", "price", "sales_channel_id"]
_TEXT = ["t_dat", "customer_id", "article_id", "sales_channel_id"]
_IN_MEMORY = 512 * 2**20
_BLOCK = 16 * 2**20


class HM(Source):
    """The competition's files in `directory`.

    Small transaction files may be in any order; those above 512 MB are streamed and must be in order of `t_dat`, as
    Kaggle's is.

    Raises
    ------
    FileNotFoundError: a file is missing; names it.
    """

    name = "hm"

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self._customers = directory / "customers.csv"
        self._articles = directory / "articles.csv"
        self._transactions = directory / "transactions_train.csv"
        missing = [p.name for p in (self._customers, self._articles, self._transactions) if not p.exists()]
        if missing:
            raise FileNotFoundError(
                f"hm: {directory} lacks {', '.join(missing)}; get them from the Kaggle competition "
                f"'h-and-m-personalized-fashion-recommendations'"
            )

    def fingerprint(self) -> str:
        """Of the transactions file."""
        return file_fingerprint(self._transactions)

    def customers(self) -> Iterator[Customer]:
        """Rows of customers.csv."""
        names = ["customer_id", *CUSTOMER_ATTRIBUTES]
        for batch in read_columns(self._customers, names, text=names).to_batches():
            for row in batch.to_pylist():
                yield Customer(customer_id=row["customer_id"], attributes=_attributes(row, CUSTOMER_ATTRIBUTES))

    def items(self) -> Iterator[Item]:
        """Rows of articles.csv; they have no price."""
        names = ["article_id", "prod_name", "detail_desc", *ITEM_ATTRIBUTES]
        for batch in read_columns(self._articles, names, text=names).to_batches():
            for row in batch.to_pylist():
                yield Item(
                    item_id=row["article_id"],
                    name=row["prod_name"] or "",
                    attributes=_attributes(row, ITEM_ATTRIBUTES),
                    description=row["detail_desc"] or "",
                )

    def chunks(self, start: int | None = None, stop: int | None = None) -> Iterator[pa.Table]:
        """Purchases, one unit each."""
        for table in self._purchases():
            if stop is not None and table["time"][0].as_py() >= stop:
                return
            yield from cut(table, start, stop)

    def _purchases(self) -> Iterator[pa.Table]:
        if self._transactions.stat().st_size <= _IN_MEMORY:
            table = _purchases(read_columns(self._transactions, _COLUMNS, _TEXT), 0)
            if table.num_rows:
                yield table.take(pa.array(np.argsort(np.asarray(table["time"]), kind="stable")))
            return
        row, newest = 0, -(2**62)
        for raw in stream_columns(self._transactions, _COLUMNS, _TEXT, _BLOCK):
            table = _purchases(raw, row)
            times = np.asarray(table["time"])
            if times[0] < newest or (np.diff(times) < 0).any():
                raise ValueError(
                    f"{self._transactions}: rows {row + 1} to {row + len(times)} are not in order of t_dat; "
                    f"sort the file by it (sort -s -t, -k1,1)"
                )
            yield table
            row, newest = row + len(times), int(times[-1])


def _purchases(raw: pa.Table, first_row: int) -> pa.Table:
    """Raw rows as a table of `SCHEMA`, in the same order."""
    n = raw.num_rows
    rows = pa.array(np.arange(first_row, first_row + n)).cast(pa.string())
    days = pc.strptime(raw["t_dat"], format="%Y-%m-%d", unit="s").cast(pa.timestamp("us"))
    return pa.table(
        [
            joined(pa.scalar("hm"), raw["t_dat"], rows),
            raw["customer_id"],
            raw["article_id"],
            pa.repeat(pa.scalar(InteractionType.PURCHASE.value), n),
            days.cast(pa.int64()),
            pa.array(np.ones(n, dtype=np.int32)),
            raw["price"].cast(pa.float64()),
            pa.nulls(n, pa.float64()),
            pa.nulls(n, pa.string()),
            json_objects({"channel": raw["sales_channel_id"]}, n),
        ],
        schema=SCHEMA,
    )


def _attributes(row: dict[str, str | None], names: tuple[str, ...]) -> dict[str, str]:
    return {name: value for name in names if (value := row[name]) is not None}
