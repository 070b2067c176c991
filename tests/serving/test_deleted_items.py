"""What the online store remembers of deleted items is enough not to recommend them, on a real Redis."""

from __future__ import annotations

import uuid

import numpy as np

from feature_repo.catalogue import CatalogueItem
from feature_repo.online_store import CATALOGUE_VERSION, OnlineStore
from feature_repo.redis_commands import connect
from feature_repo.views import item_catalogue
from serving.deleted_items import DeletedItems
from serving.items_table import ItemsTable
from tests.serving.shop import SHOP


def test_only_the_deleted_are_withdrawn_and_each_is_looked_up_once(redis_url: str) -> None:
    store, layout = OnlineStore(connect(redis_url)), item_catalogue(SHOP)
    never, kept, deleted, returned = (f"{name}-{uuid.uuid4().hex}" for name in ("never", "kept", "deleted", "back"))
    ids = [kept, deleted, returned]
    columns = {"name": ids, "available": [True] * 3, "price": [1] * 3, "department": ["tea"] * 3}
    times = np.full(3, 1_000_000)
    store.write_rows(layout, ids, columns, times, [5] * 3, version_field=CATALOGUE_VERSION)
    store.delete_rows(layout, [deleted, returned], [6, 6], version_field=CATALOGUE_VERSION)
    table = ItemsTable(SHOP)
    table.ensure([never, kept, deleted])
    table.apply_catalogue({returned: CatalogueItem(returned)})
    look = DeletedItems(table, store, layout)
    assert look.withdraw() == 1
    available = dict(zip(table.catalogue.item_ids, table.catalogue.available.tolist(), strict=True))
    assert available == {never: True, kept: True, deleted: False, returned: True}
    assert look.withdraw() == 0
    store.client.close()
    table.ensure(["another"])
    assert look.withdraw() == 0
