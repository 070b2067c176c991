"""JSON Merge Patch (RFC 7396): a part of a record says what is to change, null what is to go."""

from __future__ import annotations

from typing import Any


def merged(target: Any, patch: Any) -> Any:
    """Return the target with the patch applied; neither is changed.

    >>> merged({"price": 2.49, "attributes": {"brand": "Own"}}, {"price": None, "attributes": {"size": "L"}})
    {'attributes': {'brand': 'Own', 'size': 'L'}}
    """
    if not isinstance(patch, dict):
        return patch
    found = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            found.pop(name, None)
        else:
            found[name] = merged(found.get(name), value)
    return found
