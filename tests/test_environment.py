"""Both programs where nothing is as on a developer's machine, in one chain."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from patience import PATIENCE_S
from splitting import SAMPLE

# No capabilities, so that what the modes of files say holds for root, too.
POWERLESS = ("setpriv", "--bounding-set=-all", "--inh-caps=-all") if os.geteuid() == 0 else ()

CHAIN = """
set -o pipefail
umask 077
sharder split --out 'link/o ut' -- '-drop 日本.csv' |
    trainer fit - --label clear --out "$PWD/link/r un " --epochs 1 --model small:build
trainer predict 'link/r un ' ./'-drop 日本.csv' --out "$PWD/p,ut.csv" --keep 'player_cl]ass [/]'
sharder verify "$PWD/link/o ut/log_quest"
"""
SMALL = """
import keras

def build(spec):
    return keras.Sequential([keras.Input((spec.width,)), keras.layers.Dense(1)])
"""


@pytest.mark.skipif(
    bool(POWERLESS) and shutil.which("setpriv") is None, reason="there is no setpriv (util-linux)"
)
def test_no_home_no_terminal_no_locale_and_names_of_all_kinds(tmp_path: Path) -> None:
    # Quotes, a line end, Japanese, what looks like markup, no UTF-8, and a blank at the end.
    place = tmp_path / os.fsdecode(b'it\'s "a" place\n\xe6\x97\xa5\xe6\x9c\xac [b] \xff ')
    (place / "real").mkdir(parents=True)
    (place / "link").symlink_to("real")
    (place / "home").mkdir(mode=0o500)
    text = SAMPLE.read_text().replace("class", "cl]ass [/]", 1)
    (place / "-drop 日本.csv").write_text(text)
    (place / "small.py").write_text(SMALL)
    done = subprocess.run(
        [*POWERLESS, "bash", "-c", CHAIN],
        cwd=place,
        start_new_session=True,  # without a terminal
        # Nothing else: no PYTHONIOENCODING, no TERM.
        env={
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(place / "home"),
            "LC_ALL": "C",
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=PATIENCE_S,
    )
    told = done.stderr.decode()
    assert done.returncode == 0, told
    assert "Traceback" not in told
    here = os.fsencode(place)
    assert done.stdout.startswith(here + b"/link/r un \n" + here + b"/p,ut.csv\n")
    predictions = (place / "p,ut.csv").read_text().splitlines()
    assert predictions[0] == "player_cl]ass [/],probability"
    assert len(predictions) == 1 + 1200
    assert not list((place / "home").iterdir())
    made = [*(place / "real").rglob("*"), place / "p,ut.csv"]
    assert len(made) > 15
    open_to_others = [path for path in made if stat.S_IMODE(path.lstat().st_mode) & 0o077]
    assert open_to_others == []
