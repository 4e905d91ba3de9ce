"""Both programs in a shell, as the README's first lines have it."""

from __future__ import annotations

import csv
from pathlib import Path

from splitting import SAMPLE, shell


def test_from_a_csv_to_predictions_of_its_records(tmp_path: Path) -> None:
    done = shell(
        f"sharder split {SAMPLE} --out data --rows-per-shard 100 "
        "| trainer fit - --label clear --out runs/quest --epochs 1",
        tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "runs/quest\n"
    assert "1,200 records = " in done.stderr
    assert "1,068 training records, 132 validation records; " in done.stderr

    predicted = shell(f"trainer predict runs/quest {SAMPLE} --out -", tmp_path)
    assert predicted.returncode == 0, predicted.stderr
    header, *rows = csv.reader(predicted.stdout.splitlines())
    assert header == ["probability"]
    assert len(rows) == 1200
    assert all(0 <= float(row[0]) <= 1 for row in rows)


def test_a_failed_first_stage_fails_the_chain_with_a_message_of_each(tmp_path: Path) -> None:
    done = shell(
        "sharder split nowhere.csv --out data | trainer fit - --label clear --out runs/quest",
        tmp_path,
    )
    assert done.returncode == 1
    assert "sharder: error: nowhere.csv: expected a CSV file, found no such file" in done.stderr
    assert "trainer: error: " in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []
