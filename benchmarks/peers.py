"""How long a split into files of 1000 records takes with other tools, and who of them is right.

    python benchmarks/peers.py [--records 400000] [--rounds 3] [--directory DIR]

The tools take turns on the same file, each into a fresh directory, `sync` counted in; the table has
medians. A tool that is not installed is left out, and named. Each then splits a second file, in
which a fifth of the records has a newline in quotes; Python's `csv` module looks at what came out.
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
import os
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import xxhash
from rounds import ROOT, describe_machine
from split import SHARDER, measure

ROWS = 1000


def csv_loop(source: Path, out: Path) -> None:
    """Read and write with Python's `csv` module."""
    with source.open(newline="", encoding="utf-8") as file:
        reader = csv.reader(file)
        header, number, rows = next(reader), 0, []
        for row in reader:
            rows.append(row)
            if len(rows) == ROWS:
                _write(out / f"{number:05d}.csv", header, rows)
                number, rows = number + 1, []
        _write(out / f"{number:05d}.csv", header, rows)


def _write(path: Path, header: list[str], rows: list[list[str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])


def pandas_chunks(source: Path, out: Path) -> None:
    """Read 1000 records at a time, and write them."""
    import pandas as pd

    for number, chunk in enumerate(pd.read_csv(source, chunksize=ROWS)):
        chunk.to_csv(out / f"{number:05d}.csv", index=False)


def dask_frames(source: Path, out: Path) -> None:
    """Read blocks of 16 MB as text, and write a file for each: it knows no number of records."""
    import dask.dataframe as dd

    dd.read_csv(source, dtype=str, blocksize="16MB").to_csv(str(out / "*.csv"), index=False)


def polars_slices(source: Path, out: Path) -> None:
    """Read all as text into memory, and write slices of it."""
    import polars as pl

    frame = pl.read_csv(source, infer_schema=False)
    for number, part in enumerate(frame.iter_slices(ROWS)):
        part.write_csv(out / f"{number:05d}.csv")


def duckdb_copy(source: Path, out: Path) -> None:
    """Number the records, and write a partition for each thousand."""
    import duckdb

    duckdb.sql(
        f"COPY (SELECT *, (row_number() OVER () - 1) // {ROWS} AS shard FROM "
        f"read_csv('{source}', header = true, all_varchar = true)) "
        f"TO '{out}' (FORMAT csv, HEADER, PARTITION_BY (shard), OVERWRITE_OR_IGNORE)"
    )


def arrow_reading(source: Path, _out: Path) -> None:
    """Read only, all columns with their types."""
    import pyarrow.csv as pc

    options = pc.ParseOptions(newlines_in_values=True)
    print(sum(batch.num_rows for batch in pc.open_csv(source, parse_options=options)))


FUNCTIONS: dict[str, Callable[[Path, Path], None]] = {
    "csv": csv_loop,
    "pandas": pandas_chunks,
    "dask": dask_frames,
    "polars": polars_slices,
    "duckdb": duckdb_copy,
    "pyarrow": arrow_reading,
}
_HERE = f"{shlex.quote(sys.executable)} {shlex.quote(__file__)} --run"
# {source} and {out} are filled in.
COMMANDS = {
    "GNU split -l 1000": "mkdir {out} && split -l 1000 -d -a 6 {source} {out}/x",
    "sharder split --no-profile": f"{SHARDER} split {{source}} --out {{out}} --no-profile",
    "sharder split": f"{SHARDER} split {{source}} --out {{out}}",
    "sharder split --group-by": f"{SHARDER} split {{source}} --out {{out}} --group-by player_id",
    "Miller split -n 1000": "mkdir {out} && mlr --csv split -n 1000 --prefix {out}/x {source}",
    "DuckDB COPY … PARTITION_BY": f"mkdir {{out}} && {_HERE} duckdb {{source}} {{out}}",
    "Polars, all in memory": f"mkdir {{out}} && {_HERE} polars {{source}} {{out}}",
    "pandas chunksize=1000": f"mkdir {{out}} && {_HERE} pandas {{source}} {{out}}",
    "Dask read_csv … to_csv": f"mkdir {{out}} && {_HERE} dask {{source}} {{out}}",
    "Python's csv module": f"mkdir {{out}} && {_HERE} csv {{source}} {{out}}",
    "pyarrow, reading alone": f"{_HERE} pyarrow {{source}} {{out}}",
}


def is_installed(command: str) -> bool:
    """Tell whether what a command needs is there."""
    if _HERE in command:
        return importlib.util.find_spec(command.partition(_HERE)[2].split()[0]) is not None
    return "mlr" not in command or shutil.which("mlr") is not None


def make_log(path: Path, records: int, *options: str) -> Path:
    """Make a quest log."""
    make = [sys.executable, str(ROOT / "data/make_quest_log.py"), "--out", str(path)]
    subprocess.run([*make, "--records", str(records), *options], check=True, capture_output=True)
    return path


def judge(command: str, source: Path, out: Path) -> str:
    """Run a command on a file, and return what became of its records."""
    line = command.format(source=source, out=out)
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False)
    if done.returncode:
        last = next(filter(str.strip, reversed(done.stderr.splitlines())), "")
        return f"fails: {last.strip()[:70]}"
    (rows,) = read_files([source])
    header, expected = rows[0], sorted(map(fingerprint, rows[1:]))
    if not out.exists():
        return "as many" if int(done.stdout) == len(expected) else f"{int(done.stdout):,} records"
    files = read_files(sorted(path for path in out.rglob("*") if is_shard(path)))
    found = sorted(fingerprint(row) for rows in files for row in rows if row != header)
    faults = []
    if len(found) != len(expected):
        faults.append(f"{len(found):,} records of {len(expected):,}")
    elif lost := set(expected) - set(found):
        faults.append(f"{len(lost):,} of {len(expected):,} records have other values")
    if headless := sum(rows[0] != header for rows in files):
        faults.append(f"{headless} of {len(files)} files have no header")
    sizes = [sum(row != header for row in rows) for rows in files]
    # Of a side, the last one has what is left.
    if sum(size != ROWS for size in sizes) > 2:
        faults.append(f"{min(sizes):,} to {max(sizes):,} records in a file")
    return "; ".join(faults) or "the same"


