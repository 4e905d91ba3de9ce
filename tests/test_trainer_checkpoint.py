"""Checkpoints on disk: whole, or known to be damaged."""

from __future__ import annotations

import random
from pathlib import Path

import keras
import numpy as np
import pytest

from shared.errors import ContractError
from trainer.features.label import LabelSpec
from trainer.features.spec import FeatureSpec
from trainer.training.checkpoint import Checkpoints
from trainer.training.origin import Origin
from trainer.training.progress import Progress

ORIGIN = Origin(
    options={"seed": 1},
    dataset="0123456789abcdef",
    spec=FeatureSpec(features=(), label=LabelSpec(column="clear", task="binary", reading="text")),
    backend="tensorflow",
    versions={},
)


def save(checkpoints: Checkpoints, batch: int) -> None:
    variables = [
        keras.Variable(np.full((2, 3), batch, np.float32)),
        keras.Variable(batch, dtype="int32", trainable=False),
        keras.Variable([0.5, 2.0], dtype="bfloat16"),
    ]
    progress = Progress(until=3, batch=batch, metrics={"loss": float("nan")})
    checkpoints.save(ORIGIN, progress, variables, [np.zeros(0, np.float32)])


def test_what_was_saved_comes_back(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    assert checkpoints.is_empty
    for batch in (1, 2, 10):
        save(checkpoints, batch)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "epoch-00000-batch-000000002.state",
        "epoch-00000-batch-000000010.state",
    ]
    found = checkpoints.load(print)
    assert found.origin == ORIGIN
    assert found.progress.position == (0, 10)
    assert [(array.form.dtype, array.form.shape) for array in (*found.variables, *found.best)] == [
        *(("float32", (2, 3)), ("int32", ()), ("bfloat16", (2,)), ("float32", (0,)))
    ]
    assert np.frombuffer(found.variables[0].data, np.float32).tolist() == [10.0] * 6


def test_no_damage_goes_unnoticed(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    save(checkpoints, 1)
    save(checkpoints, 2)
    newest = tmp_path / "epoch-00000-batch-000000002.state"
    whole = newest.read_bytes()
    rng = random.Random(0)
    flipped = [
        whole[:at] + bytes([byte ^ 1 << rng.randrange(8)]) + whole[at + 1 :]
        for at, byte in enumerate(whole)
    ]
    for damaged in [*flipped, *(whole[:size] for size in range(len(whole))), whole + b"\0"]:
        newest.write_bytes(damaged)
        said: list[str] = []
        assert checkpoints.load(said.append).progress.batch == 1
        assert f"{newest}: damaged (" in said[0]
        assert not newest.exists()


def test_when_all_are_damaged_it_is_told(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    save(checkpoints, 1)
    (path,) = tmp_path.iterdir()
    path.write_bytes(b"")
    with pytest.raises(ContractError, match="expected a whole checkpoint, here or in the one"):
        checkpoints.load(print)
    assert path.exists()
