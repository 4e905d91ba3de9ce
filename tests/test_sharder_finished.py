"""Killed when all is done, but before it could say so, a run ends with the same command."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from killing import cut_off_when_done
from splitting import failure, sharder, tree, write

SAID = "an earlier run has done all of it, and was killed before it could say so"
FIRST = "a,b\n" + "".join(f"{n},x{n}\n" for n in range(300))
SECOND = "a,b\n" + "".join(f"{n},y{n}\n" for n in range(250))
NEW, APPEND = ("--out", "data"), ("--out", "data", "--append")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A directory with two drops."""
    write(tmp_path, FIRST, "first.csv")
    write(tmp_path, SECOND, "second.csv")
    return tmp_path


@pytest.mark.parametrize(("source", "more"), [("second.csv", ()), ("-", ()), ("-", ("--restart",))])
@pytest.mark.parametrize(
    ("options", "renamed"), [(NEW, "data/log_quest"), (APPEND, "data/log_quest/manifest.json")]
)
def test_the_same_command_says_that_all_is_done(
    home: Path, source: str, more: tuple[str, ...], options: tuple[str, ...], renamed: str
) -> None:
    stdin = b"" if source != "-" else SECOND.encode()
    if "--append" in options:
        sharder("split", "first.csv", *NEW, cwd=home)
    command = ("split", source, *options)
    cut_off_when_done(home, renamed, *command, number=signal.SIGKILL, stdin=stdin)
    whole = tree(home / "data/log_quest")
    sharder("verify", "data/log_quest", cwd=home)
    done = sharder(*command, *more, cwd=home, stdin=stdin)
    assert done.stdout == "data/log_quest\n"
    assert SAID in done.stderr
    assert tree(home / "data/log_quest") == whole
    assert sorted(path.name for path in (home / "data").iterdir()) == [
        "log_quest",
        "log_quest_validate",
    ]
    # Given once more, it was not cut off; a stream may be a drop of its own.
    if options == NEW:
        told = failure(*command, cwd=home, stdin=stdin)
        assert "data/log_quest: expected no dataset of this name yet" in told
    elif source != "-":
        told = failure(*command, cwd=home, stdin=stdin)
        assert "second.csv: expected a new drop" in told
    else:
        told = sharder(*command, cwd=home, stdin=stdin).stderr
        assert "drop 3: 250 records" in told
        return
    assert tree(home / "data/log_quest") == whole


def test_another_drop_is_not_taken_for_the_one_that_is_there(home: Path) -> None:
    sharder("split", "first.csv", *NEW, cwd=home)
    command = ("split", "-", *APPEND)
    second, third = SECOND.encode(), SECOND.replace("y7", "z7").encode()
    cut_off_when_done(
        home, "data/log_quest/manifest.json", *command, number=signal.SIGKILL, stdin=second
    )
    before = tree(home / "data/log_quest")
    told = sharder(*command, cwd=home, stdin=third, status=1).stderr
    assert "expected what the last run, which was killed, has added to data/log_quest" in told
    assert "to split this one, run the same command again" in told
    assert tree(home / "data/log_quest") == before
    done = sharder(*command, cwd=home, stdin=third)
    assert "drop 3: 250 records, 0 of them rejected" in done.stderr


def test_ctrl_c_when_all_is_done_says_so(home: Path) -> None:
    command = ("split", "first.csv", *NEW)
    told = cut_off_when_done(home, "data/log_quest", *command, number=signal.SIGINT)
    assert told.endswith("interrupted; all was done by then: the same command will say so\n")
    assert SAID in sharder(*command, cwd=home).stderr
