"""Gradient-boosted trees as one node of an ONNX graph: what LightGBM dumps, written down for onnxruntime."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

Attributes = dict[str, Any]

_NODE = ("treeids", "nodeids", "featureids", "modes", "values", "truenodeids", "falsenodeids")
_LEAF = ("target_treeids", "target_nodeids", "target_ids", "target_weights")


def tree_ensemble(dump: Mapping[str, Any]) -> Attributes:
    """The attributes of an `ai.onnx.ml` TreeEnsembleRegressor that computes what `Booster.dump_model()` describes.

    The node takes float32[n, features] and gives float32[n, 1], the raw score: the sum over the trees. Where a number
    is missing (NaN) it goes the way that LightGBM sends it.

    Raises ValueError on a split that is no comparison with a threshold (categorical ones), or on trees to which zero
    means missing.
    """
    out: Attributes = {f"nodes_{name}": [] for name in (*_NODE, "missing_value_tracks_true")}
    out |= {name: [] for name in _LEAF}
    for number, tree in enumerate(dump["tree_info"]):
        for place, node in enumerate(_numbered(tree["tree_structure"])):
            own = _split(node) if "threshold" in node else {"modes": "LEAF"}
            row = dict.fromkeys((*_NODE, "missing_value_tracks_true"), 0) | {"values": 0.0} | own
            for name, value in (row | {"treeids": number, "nodeids": place}).items():
                out[f"nodes_{name}"].append(value)
            if "threshold" not in node:
                leaf = (number, place, 0, float(np.float32(node["leaf_value"])))
                for name, value in zip(_LEAF, leaf, strict=True):
                    out[name].append(value)
    return out | {"n_targets": 1, "aggregate_function": "SUM", "post_transform": "NONE"}


def _numbered(root: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The nodes of a tree, each parent before its children, with the numbers of its children in `left` and `right`."""
    waiting, given = [root], 1
    for node in waiting:
        found = dict(node)
        if "threshold" in node:
            found |= {"left": given, "right": given + 1}
            given += 2
            waiting += [node["left_child"], node["right_child"]]
        yield found


def _split(node: Mapping[str, Any]) -> dict[str, Any]:
    if node["decision_type"] != "<=" or node["missing_type"] == "Zero":
        raise ValueError(
            f"split on feature {node['split_feature']}: {node['decision_type']!r} with missing values as "
            f"{node['missing_type']!r} has no ONNX form here; train on numbers, with zero_as_missing off"
        )
    threshold = float(node["threshold"])
    # Without a way of its own a missing number counts as zero.
    missing_left = node["default_left"] if node["missing_type"] == "NaN" else threshold >= 0
    return {
        "modes": "BRANCH_LEQ",
        "featureids": node["split_feature"],
        "values": float(_not_above(threshold)),
        "truenodeids": node["left"],
        "falsenodeids": node["right"],
        "missing_value_tracks_true": int(missing_left),
    }


def _not_above(threshold: float) -> np.float32:
    """The largest float32 that is not above a threshold: it parts float32 values as the threshold does."""
    largest = float(np.finfo(np.float32).max)
    near = np.float32(min(max(threshold, -largest), largest))
    return near if float(near) <= threshold else np.nextafter(near, np.float32(-np.inf))
