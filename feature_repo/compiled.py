"""How a loop over a request's few hundred rows becomes machine code.

A hundred numpy calls on so few rows wait for numpy's dispatch and for the caches that it empties, not for arithmetic; a
compiled loop does the same in one pass. Its types are declared, so that nothing is ever compiled while a request waits:
importing the module does it the first time (some seconds) and keeps it for the next: beside this file, else in the
user's cache, or where NUMBA_CACHE_DIR says.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numba import types

if not numba.config.CACHE_DIR:  # type: ignore[attr-defined]  # numba sets its settings by name
    # By version: what one environment keeps another would throw away, and serving and training have two.
    _kept = Path(__file__).parent / "__pycache__" / f"numba-{numba.__version__}"
    numba.config.CACHE_DIR = str(_kept)  # type: ignore[attr-defined]

F = TypeVar("F", bound=Callable[..., Any])


def array(dtype: Any, ndim: int = 1) -> Any:
    """The type of an argument that is read: an array of any stride, a table of more dimensions in one piece."""
    return types.Array(numba.from_dtype(np.dtype(dtype)), ndim, "A" if ndim == 1 else "C", readonly=True, aligned=False)


INTEGER = types.int64
"""The type of a number."""


def compiled(*arguments: Any) -> Callable[[F], F]:
    """Compile a function for arguments of these types. It runs without the interpreter's lock, and checks no bounds."""

    def decorated(function: F) -> F:
        try:
            return _compiled(function, arguments, cache=True)
        except RuntimeError as error:
            if "no locator" not in str(error):
                raise
            return _compiled(function, arguments, cache=False)  # nowhere to keep it: a container that may not write

    return decorated


def _compiled(function: F, arguments: tuple[Any, ...], cache: bool) -> F:
    return cast(F, numba.njit(arguments, cache=cache, nogil=True, error_model="numpy")(function))
