"""What Feast knows of Headwater: entities, push sources, feature views, on-demand views and feature services.

Nothing on the way of an event or a request goes through Feast; it is the catalogue of the features, the way in for
whoever else wants to read or push them, and the yardstick that the fast store is tested against.
"""

import inspect
from collections.abc import Callable, Iterable
from datetime import timedelta
from pathlib import Path
from types import FunctionType
from typing import Any, cast

import pandas
import pyarrow as pa
import pyarrow.parquet as pq
from feast import Entity, FeatureService, FeatureView, Field, FileSource, PushSource, RequestSource
from feast import ValueType as FeastValueType
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.types import Bool, Bytes, FeastType, Float64, Int64, String

from feature_repo.on_demand import CUSTOMER_RFM, CUSTOMER_SESSION, ITEM_POPULARITY
from feature_repo.shop import Shop
from feature_repo.value_proto import ValueType
from feature_repo.views import (
    CUSTOMER,
    CUSTOMER_PROFILE,
    CUSTOMER_PURCHASES,
    ITEM,
    ITEM_CATALOGUE,
    ITEM_PURCHASES,
    ViewLayout,
    views,
)

EVENT_TIMESTAMP = "event_timestamp"
"""Column of the offline files with the event time."""

FEAST_TYPES: dict[ValueType, FeastType] = {
    ValueType.BYTES: Bytes,
    ValueType.STRING: String,
    ValueType.INT64: Int64,
    ValueType.DOUBLE: Float64,
    ValueType.BOOL: Bool,
}

ARROW_TYPES: dict[ValueType, pa.DataType] = {
    ValueType.BYTES: pa.binary(),
    ValueType.STRING: pa.string(),
    ValueType.INT64: pa.int64(),
    ValueType.DOUBLE: pa.float64(),
    ValueType.BOOL: pa.bool_(),
}


def offline_schema(layout: ViewLayout) -> pa.Schema:
    """Return the columns of a view's offline file: the join key, the features and the event time."""
    return pa.schema(
        [
            (layout.entity.join_key, pa.string()),
            *((name, ARROW_TYPES[kind]) for name, kind in layout.features),
            (EVENT_TIMESTAMP, pa.timestamp("us", tz="UTC")),
        ]
    )


def offline_path(offline: Path, layout: ViewLayout) -> Path:
    """Return where a view's offline file is."""
    return offline / "feast" / f"{layout.name}.parquet"


def ensure_offline_files(shop: Shop, offline: Path) -> None:
    """Create an empty offline file for each view that has none: Feast reads their schemas."""
    for layout in views(shop):
        path = offline_path(offline, layout)
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(offline_schema(layout).empty_table(), path)


def definitions(shop: Shop, offline: Path) -> list[Any]:
    """Return all of Feast's objects for a shop.

    Parameters
    ----------
    shop
        The profile that the views follow.
    offline
        Folder of the offline store.
    """
    entities = {
        entity: Entity(name=entity.name, join_keys=[entity.join_key], value_type=FeastValueType.STRING)
        for entity in (CUSTOMER, ITEM)
    }
    sources = {layout.name: _push_source(layout, offline) for layout in views(shop)}
    stored = {
        layout.name: FeatureView(
            name=layout.name,
            entities=[entities[layout.entity]],
            ttl=timedelta(0),  # state has no age: Feast's own TTL is not applied to online reads either
            schema=[
                Field(name=layout.entity.join_key, dtype=String),
                *(Field(name=name, dtype=FEAST_TYPES[kind]) for name, kind in layout.features),
            ],
            source=sources[layout.name],
            online=True,
        )
        for layout in views(shop)
    }
    as_of = RequestSource(name="instant", schema=[Field(name="as_of", dtype=Int64)])
    rfm_view = _on_demand_view(customer_rfm, CUSTOMER_RFM, [stored[CUSTOMER_PURCHASES], as_of])
    session_view = _on_demand_view(customer_session, CUSTOMER_SESSION, [stored[CUSTOMER_PURCHASES], as_of])
    popularity_view = _on_demand_view(item_popularity, ITEM_POPULARITY, [stored[ITEM_PURCHASES], as_of])
    customer: list[Any] = [stored[name] for name in (CUSTOMER_PURCHASES, CUSTOMER_PROFILE) if name in stored] + [
        rfm_view,
        session_view,
    ]
    item: list[Any] = [stored[ITEM_PURCHASES], stored[ITEM_CATALOGUE], popularity_view]
    services = [
        FeatureService(name="retrieval_v1", features=customer, description="What the query tower reads."),
        FeatureService(name="ranking_v1", features=customer + item, description="What the ranker reads."),
    ]
    return [*entities.values(), *sources.values(), *stored.values(), rfm_view, session_view, popularity_view, *services]


def _push_source(layout: ViewLayout, offline: Path) -> PushSource:
    path = offline_path(offline, layout)
    batch = FileSource(name=f"{layout.name}_file", path=str(path), timestamp_field=EVENT_TIMESTAMP)
    return PushSource(name=f"{layout.name}_push", batch_source=batch)


# Feast keeps an on-demand view as the text of its function and runs it with pandas at hand; the rest it imports.
# The mode is pandas because in Feast 0.67 the outputs of one in mode python get lost under full_feature_names.


def customer_rfm(inputs: "pandas.DataFrame") -> "pandas.DataFrame":
    """Recency, frequency and monetary value at the instant ``as_of``."""
    from feature_repo.on_demand import customer_rfm as kernel
    from feature_repo.shop import shop_from_environment

    return pandas.DataFrame(kernel(inputs, shop_from_environment().currency_exponent))


def customer_session(inputs: "pandas.DataFrame") -> "pandas.DataFrame":
    """Interactions and minutes of the customer's session at the instant ``as_of``."""
    from feature_repo.on_demand import customer_session as kernel

    return pandas.DataFrame(kernel(inputs))


def item_popularity(inputs: "pandas.DataFrame") -> "pandas.DataFrame":
    """Purchases of the last days, time-weighted ones, and the trend score of the minute, at ``as_of``."""
    from feature_repo.on_demand import item_popularity as kernel

    return pandas.DataFrame(kernel(inputs))


def _on_demand_view(function: Callable[..., Any], names: Iterable[str], sources: list[Any]) -> OnDemandFeatureView:
    return OnDemandFeatureView(
        name=function.__name__,
        sources=sources,
        schema=[Field(name=name, dtype=Float64) for name in names],
        mode="pandas",
        description=function.__doc__ or "",
        udf=cast(FunctionType, function),
        udf_string=inspect.getsource(function),
    )
