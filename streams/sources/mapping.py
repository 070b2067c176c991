"""A mapping file: how a shop's own table becomes interactions, items and customers. See docs/sources.md."""

import tomllib
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from streams.contracts.events import InteractionType
from streams.sources.text_table import CsvFormat

Text = Annotated[str, Meta(min_length=1)]
Letter = Annotated[str, Meta(min_length=1, max_length=1)]


class File(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How a CSV is written.

    Attributes
    ----------
    delimiter: between cells.
    decimal_point: of numbers, "." or ",".
    encoding: such as "utf-8" or "latin-1".
    """

    delimiter: Letter = ","
    decimal_point: Letter = "."
    encoding: Text = "utf-8"

    @property
    def form(self) -> CsvFormat:
        """The same for the reader."""
        return CsvFormat(self.delimiter, self.decimal_point, self.encoding)


class Interactions(File, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which column is what. Values are column names unless said otherwise.

    Attributes
    ----------
    time_format: "iso" (RFC 3339 and its relatives), "s", "ms" or "us" since 1970, or a strptime pattern.
    time_zone: of times that don't name one, an IANA name.
    type: one type for every row. Either this or `type_column`.
    type_column: column that says what happened; `types` translates its values, others are left out and counted.
    event_id: column; without it ids are made of the file's name and the row's number.
    context: columns that become the event's context, as a list, or as a table of name = "column".
    negative_quantity: what a purchase of less than 0 units is: "return" or "skip".
    """

    customer_id: Text
    item_id: Text
    time: Text
    time_format: Text = "iso"
    time_zone: Text = "UTC"
    type: InteractionType | None = None
    type_column: Text | None = None
    types: dict[str, InteractionType] = {}
    event_id: Text | None = None
    quantity: Text | None = None
    price: Text | None = None
    line_total: Text | None = None
    rating: Text | None = None
    session_id: Text | None = None
    context: dict[str, str] | list[str] = {}
    negative_quantity: Annotated[str, Meta(pattern="^(return|skip)$")] = "return"


class Items(File, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The catalogue, in a file of its own. `attributes` as `context` above."""

    file: Text
    item_id: Text
    name: Text | None = None
    price: Text | None = None
    description: Text | None = None
    attributes: dict[str, str] | list[str] = {}


class Customers(File, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The customers, in a file of their own."""

    file: Text
    customer_id: Text
    attributes: dict[str, str] | list[str] = {}


class Mapping(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A whole mapping file: one table [interactions] and, if there are such files, [items] and [customers]."""

    interactions: Interactions
    items: Items | None = None
    customers: Customers | None = None


class MappingError(ValueError):
    """A mapping file that doesn't fit; names the file, the key and the column."""


def load_mapping(path: Path) -> Mapping:
    """Read a mapping file.

    Raises
    ------
    FileNotFoundError: no such file.
    MappingError: not TOML, an unknown or missing key, or a value of the wrong kind.
    """
    if not path.exists():
        raise FileNotFoundError(f"no mapping file {path}")
    try:
        mapping = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), Mapping)
    except tomllib.TOMLDecodeError as error:
        raise MappingError(f"{path} is not TOML: {error}") from error
    except msgspec.ValidationError as error:
        raise MappingError(f"{path}: {error}") from error
    rows = mapping.interactions
    if (rows.type is None) == (rows.type_column is None):
        raise MappingError(
            f'{path}: [interactions] needs either type = "purchase" (one type for all rows) or type_column = '
            f'"…" with a table [interactions.types]'
        )
    if rows.price is not None and rows.line_total is not None:
        raise MappingError(f"{path}: [interactions] takes price (of one unit) or line_total, not both")
    return mapping


def named(columns: dict[str, str] | list[str]) -> dict[str, str]:
    """Attribute or context name -> column; a list names both at once."""
    return columns if isinstance(columns, dict) else {name: name for name in columns}


def require(path: Path, table: str, wanted: dict[str, str], present: list[str], file: Path) -> None:
    """Check that the columns that a mapping's keys name exist.

    Parameters
    ----------
    wanted: key -> column.

    Raises
    ------
    MappingError: names the key, the column and the columns that there are.
    """
    for key, column in wanted.items():
        if column not in present:
            raise MappingError(
                f"{path}: {table}.{key} names column {column!r}, but {file.name} has: {', '.join(present)}"
            )
