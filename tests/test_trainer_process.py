"""Worker processes end with their feed and with their program, however that ends."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest
from feeding import ROOT, Owner, alive, comes_true, read_all
from patience import PATIENCE_S

from shared.errors import ConfigError, WorkerError
from trainer.features.spec import FeatureSpec
from trainer.feeding.feed import Feed
from trainer.shards.shard import Shard


def test_closing_leaves_no_process(feed: Feed, shards: list[Shard]) -> None:
    feed.read([shards[0]], owner=Owner())
    pids = feed.pids
    assert len(alive(pids)) == 2
    feed.close()
    assert comes_true(lambda: not alive(pids))
    with pytest.raises(WorkerError, match="closed"):
        feed.read([shards[0]], owner=Owner())


def test_a_feed_that_is_dropped_leaves_no_process(spec: FeatureSpec, shards: list[Shard]) -> None:
    feed = Feed(spec, workers=2)
    feed.read([shards[0]], owner=Owner())
    pids = feed.pids
    del feed
    gc.collect()
    assert comes_true(lambda: not alive(pids))


def test_closing_wakes_the_thread_that_waits(spec: FeatureSpec, tmp_path: Path) -> None:
    stuck = Shard(str(tmp_path / "split_data_00000.csv"), 10)
    os.mkfifo(stuck.path)
    feed = Feed(spec, workers=1)
    failed: list[BaseException] = []

    def wait() -> None:
        try:
            feed.read([stuck], owner=Owner())
        except WorkerError as error:
            failed.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    assert comes_true(lambda: len(feed.pids) == 1)
    feed.close()
    thread.join(PATIENCE_S)
    assert not thread.is_alive()
    assert "closed" in str(failed[0])


READER = """
    import sys, time
    from pathlib import Path
    from feeding import open_numbered
    from trainer.feeding.feed import Feed

    spec, shards = open_numbered(Path(sys.argv[1]))
    feed = Feed(spec, workers=2)
    feed.read(shards[:2], ahead=shards[2:10], owner=feed)
    print(*feed.pids, flush=True)
    time.sleep(3600)
"""


def start_reader(dataset: Path) -> tuple[subprocess.Popen[str], list[int]]:
    """Start `python -c` that reads and then waits; return it and its workers."""
    program = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(READER), str(dataset)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT / "tests")},
    )
    assert program.stdout is not None
    return program, [int(pid) for pid in program.stdout.readline().split()]


@pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_workers_end_with_their_program(forty_shards: Path, kill: signal.Signals) -> None:
    program, pids = start_reader(forty_shards)
    with program:
        assert len(alive(pids)) == 2
        program.send_signal(kill)
        program.wait(PATIENCE_S)
        assert comes_true(lambda: not alive(pids))


def test_workers_leave_ctrl_c_to_their_program(feed: Feed, shards: list[Shard]) -> None:
    owner = Owner()
    # Two, so that both workers have started.
    feed.read(shards[:2], owner=owner)
    pids = feed.pids
    for pid in pids:
        os.kill(pid, signal.SIGINT)
        # Ctrl-C in a terminal goes to a process group: theirs is another one.
        assert os.getpgid(pid) != os.getpgrp()
    assert list(read_all(feed, shards, owner)) == list(range(400))
    assert feed.pids == pids


# From Python 3.12 on, a fork beside threads is warned of: here it is what is tested.
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_fork_of_the_program_is_refused_and_kills_nobody(feed: Feed, shards: list[Shard]) -> None:
    feed.read([shards[0]], owner=Owner())
    fork = os.fork()
    if fork == 0:
        status = 1
        try:
            feed.read([shards[1]], owner=feed)
        except ConfigError:
            status = 0
        finally:
            feed.close()
            os._exit(status)
    assert os.waitpid(fork, 0)[1] == 0
    assert len(alive(feed.pids)) == 2
