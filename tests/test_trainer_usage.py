"""What is asked of `trainer` that cannot be meant: told at once, before anything is trained."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest
from support import write_dataset
from training import failure, trainer


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a dataset."""
    home = tmp_path_factory.mktemp("usage")
    rows = [(f"{n}.5", "abc"[n % 3], str(n % 2)) for n in range(30)]
    write_dataset(home / "data/log", ("power", "class", "clear"), rows[:20], validate=rows[20:])
    return home


def test_the_dataset_comes_from_the_stage_before(home: Path) -> None:
    command = ("fit", "-", "--label", "cleer", "--out", "runs/none")
    message = failure(*command, cwd=home, stdin="data/log\n")

    assert "expected one of the columns power, class, clear" in message


def test_a_stage_before_that_failed_is_told(home: Path) -> None:
    message = failure("fit", "-", "--label", "clear", "--out", "runs/none", cwd=home)

    assert "the stage before it gave no dataset" in message
    assert not (home / "runs" / "none").exists()


@pytest.mark.parametrize(
    ("args", "status"),
    [
        (["--help"], 0),
        (["fit", "--help"], 0),
        (["predict", "--help"], 0),
        ([], 2),
        (["fit"], 2),
        (["fit", "data/log", "--label", "clear", "--out", "x", "--epochs", "many"], 2),
        (["evaluate", "runs/log", "data/log", "--side", "both"], 2),
    ],
)
def test_help_and_wrong_usage_are_answered_at_once(
    home: Path, args: list[str], status: int
) -> None:
    before_s = cpu_s()
    trainer(*args, cwd=home, status=status)
    # 0.1 s here; Keras alone would take 3.
    assert cpu_s() - before_s < 1


@pytest.mark.parametrize(
    ("weights", "part"),
    [
        ("a", "'a'"),
        ("balanced,a=1", "'balanced'"),
        ("a=-1", "'a=-1'"),
        ("a=1,b=nan", "'b=nan'"),
        ("a=1,b=2 ,", "''"),
        ("a=1,a=2", "'a=2'"),
    ],
)
def test_class_weights_that_are_none_are_shown(home: Path, weights: str, part: str) -> None:
    command = ("fit", "data/log", "--label", "clear", "--out", "runs/x", "--class-weight")
    told = " ".join(trainer(*command, weights, cwd=home, status=2).stderr.split())
    assert (
        "Invalid value for '--class-weight': expected balanced, or CLASS=WEIGHT,CLASS=WEIGHT with "
        f"each class once and weights of 0 or more, found {part}"
    ) in told


def cpu_s() -> float:
    """Return the CPU time of all programs that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (["--epochs", "0"], "--epochs: expected 1 or more, found 0"),
        (["--batch-size", "0"], "--batch-size: expected 1 or more, found 0"),
        (["--workers", "-1"], "--workers: expected 0 or more, found -1"),
        (["--seed", "-1"], "--seed: expected a whole number from 0 to 2**32 - 1, found -1"),
        (["--learning-rate", "nan"], "--learning-rate: expected a number above 0, found nan"),
        (["--features", "f.toml", "--missing", "zero"], "--features: expected no --missing zero"),
        (["--features", "f.toml"], "f.toml: expected a feature file, found No such file"),
        (["--warmup", "1.5"], "--warmup: expected a whole number of batches, or a share of all"),
        (["--worker-timeout", "0"], "--worker-timeout: expected seconds above 0, found 0"),
        (["--class-weight", "1=2,no=3"], "--class-weight no: expected one of the classes 0, 1, "
                                         "found no such class"),
        (["--class-weight", "1=2", "--task", "regression"], "--class-weight: found a regression"),
    ],
)  # fmt: skip
def test_options_that_cannot_be_meant_are_refused(
    home: Path, option: list[str], message: str
) -> None:
    command = ("fit", "data/log", "--label", "clear", "--out", "runs/x")
    assert message in failure(*command, *option, cwd=home)
