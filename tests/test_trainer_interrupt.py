"""Signals are neither lost nor raised where nothing may be raised."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from patience import PATIENCE_S
from support import write_dataset
from training import TRAINER

from trainer.interrupt import Interrupted, Interrupts

# Ctrl-C when a library is loaded, in what Python prints and forgets.
LOADING = """
import os, signal, sys

class Finalised:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)

def look(event, arguments):
    if event == "import" and arguments[0] == "keras":
        Finalised()

sys.addaudithook(look)
"""


class Finalised:
    def __del__(self) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.001)  # where the signal is raised


def test_a_signal_in_a_finaliser_is_not_lost() -> None:
    interrupts = Interrupts()
    with pytest.raises(Interrupted) as error, interrupts.caught():
        Finalised()
        time.sleep(PATIENCE_S)
    assert error.value.signal == signal.SIGTERM


def test_a_signal_that_a_check_has_raised_is_not_sent_again() -> None:
    interrupts = Interrupts()
    with interrupts.caught():
        Finalised()
        with pytest.raises(Interrupted):
            interrupts.check()
        time.sleep(0.2)


def test_ctrl_c_while_keras_is_loaded_leaves_nothing(tmp_path: Path) -> None:
    write_dataset(tmp_path / "log", ("a", "clear"), [(str(n % 9), str(n % 2)) for n in range(20)])
    (tmp_path / "trap").mkdir()
    (tmp_path / "trap/sitecustomize.py").write_text(LOADING)
    done = subprocess.run(
        [TRAINER, "fit", "log", "--label", "clear", "--out", "run"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path / "trap")},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 130
    assert done.stderr.splitlines()[-1] == "trainer: interrupted"
    assert not (tmp_path / "run").exists()
