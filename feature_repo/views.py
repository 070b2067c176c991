"""The feature views: what features of which type an entity has, for Feast and the fast store alike."""

from dataclasses import dataclass

from feature_repo.shop import Shop
from feature_repo.value_proto import ValueType

CUSTOMER_PURCHASES = "customer_purchases"
CUSTOMER_PROFILE = "customer_profile"
ITEM_PURCHASES = "item_purchases"
ITEM_CATALOGUE = "item_catalogue"


@dataclass(frozen=True)
class Entity:
    """What features are about: a name and the one string column that identifies it."""

    name: str
    join_key: str


CUSTOMER = Entity("customer", "customer_id")
ITEM = Entity("item", "item_id")


@dataclass(frozen=True)
class ViewLayout:
    """One feature view: its name, its entity and its features in a fixed order."""

    name: str
    entity: Entity
    features: tuple[tuple[str, ValueType], ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the features, in order."""
        return tuple(name for name, _ in self.features)

    def type_of(self, feature: str) -> ValueType:
        """Return a feature's type.

        Raises
        ------
        KeyError
            When the view has no such feature; names those it has.
        """
        for name, kind in self.features:
            if name == feature:
                return kind
        raise KeyError(f"view {self.name!r} has no feature {feature!r}; it has {', '.join(self.names)}")


def customer_purchases(shop: Shop) -> ViewLayout:
    """Sums, preferences and the packed history of a customer.

    Times are microseconds since the epoch, spend is in minor units, ``history`` is ``PURCHASE[]`` and
    ``recent`` is ``RECENT[]``.
    """
    numbers = ("purchases", "quantity", "spend", "shopping_days", "first_purchase_at", "last_purchase_at")
    attributes = shop.preference_attributes
    strings = (*(f"most_purchased_{a}" for a in attributes), *(f"last_purchased_{a}" for a in attributes))
    return ViewLayout(
        CUSTOMER_PURCHASES,
        CUSTOMER,
        (
            *((name, ValueType.INT64) for name in numbers),
            *((name, ValueType.STRING) for name in strings),
            ("history", ValueType.BYTES),
            ("recent", ValueType.BYTES),
        ),
    )


def customer_profile(shop: Shop) -> ViewLayout:
    """What the shop tells about a customer."""
    return ViewLayout(CUSTOMER_PROFILE, CUSTOMER, tuple((name, ValueType.STRING) for name in shop.customer_attributes))


def item_purchases(shop: Shop) -> ViewLayout:
    """Sums over an item's purchases, ``daily``, the ring of day counts (64 int32, place = UTC day % 64), and ``hot``,
    the ring of weighted interactions by 5-minute slot (32 int32, place = slot % 32).
    """
    numbers = ("purchases", "quantity", "spend", "buyers", "repeats", "newest_day", "hot_slot")
    return ViewLayout(
        ITEM_PURCHASES,
        ITEM,
        (*((name, ValueType.INT64) for name in numbers), ("daily", ValueType.BYTES), ("hot", ValueType.BYTES)),
    )


def item_catalogue(shop: Shop) -> ViewLayout:
    """What the shop tells about an item; the price is in minor units, -1 if unknown."""
    return ViewLayout(
        ITEM_CATALOGUE,
        ITEM,
        (
            ("name", ValueType.STRING),
            ("available", ValueType.BOOL),
            ("price", ValueType.INT64),
            *((name, ValueType.STRING) for name in shop.item_attributes),
        ),
    )


def views(shop: Shop) -> tuple[ViewLayout, ...]:
    """Return the views of a shop; one without features (a shop without customer attributes) is left out.

    Raises
    ------
    ValueError
        When two features of a view have one name: an attribute is called like a built-in feature.
    """
    makers = (customer_purchases, customer_profile, item_purchases, item_catalogue)
    found = tuple(view for view in (make(shop) for make in makers) if view.features)
    for view in found:
        twice = sorted({name for name in view.names if view.names.count(name) > 1})
        if twice:
            raise ValueError(f"shop {shop.name!r}: view {view.name!r} has {twice} twice; rename the attribute")
    return found
