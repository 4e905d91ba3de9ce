"""The user's own functions, `MODULE:FUNCTION`."""

from __future__ import annotations

import importlib
import inspect
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import xxhash

from shared.errors import ConfigError


@dataclass(frozen=True)
class UserCode:
    """A function of the user's, and the code that it is made of.

    Attributes:
        function: the function.
        files: of the module that was named, and of the one that it is defined in, if that is
            another one.
    """

    function: Callable[..., Any]
    files: tuple[str, ...]

    @property
    def digest(self) -> str:
        """The XXH3-128 of the files: of a single one, as `xxh128sum` prints it."""
        digest = xxhash.xxh3_128()
        for file in self.files:
            digest.update(Path(file).read_bytes())
        return digest.hexdigest()

    def explain(self, error: Exception) -> str:
        """Say what went wrong in it, and at which line; of its own files, if it was there."""
        frames = traceback.extract_tb(error.__traceback__)
        own = [frame for frame in frames if frame.filename in self.files]
        place = (own or frames)[-1]
        return f"{type(error).__name__}: {error}, line {place.lineno} of {place.filename}"


def load_function(reference: str, option: str) -> UserCode:
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
    defined_in = sys.modules.get(getattr(function, "__module__", None) or "", module)
    files = (getattr(each, "__file__", None) for each in (module, defined_in))
    return UserCode(function, tuple(dict.fromkeys(file for file in files if file)))


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
