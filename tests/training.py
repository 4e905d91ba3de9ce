"""Helpers of the tests that run `trainer` as a user does."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from patience import PATIENCE_S

TRAINER = str(Path(sys.executable).with_name("trainer"))


def trainer(
    *args: object, cwd: Path, status: int = 0, stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run a command, and check its exit status."""
    command = [TRAINER, *map(str, args)]
    done = subprocess.run(
        command,
        cwd=cwd,
        capture_output=True,
        text=True,
        input=stdin,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == status, f"{command} in {cwd}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    return done


def failure(*args: object, cwd: Path, stdin: str = "") -> str:
    """Run a command that fails as expected, and return its message."""
    done = trainer(*args, cwd=cwd, status=1, stdin=stdin)
    assert done.stdout == ""
    (message,) = re.findall(r"^trainer: error: .*", done.stderr, re.MULTILINE)
    return str(message)
