from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from streams.sources.complete_journey import CompleteJourney, readable


def test_the_whole_year_is_there() -> None:
    source = CompleteJourney()
    table = source.interactions_table()
    assert table.num_rows == 1_469_307
    frame = table.select(["customer_id", "item_id", "event_id", "amount", "quantity"]).to_pandas()
    assert frame.customer_id.nunique() == 2_469
    assert frame.item_id.nunique() == 68_509
    assert frame.event_id.is_unique
    assert (frame.quantity >= 1).all()
    assert int((frame.amount == -1).sum()) == 11_226
    # Cents are whole: what was paid comes back exactly from the unit price.
    paid = np.asarray(pq.read_table(source._directory / "transactions.parquet", columns=["sales_value"])["sales_value"])
    cents = np.rint(paid * 100).astype(np.int64)
    assert np.array_equal(np.where(paid == 0, -1, cents), frame.amount.to_numpy())


def test_catalogue_and_households() -> None:
    source = CompleteJourney()
    items = list(source.items())
    assert len(items) == 92_331 + 17
    first = items[0]
    assert (first.item_id, first.name) == ("25671", "Ice - Crushed/Cubed, 22 LB")
    assert first.attributes["department"] == "GROCERY"
    customers = {c.customer_id: c for c in source.customers()}
    assert len(customers) == 2_469
    assert sum(bool(c.attributes) for c in customers.values()) == 801
    assert customers["1"].attributes["household_comp"] == "2 Adults No Kids"


def test_names_read_well() -> None:
    assert readable({"product_type": "CHILDREN'S  CEREAL", "package_size": "12    OZ"}) == "Children's  Cereal, 12 OZ"
    assert readable({"product_category": "BREAD", "product_id": 4}) == "Bread"
    assert readable({"product_id": 4}) == "Product 4"


def test_a_directory_without_the_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"transactions\.parquet"):
        CompleteJourney(tmp_path)
