"""The user's own functions, `MODULE:FUNCTION`."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from shared.errors import ModelError


def load_function(reference: str, option: str) -> Callable[..., Any]:
    """Return a function, `MODULE:FUNCTION`.

    Args:
        reference: the function.
        option: what it was given to, such as --model, for messages.

    Raises:
        ModelError: there is no such module or function.
    """
    module = import_user_module(reference, option)
    name = reference.partition(":")[2]
    function = getattr(module, name, None)
    if not callable(function):
        names = [found for found, _ in inspect.getmembers(module, inspect.isfunction)]
        raise ModelError(
            f"{option} {reference}",
            expected=f"a function {name!r} in {module.__file__}",
            found=f"only {', '.join(names)}" if names else "no function",
        )
    return function  # type: ignore[no-any-return]


def import_user_module(reference: str, option: str) -> ModuleType:
    """Import the module of `MODULE:FUNCTION`, from the current directory too.

    Raises:
        ModelError: there is no such module.
    """
    where = f"{option} {reference}"
    module_name, _, function_name = reference.partition(":")
    if not module_name or not function_name:
        raise ModelError(where, expected="MODULE:FUNCTION, such as my_model:build")
    if (cwd := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, cwd)
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise ModelError(
            where, found=str(error), hint=f"it is looked for in {cwd} and where Python looks"
        ) from None
