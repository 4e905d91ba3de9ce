"""How long `sharder split` takes, beside GNU `split`, which knows nothing of CSV.

    python benchmarks/split.py [--records 4000000] [--rounds 5] [--messy] [--directory DIR]

The commands take turns, each into a fresh directory, `sync` counted in; a ratio is the median of
the ratios of the rounds. Directories are deleted at the end only, since creating files on ext4
right after a mass delete is slow.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
SHARDER = Path(sys.executable).with_name("sharder")

# {source} and {out} are filled in. The first is what the others are compared with.
COMMANDS = {
    "GNU split -l 1000": "mkdir {out} && split -l 1000 -d -a 6 {source} {out}/x",
    "sharder split --no-profile": f"{SHARDER} split {{source}} --out {{out}} --no-profile",
    "sharder split": f"{SHARDER} split {{source}} --out {{out}}",
}


def measure(command: str, source: Path, out: Path) -> tuple[float, float]:
    """Run a command and `sync`; return seconds and peak MiB of its largest process."""
    os.sync()
    started = time.perf_counter()
    line = command.format(source=source, out=out)
    process = subprocess.Popen(
        ["bash", "-c", f"{line} && sync"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    # The shell waits for its children, so that their peak is counted with it.
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"failed: {line}")
    return time.perf_counter() - started, usage.ru_maxrss / 1024


def main() -> None:
    """Make the source, measure, print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, default=4_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--messy", action="store_true")
    parser.add_argument("--directory", type=Path, default=None, help="where to write")
    options = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="benchmark-split-", dir=options.directory))
    try:
        source = work / "quest_log.csv"
        make = [sys.executable, str(ROOT / "data" / "make_quest_log.py"), "--out", str(source)]
        make += ["--records", str(options.records), *(["--messy"] if options.messy else [])]
        subprocess.run(make, check=True)
        size = source.stat().st_size
        print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}; ")
        print(f"{options.records:,} records, {size / 1e6:,.0f} MB, messy: {options.messy}")
        runs: dict[str, list[tuple[float, float]]] = {name: [] for name in COMMANDS}
        for number in range(options.rounds + 1):
            for index, (name, command) in enumerate(COMMANDS.items()):
                took_and_peak = measure(command, source, work / f"out-{number}-{index}")
                if number:  # the first round warms the file cache
                    runs[name].append(took_and_peak)
        base = [seconds for seconds, _ in next(iter(runs.values()))]
        print(f"{'':28}{'seconds':>9}{'MB/s':>7}{'ratio':>7}{'MiB':>6}")
        for name, figures in runs.items():
            seconds = statistics.median(took for took, _ in figures)
            ratio = statistics.median(
                took / other for (took, _), other in zip(figures, base, strict=True)
            )
            peak = max(memory for _, memory in figures)
            print(f"{name:28}{seconds:9.2f}{size / 1e6 / seconds:7.0f}{ratio:7.2f}{peak:6.0f}")
    finally:
        shutil.rmtree(work)


if __name__ == "__main__":
    main()
