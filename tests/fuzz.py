"""Fuzzes one parser with atheris, guided by what of the code is reached: `soak_parsers.py` runs it.

python tests/fuzz.py PARSER -max_total_time=60 CORPUS…
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

ROOT = Path(__file__).resolve().parents[1]

if __name__ == "__main__":
    target = sys.argv.pop(1)
    sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
    with atheris.instrument_imports(include=["shared", "sharder", "trainer"]):
        from parsers import parse
    atheris.Setup(sys.argv, lambda data: parse(target, data))
    atheris.Fuzz()
