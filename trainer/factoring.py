"""Factoring an exported DLRM: what all rows of a request share is computed once a request, not once a candidate.

The rows of one request differ in the item; customer and circumstances are the same in all of them. Their embeddings,
the dot products among these, and what the first layer makes of them, are two fifths of the network's time. The graph
finds out by itself which rows share them, by looking where they change from one row to the next, so that its inputs
and its output stay as they are, and rows may come in any order: the better they are sorted, the less is computed.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from trainer.onnx_graph import Graph


def factored(model: Any, shared: Collection[int]) -> Any:
    """The same model, its shared columns handled once a run of rows; unchanged where it is no fused DLRM.

    shared: columns of `categorical` that are the same in all rows of a request.
    """
    graph = Graph(model, "factored")
    found = _Interaction.of(graph, frozenset(shared))
    if found is None:
        return model
    _Factoring(graph, found).write()
    return graph.finished()


@dataclass(frozen=True)
class _Interaction:
    """DLRM's dot products as `trainer.fusion` leaves them, and the layer that takes them.

    Attributes
    ----------
    codes, places
        The matrix of codes, and int64[k], which of its columns are looked up.
    limits, shifts
        int32[k]: rows of each column's table, and where it begins among all tables.
    table, beyond
        All tables, one behind the other, and a row that none of them has.
    dense, stacked
        What the bottom network makes of the numbers, float32[n, d], and the same as float32[n, 1, d].
    weights, bias, end
        Of the first layer, which takes the dense numbers and all k + 1 vectors' products; `end` is its last step. A
        bias of zeros is none: the converter leaves it out.
    own, shared
        Positions among the k vectors.
    """

    codes: str
    places: NDArray[np.int64]
    limits: NDArray[np.int32]
    shifts: NDArray[np.int32]
    table: str
    beyond: str
    dense: str
    stacked: str
    weights: NDArray[np.float32]
    bias: str | None
    end: Any
    own: NDArray[np.int64]
    shared: NDArray[np.int64]

    @classmethod
    def of(cls, graph: Graph, columns: frozenset[int]) -> _Interaction | None:
        products = [node for node in graph.nodes if node.op_type == "MatMul"]
        return next((found for node in products if (found := cls._at(graph, node, columns)) is not None), None)

    @classmethod
    def _at(cls, graph: Graph, product: Any, columns: frozenset[int]) -> _Interaction | None:
        vectors, turned = graph.maker(product.input[0], "Concat"), graph.maker(product.input[1], "Transpose")
        if vectors is None or turned is None or turned.input[0] != product.input[0] or len(vectors.input) != 2:
            return None
        lookup: Any = graph.maker(vectors.input[0], "Gather")
        rows: Any = None if lookup is None else graph.maker(lookup.input[1], "Where")
        inside: Any = None if rows is None else graph.maker(rows.input[0], "Less")
        moved: Any = None if rows is None else graph.maker(rows.input[1], "Add")
        codes: Any = None if inside is None else graph.maker(inside.input[0], "Gather")
        flat: Any = graph.user(product.output[0], "Reshape")
        numbers: Any = None if flat is None else graph.user(flat.output[0], "Concat")
        layer: Any = None if numbers is None else graph.user(numbers.output[0], "MatMul")
        if moved is None or codes is None or layer is None or len(numbers.input) != 2:
            return None
        places, limits = graph.constant(codes.input[1]), graph.constant(inside.input[1])
        shifts, weights = graph.constant(moved.input[1]), graph.constant(layer.input[1])
        if places is None or limits is None or shifts is None or weights is None:
            return None
        shared = np.isin(places, list(columns))
        if not shared.any() or shared.all() or len(weights) <= (len(places) + 1) ** 2:
            return None
        added = graph.user(layer.output[0], "Add")
        bias = None if added is None else added.input[1 if added.input[0] == layer.output[0] else 0]
        constant = bias is not None and graph.constant(bias) is not None
        return cls(
            codes=codes.input[0],
            places=places,
            limits=limits,
            shifts=shifts,
            table=lookup.input[0],
            beyond=rows.input[2],
            dense=numbers.input[0],
            stacked=vectors.input[1],
            weights=weights,
            bias=bias if constant else None,
            end=added if constant else layer,
            own=np.flatnonzero(~shared),
            shared=np.flatnonzero(shared),
        )


class _Factoring:
    """Writes the factored steps before the last one of those that they stand in for."""

    def __init__(self, graph: Graph, found: _Interaction) -> None:
        self._graph, self._found = graph, found
        self._vectors = len(found.places) + 1
        self._dense = len(found.weights) - self._vectors**2
        self._grid = found.weights[self._dense :].reshape(self._vectors, self._vectors, -1)

    def write(self) -> None:
        found = self._found
        codes = self._add("Gather", found.codes, self._keep(found.places[found.shared]), axis=1)
        run, first = self._runs(codes)
        theirs = self._looked_up(self._add("Gather", codes, first, axis=0), found.shared)
        across = self._add("Transpose", theirs, perm=[0, 2, 1])
        answer = self._row_by_row(run, across, self._once_a_run(theirs, across))
        self._graph.replace(found.end.output[0], answer)

    def _runs(self, codes: str) -> tuple[str, str]:
        """int32[n], the run that each row belongs to, and int64[m], the first row of each run."""
        start, one, last = self._numbers(0), self._numbers(1), self._numbers(-1)
        first = self._add("Slice", codes, start, one, start)
        before = self._add("Concat", first, self._add("Slice", codes, start, last, start), axis=0)
        same = self._add("Cast", self._add("Equal", codes, before), to=onnx.TensorProto.INT32)
        whole = self._add("ReduceMin", same, axes=[1], keepdims=0)
        run = self._add("CumSum", self._add("Sub", self._keep(np.ones(1, np.int32)), whole), self._keep(np.array(0)))
        none = self._keep(np.full(1, -1, np.int32))
        previous = self._add("Concat", none, self._add("Slice", run, start, last, start), axis=0)
        begins = self._add("Not", self._add("Equal", run, previous))
        return run, self._add("Reshape", self._add("NonZero", begins), last)

    def _once_a_run(self, theirs: str, across: str) -> str:
        """float32[m, h]: what the shared vectors' products with each other add to the first layer, and its bias."""
        shared, bias = self._found.shared, self._found.bias
        among = self._add("Reshape", self._add("MatMul", theirs, across), self._numbers(-1, len(shared) ** 2))
        added = self._add("MatMul", among, self._keep(_flat(self._grid[np.ix_(shared, shared)])))
        return added if bias is None else self._add("Add", added, bias)

    def _row_by_row(self, run: str, across: str, once: str) -> str:
        """float32[n, h]: the first layer, from products of each row's own vectors with each other and the shared."""
        found, grid = self._found, self._grid
        codes = self._add("Gather", found.codes, self._keep(found.places[found.own]), axis=1)
        vectors = self._add("Concat", self._looked_up(codes, found.own), found.stacked, axis=1)
        own_across = self._add("Transpose", vectors, perm=[0, 2, 1])
        partners = self._add("Concat", self._add("Gather", across, run, axis=0), own_across, axis=2)
        own, shared = np.append(found.own, self._vectors - 1), found.shared
        products = self._add("MatMul", vectors, partners)
        flat = self._add("Reshape", products, self._numbers(-1, len(own) * self._vectors))
        # A pair of an own and a shared vector stands at one of two places of the grid.
        with_shared = grid[np.ix_(own, shared)] + grid[np.ix_(shared, own)].transpose(1, 0, 2)
        weights = _flat(np.concatenate([with_shared, grid[np.ix_(own, own)]], axis=1))
        layer = self._keep(np.concatenate([found.weights[: self._dense], weights]))
        numbers = self._add("Concat", found.dense, flat, axis=1)
        return self._add("Gemm", numbers, layer, self._add("Gather", once, run, axis=0))

    def _looked_up(self, codes: str, which: NDArray[np.int64]) -> str:
        """float32[rows, len(which), d]; a code beyond its own table is refused, as before."""
        found = self._found
        inside = self._add("Less", codes, self._keep(found.limits[which]))
        moved = self._add("Add", codes, self._keep(found.shifts[which]))
        return self._add("Gather", found.table, self._add("Where", inside, moved, found.beyond), axis=0)

    def _add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        return self._graph.add(self._found.end, operator, inputs, **attributes)

    def _keep(self, value: NDArray[Any]) -> str:
        return self._graph.keep(value)

    def _numbers(self, *values: int) -> str:
        return self._keep(np.array(values, np.int64))


def _flat(grid: NDArray[np.float32]) -> NDArray[np.float32]:
    """float32[a * b, h] of float32[a, b, h]."""
    return grid.reshape(-1, grid.shape[-1])
