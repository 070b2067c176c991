"""Fusing an exported graph: the same function in fewer and larger steps.

The converter leaves what Merlin does column by column: a slice and a lookup for each, a mask worked out anew in every
run, its entries picked one by one. Each rewriting below leaves a graph alone that does not have its pattern; that the
function is the same is for the caller to check.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import numpy_helper

from trainer.onnx_graph import Graph

_BATCHES = (1, 2, 5)
"""Sizes of batch for which a part must be the same to count as a constant."""

_TO_THE_END = 2**31 - 1
"""The least end of a slice that means no end."""


def fuse(model: Any) -> Any:
    """The same model in fewer steps; inputs and outputs keep their names and shapes."""
    model = _without_shapes(model)
    graph = Graph(model)
    for node in list(graph.nodes):
        if node.op_type == "Concat" and graph.axis(node) == 1:
            _fuse_inputs(graph, node)
    for node in list(graph.nodes):
        if node.op_type == "Gather":
            _fold_choice(graph, node)
    return graph.finished()


@dataclass(frozen=True)
class _Column:
    """One column of an input matrix, as float32[n, 1] or as whole numbers."""

    matrix: str
    place: int


@dataclass(frozen=True)
class _Lookup:
    """One column's codes looked up in a table float32[rows, d]: float32[n, d], or float32[n, 1, d] if stacked."""

    column: _Column
    table: str


def _column(graph: Graph, name: str) -> _Column | None:
    node = graph.maker(name, "Slice")
    if node is None or node.input[0] not in graph.inputs:
        return None
    starts, ends, axes, *steps = [graph.constant(each) for each in node.input[1:]]
    if starts is None or ends is None or axes is None or steps:
        return None
    bounds = dict(zip(axes.tolist(), zip(starts.tolist(), ends.tolist(), strict=True), strict=True))
    start, end = bounds.pop(1, (0, 0))
    whole = all(axis == 0 and first == 0 and last >= _TO_THE_END for axis, (first, last) in bounds.items())
    return _Column(node.input[0], start) if whole and end == start + 1 else None


def _lookup(graph: Graph, name: str, stacked: bool) -> _Lookup | None:
    if stacked:
        unsqueezed = graph.maker(name, "Unsqueeze")
        if unsqueezed is None:
            return None
        name = unsqueezed.input[0]
    node = graph.maker(name, "Gather")
    table = None if node is None or (graph.axis(node) or 0) != 0 else graph.constant(node.input[0])
    squeezed = None if table is None or table.ndim != 2 else graph.maker(node.input[1], "Squeeze")
    column = None if squeezed is None else _column(graph, squeezed.input[0])
    return None if column is None else _Lookup(column, node.input[0])


def _fuse_inputs(graph: Graph, concat: Any) -> None:
    """Look up all columns at once and take the other ones as they are, if what follows bears another order."""
    follower = _Product.after(graph, concat) or _Interaction.after(graph, concat)
    if follower is None or len(set(concat.input)) < len(concat.input):
        return
    stacked = isinstance(follower, _Interaction)
    lookups = {name: found for name in concat.input if (found := _lookup(graph, name, stacked)) is not None}
    if len({found.column.matrix for found in lookups.values()}) != 1:
        lookups = {}
    tables = {found.table: graph.constant(found.table) for found in lookups.values()}
    if len({table.shape[1] for table in tables.values() if table is not None}) > 1:
        lookups = {}
    columns = {name: column for name in concat.input if not stacked and (column := _column(graph, name)) is not None}
    if len({found.matrix for found in columns.values()}) != 1:
        columns = {}
    if len(lookups) + len(columns) < 2:
        return
    parts = [_looked_up(graph, concat, list(lookups.values()), stacked)] if lookups else []
    rest = [name for name in concat.input if name not in lookups and name not in columns]
    follower.rearrange(graph, concat, parts + rest, [*lookups, *rest], columns)


