"""The feed survives its workers, and they do not survive it."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest
from feeding import Owner, alive, comes_true, numbers, open_numbered, read_all, write_numbered
from patience import PATIENCE_S

from shared.errors import ConfigError, ContractError, WorkerError
from trainer.features.spec import FeatureSpec
from trainer.feeding.feed import Feed
from trainer.shards.shard import Shard


def test_shards_come_in_the_order_they_are_asked_for(feed: Feed, shards: list[Shard]) -> None:
    assert list(read_all(feed, shards, Owner())) == list(range(400))


def test_without_workers_the_shards_are_read_here(spec: FeatureSpec, shards: list[Shard]) -> None:
    feed = Feed(spec, workers=0)
    assert list(read_all(feed, shards, Owner())) == list(range(400))
    assert feed.pids == []


def test_what_was_read_ahead_in_vain_is_not_given_instead(feed: Feed, shards: list[Shard]) -> None:
    owner = Owner()
    feed.read([shards[0]], ahead=shards[1:9], owner=owner)
    assert list(read_all(feed, shards[20:], owner)) == list(range(200, 400))


def test_two_owners_read_at_the_same_time(feed: Feed, shards: list[Shard]) -> None:
    found: dict[int, list[int]] = {}

    def read(start: int) -> None:
        found[start] = list(read_all(feed, shards[start:][:20], Owner()))

    threads = [threading.Thread(target=read, args=(start,)) for start in (0, 20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert found == {0: list(range(200)), 20: list(range(200, 400))}


@pytest.mark.parametrize("victims", [1, 2])
def test_killed_workers_are_named_and_replaced_and_no_record_is_lost(
    feed: Feed, shards: list[Shard], victims: int, capfd: pytest.CaptureFixture[str]
) -> None:
    records = []
    for n in read_all(feed, shards, Owner()):
        records.append(n)
        if n in (45, 205):
            for pid in feed.pids[:victims]:
                os.kill(pid, signal.SIGKILL)
    assert records == list(range(400))
    assert len(set(feed.pids)) == 2
    said = capfd.readouterr().err
    assert said.count("was killed by SIGKILL (out of memory?)") == 2 * victims
    assert said.count("another one takes its place") == 2 * victims


def test_a_stopped_worker_is_replaced_after_the_timeout(
    spec: FeatureSpec, shards: list[Shard], capfd: pytest.CaptureFixture[str]
) -> None:
    feed = Feed(spec, workers=1, timeout_s=0.5)
    owner = Owner()
    feed.read([shards[0]], owner=owner)
    (pid,) = feed.pids
    os.kill(pid, signal.SIGSTOP)
    assert list(read_all(feed, shards, owner)) == list(range(400))
    assert comes_true(lambda: not alive([pid]))
    said = capfd.readouterr().err
    assert f"worker {pid} gave no answer for 0.5 s while reading {shards[0].path}" in said
    feed.close()


# The interpreter of a worker imports `sitecustomize` when it starts.
TRAP = """
import os, signal, sys

def kill(event, arguments):
    if event == "open" and str(arguments[0]).endswith("split_data_00002.csv"):
        os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(kill)
