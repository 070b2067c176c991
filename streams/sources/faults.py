"""What makes a row of a table unusable: the checks of the codec, on whole columns."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from streams.contracts.codec import LIMITS, Limits
from streams.sources.instants import MISSING

Mask = npt.NDArray[np.bool_]


def faults(table: pa.Table, limits: Limits = LIMITS) -> dict[str, Mask]:
    """Reason -> bool[n], which rows of a table of `streams.sources.source.SCHEMA` it is true of."""
    time = _numbers(table["time"])
    quantity = _numbers(table["quantity"])
    price = _numbers(table["price"])
    amount = price * quantity * 10.0**limits.currency_exponent
    kind = table["type"]
    rating = _numbers(table["rating"])
    rated = np.asarray(pc.equal(kind, "rating"))
    return {
        "no customer": _blank(table["customer_id"]),
        "no item": _blank(table["item_id"]),
        "no time": time == MISSING,
        "type without a translation": _blank(kind),
        "bad id": _bad_id(table["event_id"]) | _bad_id(table["customer_id"]) | _bad_id(table["item_id"]),
        "absurd time": time < limits.earliest,
        "absurd quantity": (quantity < 1) | (quantity > limits.max_quantity),
        "absurd price": (price > limits.max_price) | (amount > 2**31 - 1),
        "absurd rating": (rating < limits.min_rating) | (rating > limits.max_rating),
        "no rating": rated & np.isnan(rating),
    }


def _numbers(column: pa.ChunkedArray) -> npt.NDArray[Any]:
    if column.null_count:
        column = pc.fill_null(column.cast(pa.float64()), np.nan)
    return np.asarray(column)


def _blank(column: pa.ChunkedArray) -> Mask:
    return np.asarray(pc.equal(pc.fill_null(column, ""), ""))


def _bad_id(column: pa.ChunkedArray) -> Mask:
    text = pc.fill_null(column, "")
    return np.asarray(pc.or_(pc.greater(pc.utf8_length(text), 128), pc.invert(pc.utf8_is_printable(text))))
