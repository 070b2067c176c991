"""An ONNX graph that is being rewritten: who makes a tensor, who takes it, what is constant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper


class Graph:
    """A model's graph; what is added or replaced is in the model once it is `finished`.

    prefix: of new names, one that nothing in the model has.
    """

    def __init__(self, model: Any, prefix: str = "fused") -> None:
        self.model = model
        self._prefix = prefix
        self.nodes: list[Any] = list(model.graph.node)
        self._constants = {each.name: each for each in model.graph.initializer}
        self._count = 0

    def constant(self, name: str) -> NDArray[Any] | None:
        """The value of a constant, None for anything else."""
        found = self._constants.get(name)
        return None if found is None else numpy_helper.to_array(found)

    def maker(self, name: str, operator: str) -> Any:
        """The node that a tensor comes from, None where it is no such operator."""
        return next((node for node in self.nodes if name in node.output and node.op_type == operator), None)

    def user(self, name: str, operator: str) -> Any:
        """The only node that takes a tensor, None where there are more, or it is no such operator."""
        users = [node for node in self.nodes if name in node.input]
        return users[0] if len(users) == 1 and users[0].op_type == operator else None

    @staticmethod
    def axis(node: Any) -> int | None:
        """The attribute `axis`."""
        return next((each.i for each in node.attribute if each.name == "axis"), None)

    @property
    def inputs(self) -> dict[str, int]:
        """The model's inputs, which are matrices, and the columns of each."""
        return {each.name: int(each.type.tensor_type.shape.dim[1].dim_value) for each in self.model.graph.input}

    def keep(self, value: NDArray[Any]) -> str:
        """Add a constant; its name."""
        self._count += 1
        name = f"{self._prefix}_{self._count}"
        self._constants[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
        return name

    def add(self, before: Any, operator: str, inputs: Sequence[str], **attributes: Any) -> str:
        """Add a node before another; its output."""
        self._count += 1
        output = f"{self._prefix}_{self._count}"
        new = helper.make_node(operator, list(inputs), [output], **attributes)
        self.nodes.insert(self.nodes.index(before), new)
        return output

    def replace(self, old: str, new: str) -> None:
        """Have whoever takes one tensor take another."""
        for node in self.nodes:
            for place, name in enumerate(node.input):
                if name == old:
                    node.input[place] = new

    def finished(self) -> Any:
        """The model without what nothing needs any more."""
        graph = self.model.graph
        needed, kept = {each.name for each in graph.output}, list[Any]()
        for node in reversed(self.nodes):
            if needed.intersection(node.output):
                needed.update(node.input)
                kept.append(node)
        del graph.node[:], graph.initializer[:], graph.value_info[:]
        graph.node.extend(reversed(kept))
        graph.initializer.extend(each for name, each in self._constants.items() if name in needed)
        onnx.checker.check_model(self.model)
        return self.model
