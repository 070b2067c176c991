"""What was read of entities: raw fields, decoded a column at a time and only where asked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from feature_repo.entity_key import feature_field, timestamp_field
from feature_repo.value_proto import Value, ValueType, decode, decode_int64, decode_strings, decode_timestamp
from feature_repo.views import Entity, ViewLayout


@dataclass(frozen=True)
class Selection:
    """Which fields to read of an entity; made once, used for every read.

    Attributes
    ----------
    layouts
        Views of one entity.
    features
        Per view the features to read; a view that is not named is read whole.
    extra
        Names of Headwater's own fields.
    """

    layouts: tuple[ViewLayout, ...]
    features: Mapping[str, Sequence[str]]
    extra: tuple[str, ...]

    @classmethod
    def of(
        cls,
        *layouts: ViewLayout,
        features: Mapping[str, Sequence[str]] | None = None,
        extra: Sequence[str] = (),
    ) -> "Selection":
        """Select views, all features of each unless ``features`` names some.

        Raises
        ------
        ValueError
            When the views are not of one entity.
        KeyError
            When a view has no such feature.
        """
        if len({layout.entity for layout in layouts}) != 1:
            raise ValueError(f"views {[layout.name for layout in layouts]} must be of one entity to be read together")
        chosen = {layout.name: tuple((features or {}).get(layout.name, layout.names)) for layout in layouts}
        for layout in layouts:
            for name in chosen[layout.name]:
                layout.type_of(name)
        return cls(layouts, chosen, tuple(extra))

    @property
    def entity(self) -> Entity:
        """The entity that all views are about."""
        return self.layouts[0].entity

    @cached_property
    def fields(self) -> tuple[bytes, ...]:
        """Names of the Redis fields, in reading order."""
        names: list[bytes] = []
        for layout in self.layouts:
            names.extend(feature_field(layout.name, name) for name in self.features[layout.name])
            names.append(timestamp_field(layout.name))
        return (*names, *(name.encode() for name in self.extra))

    @cached_property
    def _positions(self) -> dict[tuple[str, str], tuple[int, ValueType]]:
        found: dict[tuple[str, str], tuple[int, ValueType]] = {}
        at = 0
        for layout in self.layouts:
            for name in self.features[layout.name]:
                found[layout.name, name] = at, layout.type_of(name)
                at += 1
            found[layout.name, "_ts"] = at, ValueType.INT64
            at += 1
        for name in self.extra:
            found["", name] = at, ValueType.BYTES
            at += 1
        return found

    def position(self, view: str, feature: str) -> tuple[int, ValueType]:
        """Return where a feature is in ``fields``, and its type.

        Raises
        ------
        KeyError
            When it was not selected.
        """
        try:
            return self._positions[view, feature]
        except KeyError:
            raise KeyError(f"{view}:{feature} was not selected; selected are {sorted(self._positions)}") from None

    def places(self, view: str, features: tuple[str, ...]) -> list[int]:
        """Return where some features of a view are in ``fields``; raises KeyError when one was not selected."""
        known = self._places.get((view, features))
        if known is None:
            known = self._places[view, features] = [self.position(view, feature)[0] for feature in features]
        return known

    @cached_property
    def _places(self) -> dict[tuple[str, tuple[str, ...]], list[int]]:
        return {}


class Rows:
    """Raw fields of ``n`` entities and their decoded columns.

    Parameters
    ----------
    selection
        What was read.
    raw
        ``[n][len(selection.fields)]`` bytes, ``None`` for a field that is not there.
    """

    def __init__(self, selection: Selection, raw: Sequence[Sequence[bytes | None]]) -> None:
        self.selection = selection
        self.raw = raw

    def __len__(self) -> int:
        return len(self.raw)

    @property
    def present(self) -> npt.NDArray[np.bool_]:
        """``bool[n]``: whether the entity has any of the selected views or fields."""
        return np.array([any(value is not None for value in row) for row in self.raw], dtype=np.bool_)

    def _column(self, view: str, feature: str) -> tuple[Sequence[bytes | None], ValueType]:
        at, kind = self.selection.position(view, feature)
        return self._columns[at], kind

    @cached_property
    def _columns(self) -> list[tuple[bytes | None, ...]]:
        return list(zip(*self.raw, strict=True)) or [()] * len(self.selection.fields)

    def event_times(self, view: str) -> npt.NDArray[np.int64]:
        """Return ``int64[n]``: a view's event times in microseconds since the epoch, -1 if there is no row."""
        stored, _ = self._column(view, "_ts")
        return np.array([decode_timestamp(data) for data in stored], dtype=np.int64)

    def values(self, view: str, feature: str) -> list[Value]:
        """Return a feature's values, ``None`` where there is none."""
        stored, kind = self._column(view, feature)
        return decode(kind, stored)

    def int64(self, view: str, feature: str, missing: int = 0) -> npt.NDArray[np.int64]:
        """Return an INT64 feature as ``int64[n]``, ``missing`` where there is no value."""
        return decode_int64(self._column(view, feature)[0], missing)

    def int64s(self, view: str, features: Sequence[str]) -> dict[str, npt.NDArray[np.int64]]:
        """Return INT64 features by name, ``int64[n]`` each, 0 where there is no value; all decoded in one go."""
        found = decode_int64(self._joined(view, features)).reshape(len(features), len(self))
        return dict(zip(features, found, strict=True))

    def strings(self, view: str, feature: str) -> list[str]:
        """Return a STRING feature, ``""`` where there is no value."""
        return decode_strings(self._column(view, feature)[0])

    def texts(self, view: str, features: Sequence[str]) -> dict[str, npt.NDArray[np.object_]]:
        """Return STRING features by name, ``object[n]`` each, ``""`` where there is no value; decoded in one go."""
        found = np.array(decode_strings(self._joined(view, features)), dtype=object)
        return dict(zip(features, found.reshape(len(features), len(self)), strict=True))

    def _joined(self, view: str, features: Sequence[str]) -> list[bytes | None]:
        """Return the columns of some features of a view, one behind the other."""
        columns = self._columns
        return [data for place in self.selection.places(view, tuple(features)) for data in columns[place]]

    def blobs(self, view: str, feature: str) -> list[bytes]:
        """Return a BYTES feature, ``b""`` where there is no value."""
        return [value if isinstance(value, bytes) else b"" for value in self.values(view, feature)]

    def own_field(self, field: str) -> list[bytes | None]:
        """Return one of Headwater's own fields as it is stored, ``None`` where it is not."""
        return list(self._column("", field)[0])

    def versions(self, field: str, missing: int = -2) -> npt.NDArray[np.int64]:
        """Return a version field as ``int64[n]``, ``missing`` where there is none."""
        stored = self.own_field(field)
        return np.array([missing if data is None else int(data) for data in stored], dtype=np.int64)
