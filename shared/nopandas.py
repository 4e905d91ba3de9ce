"""Keeps pandas out of a process that needs only Arrow: 50 MB and 0.3 s.

Arrow imports pandas, where it can, to recognise its objects.
"""

from __future__ import annotations

import sys


class _NoPandas:
    @staticmethod
    def find_spec(name: str, *_: object) -> None:
        if name == "pandas":
            raise ModuleNotFoundError(name)


def keep_pandas_out() -> None:
    """Make pandas impossible to import in this process.

    An entry of None in `sys.modules` would do, but Arrow's compiled code takes it for pandas.
    """
    sys.meta_path.insert(0, _NoPandas)


def let_pandas_in() -> None:
    """Make pandas possible to import again."""
    if _NoPandas in sys.meta_path:
        sys.meta_path.remove(_NoPandas)
