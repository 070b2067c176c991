"""Work done one step ahead, while the step before waits for somebody else."""

from collections.abc import Iterator
from itertools import islice
from typing import Generic, TypeVar

T = TypeVar("T")


class Ahead(Generic[T]):
    """An iterator whose next value can be made before it is taken.

    Parameters
    ----------
    values: makes each value when it is asked for it.
    """

    def __init__(self, values: Iterator[T]) -> None:
        self._values = values
        self._ready: list[T] = []

    def prepare(self) -> None:
        """Make the next value, if there is one and it is not made yet."""
        if not self._ready:
            self._ready.extend(islice(self._values, 1))

    def take(self) -> T:
        """Return the next value.

        Raises
        ------
        StopIteration: there is none.
        """
        return self._ready.pop() if self._ready else next(self._values)
