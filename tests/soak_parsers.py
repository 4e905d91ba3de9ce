"""Each parser fuzzed for some time: `make soak` runs this, the normal run does not.

FUZZ_SECONDS in the environment says how long, for each of them.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from parsers import PARSERS, seeds

HAS_ATHERIS = importlib.util.find_spec("atheris") is not None


@pytest.mark.skipif(not HAS_ATHERIS, reason="atheris is not there: pip install 'shardfit[fuzz]'")
@pytest.mark.parametrize("target", sorted(PARSERS))
def test_no_bytes_break_a_parser(target: str, tmp_path: Path) -> None:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for number, data in enumerate(seeds(target)):
        (corpus / str(number)).write_bytes(data)
    seconds = os.environ.get("FUZZ_SECONDS", "30")
    command = [sys.executable, str(Path(__file__).with_name("fuzz.py")), target, str(corpus)]
    limits = [f"-max_total_time={seconds}", "-timeout=20", "-rss_limit_mb=2048"]
    done = subprocess.run([*command, *limits], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    runs = re.findall(r"Done (\d+) runs", done.stderr)
    print(f"{target}: {runs[0]} runs")
