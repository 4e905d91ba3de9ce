"""The user's own functions, `MODULE:FUNCTION`."""

from __future__ import annotations

import importlib
import inspect
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from shared.errors import ConfigError


def load_function(reference: str, option: str) -> Callable[..., Any]:
    """Return a function, `MODULE:FUNCTION`.

    Args:
        reference: the function.
        option: what it was given to, such as --model, for messages.

    Raises:
        ConfigError: there is no such function, or its module fails.
    """
    module = import_user_module(reference, option)
    name = reference.partition(":")[2]
    function = getattr(module, name, None)
    if not callable(function):
        names = [found for found, _ in inspect.getmembers(module, inspect.isfunction)]
        raise ConfigError(
            f"{option} {reference}",
            expected=f"a function {name!r} in {module.__file__}",
            found=f"only {', '.join(names)}" if names else "no function",
        )
    return function  # type: ignore[no-any-return]


def import_user_module(reference: str, option: str) -> ModuleType:
    """Import the module of `MODULE:FUNCTION`, from the current directory too.

    Raises:
        ConfigError: there is no such module, or it fails.
    """
    where = f"{option} {reference}"
    module_name, _, function_name = reference.partition(":")
    if not module_name or not function_name:
        raise ConfigError(where, expected="MODULE:FUNCTION, such as my_code:build")
    if (cwd := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, cwd)
    try:
        return importlib.import_module(module_name)
    except Exception as error:
        raise ConfigError(
            where,
            found=f"{type(error).__name__}: {error}",
            hint=f"it is looked for in {cwd} and where Python looks",
        ) from None


def explain(error: Exception, file: str | None) -> str:
    """Say what went wrong in the user's code, and at which line; of `file`, if it was there."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if frame.filename == file]
    place = (own or frames)[-1]
    return f"{type(error).__name__}: {error}, line {place.lineno} of {place.filename}"
