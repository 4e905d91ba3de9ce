"""The profile is what pandas finds in the whole table, wherever the blocks are cut."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pandas as pd
import pytest
from splitting import sharder

RECORDS = 4000


def make_table() -> pd.DataFrame:
    random = Random(0)

    def column(draw: Any) -> list[str]:
        return [draw() for _ in range(RECORDS)]

    return pd.DataFrame(
        {
            "few": column(lambda: str(random.randrange(-50, 50))),
            "many": column(lambda: str(random.randrange(10 * RECORDS))),
            "large": column(lambda: str(random.randrange(-(2**62), 2**62))),
            "gaps": column(lambda: random.choice(["", f"{random.gauss(1e6, 3):.4f}"])),
            "mixed": column(lambda: random.choice(["1", "2.5", "3"])),
            "text": column(lambda: random.choice(["a", "b", "", "é", "NA"])),
            "id": [f"u{number}" for number in range(RECORDS)],
        }
    )


@pytest.mark.parametrize("block_bytes", [2000, 8 << 20])
def test_the_profile_is_what_pandas_finds(tmp_path: Path, block_bytes: int) -> None:
    table = make_table()
    table.to_csv(tmp_path / "drop.csv", index=False)
    sharder("split", "drop.csv", "--out", ".", "--block-bytes", block_bytes, cwd=tmp_path)
    columns = json.loads(sharder("info", "log_quest", "--json", cwd=tmp_path).stdout)
    assert [column["name"] for column in columns] == list(table)
    for column in columns:
        texts = table[column["name"]].replace("", np.nan)
        is_text = column["name"] in ("text", "id")
        values = texts if is_text else pd.to_numeric(texts)
        assert column["type"] in (("text",) if is_text else ("integer", "number"))
        assert column["missing"] == values.isna().sum()
        assert (column["minimum"], column["maximum"]) == (values.min(), values.max())
        assert column["distinct_exact"]
        assert column["distinct"] == values.nunique()
        assert column["top"][0][1] == values.value_counts().iloc[0]
        if not is_text:
            exact = [int(n) if "." not in n else float(n) for n in texts.dropna()]
            deviation = np.std(np.array(exact, float))
            mean = sum(exact) / len(exact)
            assert column["mean"] == pytest.approx(mean, rel=1e-11, abs=1e-11 * deviation)
            assert column["variance"] == pytest.approx(deviation**2, rel=1e-9)
