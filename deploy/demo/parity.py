"""What the stream wrote, held against an independent computation in SQL."""

from deploy.demo.report import Features
from deploy.demo.world import World
from feature_repo.catalogue import CatalogueItem
from feature_repo.online_store import OnlineStore
from feature_repo.redis_commands import connect
from tests.parity.oracle.check import check_features
from tests.parity.oracle.stored import customer_reader, item_reader


def check(world: World) -> Features:
    """Compare every stored column of every customer and item with the oracle's."""
    store = OnlineStore(connect(world.settings.redis_url))
    exponent, shop = world.shop.currency_exponent, world.shop
    items = {
        item.item_id: CatalogueItem(
            item.item_id,
            price=-1 if item.price is None else round(item.price * 10**exponent),
            attributes=item.attributes,
        )
        for item in world.source.items()
    }
    as_of = world.last_event_at
    found = check_features(
        shop, world.site.state / "offline", items.values(),
        customer_reader(store, shop, as_of), item_reader(store, shop, items, as_of), as_of,
    )  # fmt: skip
    return Features(checked=found.checked, mismatched=found.mismatched, examples=[str(m) for m in found.worst[:10]])