def _looked_up(graph: Graph, before: Any, lookups: list[_Lookup], stacked: bool) -> str:
    """Add one lookup for all: float32[n, k, d] if stacked, else float32[n, k * d].

    A code beyond its own table is sent beyond them all, so that it is refused as before, and not looked up in another.
    """
    tables = {each.table: graph.constant(each.table) for each in lookups}
    sizes = {name: len(table) for name, table in tables.items() if table is not None}
    starts = dict(zip(sizes, np.cumsum([0, *sizes.values()]).tolist(), strict=False))
    everything = np.concatenate([table for table in tables.values() if table is not None])
    places = np.array([each.column.place for each in lookups], np.int64)
    codes = graph.add(before, "Gather", [lookups[0].column.matrix, graph.keep(places)], axis=1)
    limits = graph.keep(np.array([sizes[each.table] for each in lookups], np.int32))
    shifts = graph.keep(np.array([starts[each.table] for each in lookups], np.int32))
    inside = graph.add(before, "Less", [codes, limits])
    shifted = graph.add(before, "Add", [codes, shifts])
    beyond = graph.keep(np.array(len(everything), np.int32))
    rows = graph.add(before, "Where", [inside, shifted, beyond])
    found = graph.add(before, "Gather", [graph.keep(everything), rows], axis=0)
    if stacked:
        return found
    width = len(lookups) * everything.shape[1]
    return graph.add(before, "Reshape", [found, graph.keep(np.array([-1, width], np.int64))])


@dataclass(frozen=True)
class _Product:
    """`concat @ weights`: the rows of the weights follow any order of what is concatenated."""

    node: Any
    weights: NDArray[np.float32]

    @classmethod
    def after(cls, graph: Graph, concat: Any) -> _Product | None:
        node = graph.user(concat.output[0], "MatMul")
        weights = None if node is None or node.input[0] != concat.output[0] else graph.constant(node.input[1])
        return None if weights is None or weights.ndim != 2 else cls(node, weights)

    def rearrange(
        self, graph: Graph, concat: Any, parts: list[str], order: list[str], columns: dict[str, _Column]
    ) -> None:
        """Take the parts instead, which hold what was concatenated in the given order, and the matrix of `columns`."""
        widths = self._widths(graph, concat, columns)
        if widths is None:
            return
        starts = dict(zip(concat.input, np.cumsum([0, *widths.values()]).tolist(), strict=False))
        rows = [self.weights[starts[name] : starts[name] + widths[name]] for name in order]
        if columns:
            matrix = next(iter(columns.values())).matrix
            whole = np.zeros((graph.inputs[matrix], self.weights.shape[1]), np.float32)
            for name, column in columns.items():
                whole[column.place] += self.weights[starts[name]]
            parts, rows = [*parts, matrix], [*rows, whole]
        joined = parts[0] if len(parts) == 1 else graph.add(self.node, "Concat", parts, axis=1)
        self.node.input[0], self.node.input[1] = joined, graph.keep(np.concatenate(rows))

    def _widths(self, graph: Graph, concat: Any, columns: dict[str, _Column]) -> dict[str, int] | None:
        """Columns of what is concatenated, by name; None where more than one of them does not tell."""
        widths: dict[str, int] = {}
        for name in concat.input:
            found = _lookup(graph, name, stacked=False)
            table = None if found is None else graph.constant(found.table)
            widths[name] = 1 if name in columns else 0 if table is None else table.shape[1]
        unknown = [name for name, width in widths.items() if not width]
        if len(unknown) > 1:
            return None
        for name in unknown:
            widths[name] = len(self.weights) - sum(widths.values())
        return widths