def is_shard(path: Path) -> bool:
    """Tell whether a tool has written records there."""
    return (
        path.is_file()
        and path.suffix not in (".json", ".msgpack")
        and path.parent.name != "rejected"
    )


def read_files(paths: list[Path]) -> list[list[list[str]]]:
    """Return the rows of each file, as Python's `csv` module finds them."""
    files = []
    for path in paths:
        with path.open(newline="", encoding="utf-8") as file:
            files.append(list(csv.reader(file)))
    return files


def fingerprint(row: list[str]) -> int:
    """Return a hash of the fields of a record."""
    return xxhash.xxh3_64_intdigest(repr(row).encode())


def main() -> None:
    """Make the sources, measure, judge, print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, default=400_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--directory", type=Path, default=None, help="where to write")
    parser.add_argument("--run", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        name, source, out = options.run
        FUNCTIONS[name](Path(source), Path(out))
        return
    chosen = {name: command for name, command in COMMANDS.items() if is_installed(command)}
    for name in COMMANDS.keys() - chosen.keys():
        print(f"not installed: {name}")
    work = Path(tempfile.mkdtemp(prefix="benchmark-peers-", dir=options.directory))
    try:
        plain = make_log(work / "plain.csv", options.records)
        messy = make_log(work / "messy.csv", options.records // 4, "--messy")
        megabytes = plain.stat().st_size / 1e6
        print(f"{describe_machine()}\n{options.records:,} records, {megabytes:.0f} MB")
        runs: dict[str, list[tuple[float, float]]] = {name: [] for name in chosen}
        for number in range(options.rounds + 1):
            for index, (name, command) in enumerate(chosen.items()):
                found = measure(command, plain, work / f"out-{number}-{index}")
                if number:  # the first round warms the file cache
                    runs[name].append(found)
        print(
            f"{'':28}{'seconds':>9}{'MB/s':>7}{'MiB':>7}  {messy.stat().st_size / 1e6:.0f} MB messy"
        )
        for index, (name, figures) in enumerate(runs.items()):
            seconds = statistics.median(took for took, _ in figures)
            speed, peak = megabytes / seconds, max(peak for _, peak in figures)
            verdict = judge(chosen[name], messy, work / f"messy-{index}")
            print(f"{name:28}{seconds:9.2f}{speed:7.0f}{peak:7.0f}  {verdict}", flush=True)
        print(f"load at the end: {os.getloadavg()[0]:.1f}")
    finally:
        shutil.rmtree(work)


if __name__ == "__main__":
    main()
