"""The one place where a function becomes machine code, typed so that strict checking sees through it."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

import numba

Params = ParamSpec("Params")
Result = TypeVar("Result")


def compiled(function: Callable[Params, Result]) -> Callable[Params, Result]:
    """Compile for the types of the first call; the machine code is kept on disk for the next process.

    Sums may be reassociated, so that loops use the vector unit; NaN and infinity keep their meaning.
    Each version of the sources has a place of its own there (`streams/__init__.py`).
    """
    decorate = numba.njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "arcp", "nsz"})
    return cast(Callable[Params, Result], decorate(function))