@dataclass(frozen=True)
class _Interaction:
    """DLRM's dot products: of all pairs of `concat`'s vectors, some are chosen, in whatever order these come."""

    choice: Any
    chosen: NDArray[np.int64]

    @classmethod
    def after(cls, graph: Graph, concat: Any) -> _Interaction | None:
        name = concat.output[0]
        users = [node for node in graph.nodes if name in node.input]
        product = next((node for node in users if node.op_type == "MatMul" and node.input[0] == name), None)
        if product is None or len(users) != 2 or graph.maker(product.input[1], "Transpose") not in users:
            return None
        flat = graph.user(product.output[0], "Reshape")
        choice = None if flat is None else graph.user(flat.output[0], "Gather")
        chosen = None if choice is None or graph.axis(choice) != 1 else graph.constant(choice.input[1])
        shape = None if flat is None else graph.constant(flat.input[1])
        if chosen is None or shape is None or shape.tolist() != [-1, len(concat.input) ** 2]:
            return None
        return cls(choice, chosen)

    def rearrange(self, graph: Graph, concat: Any, parts: list[str], order: list[str], _: dict[str, _Column]) -> None:
        """Take the parts instead, which hold what was concatenated in the given order."""
        count = len(order)
        place = np.array([order.index(name) for name in concat.input])
        first, second = np.divmod(self.chosen, count)
        self.choice.input[1] = graph.keep(place[first] * count + place[second])
        del concat.input[:]
        concat.input.extend(parts)


def _fold_choice(graph: Graph, choice: Any) -> None:
    """`concat(…, z[:, chosen]) @ weights` as `concat(…, z) @ weights`, with zeros for what is not chosen.

    Picking single numbers takes longer than multiplying all of them.
    """
    flat = graph.maker(choice.input[0], "Reshape") if graph.axis(choice) == 1 else None
    concat = graph.user(choice.output[0], "Concat")
    product = _Product.after(graph, concat) if concat is not None and graph.axis(concat) == 1 else None
    if flat is None or concat is None or product is None or concat.input[-1] != choice.output[0]:
        return
    chosen, shape = graph.constant(choice.input[1]), graph.constant(flat.input[1])
    if chosen is None or shape is None or len(shape) != 2 or len(np.unique(chosen)) < len(chosen):
        return
    others = len(product.weights) - len(chosen)
    whole = np.zeros((int(shape[1]), product.weights.shape[1]), np.float32)
    whole[chosen] = product.weights[others:]
    concat.input[-1] = choice.input[0]
    product.node.input[1] = graph.keep(np.concatenate([product.weights[:others], whole]))


def _without_shapes(model: Any) -> Any:
    """Replace by constants what depends on the inputs' shapes only and is the same for every size of batch."""
    inputs = {each.name for each in model.graph.input}
    by_value: set[str] = set(inputs)
    by_shape: set[str] = set()
    for node in model.graph.node:
        if by_value.intersection(node.input) and node.op_type != "Shape":
            by_value.update(node.output)
        elif (by_value | by_shape).intersection(node.input):
            by_shape.update(node.output)
    wanted = sorted(
        name
        for node in model.graph.node
        if by_value.intersection(node.output)
        for name in node.input
        if name in by_shape
    )
    if not wanted:
        return model
    runs = [_computed(model, wanted, size) for size in _BATCHES]
    still = {
        name: values[0]
        for name, *values in zip(wanted, *runs, strict=True)
        if all(np.array_equal(values[0], other) for other in values[1:])
    }
    for node in model.graph.node:
        for output in node.output:
            if output in still:
                node.output[list(node.output).index(output)] = f"{output}_before"
    model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in still.items())
    return Graph(model).finished()


def _computed(model: Any, names: Sequence[str], size: int) -> list[NDArray[Any]]:
    """The values of tensors inside a graph for a batch of zeros."""
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    probe.graph.output.extend(onnx.ValueInfoProto(name=name) for name in dict.fromkeys(names))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(probe.SerializeToString(), options, providers=["CPUExecutionProvider"])
    kinds = {"tensor(int32)": np.int32, "tensor(float)": np.float32}
    zeros = {each.name: np.zeros((size, each.shape[1]), kinds[each.type]) for each in session.get_inputs()}
    found: list[NDArray[Any]] = session.run(list(names), zeros)
    return found