"""


def test_a_shard_that_kills_its_readers_ends_the_run_and_is_named(
    spec: FeatureSpec,
    shards: list[Shard],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "sitecustomize.py").write_text(TRAP)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    feed = Feed(spec, workers=1)
    owner = Owner()
    records = numbers(spec, feed.read([shards[0]], ahead=shards[1:5], owner=owner)[0].x)
    records += numbers(spec, feed.read([shards[1]], ahead=shards[2:6], owner=owner)[0].x)
    assert records == list(range(20))
    with pytest.raises(WorkerError) as caught:
        feed.read([shards[2]], ahead=shards[3:7], owner=owner)
    assert str(caught.value).startswith(
        f"{shards[2].path}: expected a worker that gets through, found 3 that did not; "
        f"the last was killed by SIGKILL (out of memory?) while reading {shards[2].path}"
    )
    assert capfd.readouterr().err.count("another one takes its place") == 2
    # The feed itself goes on.
    assert numbers(spec, feed.read([shards[3]], owner=owner)[0].x) == list(range(30, 40))
    feed.close()


def test_a_shard_that_is_never_read_ends_the_run_and_is_named(
    spec: FeatureSpec, tmp_path: Path
) -> None:
    stuck = Shard(str(tmp_path / "split_data_00000.csv"), 10)
    os.mkfifo(stuck.path)
    feed = Feed(spec, workers=1, timeout_s=0.3)
    with pytest.raises(WorkerError, match=r"the last gave no answer for 0\.3 s while reading"):
        feed.read([stuck], owner=Owner())
    feed.close()


def test_workers_that_cannot_start_end_the_run(
    spec: FeatureSpec,
    shards: list[Shard],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "pyarrow.py").write_text("raise ImportError('a broken installation')")
    monkeypatch.syspath_prepend(tmp_path)
    feed = Feed(spec, workers=2)
    with pytest.raises(WorkerError) as caught:
        feed.read([shards[0]], owner=Owner())
    assert str(caught.value).startswith(
        "the start of a worker: expected a worker that gets through, found 3 that did not; "
        "the last ended with exit status 1 while starting"
    )
    assert "a broken installation" in capfd.readouterr().err
    feed.close()


def _delete(path: Path) -> None:
    path.unlink()


def _truncate(path: Path) -> None:
    os.truncate(path, 20)


def _change(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"30.5", b"31.5"))


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        (_delete, "expected a shard, found No such file or directory; run the same"),
        (_truncate, "expected 78 bytes, as in the manifest, found 20; the shard has changed"),
        (_change, "expected the checksum in the manifest, found another one; the shard has"),
    ],
)
@pytest.mark.parametrize("workers", [0, 2])
def test_a_shard_that_changes_during_the_run_is_named(
    damage: object, found: str, workers: int, tmp_path: Path
) -> None:
    assert callable(damage)
    spec, shards = open_numbered(write_numbered(tmp_path / "log", 100))
    feed = Feed(spec, workers=workers)
    owner = Owner()
    assert list(read_all(feed, shards[:3], owner)) == list(range(30))
    pids = feed.pids
    damage(Path(shards[3].path))
    with pytest.raises(ContractError) as caught:
        feed.read([shards[3]], owner=owner)
    assert str(caught.value).startswith(f"{shards[3].path}: {found}")
    # It was no worker's fault.
    assert feed.pids == pids
    feed.close()


def test_a_field_that_does_not_fit_is_named_with_its_shard(tmp_path: Path) -> None:
    spec, shards = open_numbered(write_numbered(tmp_path / "log", 20))
    bad = Path(shards[1].path)
    bad.write_bytes(bad.read_bytes().replace(b"15.5", b"many"))
    feed = Feed(spec, workers=1)
    with pytest.raises(ContractError, match=r"00001\.csv, column 'n': .*found 'many'"):
        feed.read([Shard(str(bad), 10)], owner=Owner())
    feed.close()


@pytest.mark.parametrize(
    ("arguments", "found"),
    [({"workers": -1}, "workers: expected 0 or more"), ({"timeout_s": 0}, "timeout_s")],
)
def test_arguments_out_of_bounds_are_refused(
    spec: FeatureSpec, arguments: dict[str, int], found: str
) -> None:
    with pytest.raises(ConfigError, match=found):
        Feed(spec, **arguments)


def test_time_that_nobody_waited_does_not_count_against_a_worker(
    spec: FeatureSpec,
    shards: list[Shard],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    feed = Feed(spec, workers=1, timeout_s=60.0)
    owner = Owner()
    feed.read([shards[0]], ahead=shards[1:9], owner=owner)
    now_s = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: now_s() + 100.0)
    assert list(read_all(feed, shards[1:], owner)) == list(range(10, 400))
    assert capfd.readouterr().err == ""
    feed.close()
