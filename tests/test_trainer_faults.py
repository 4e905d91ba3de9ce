"""Full and failing disks, too little memory, killed workers: told, and gone on from."""

from __future__ import annotations

import os
import re
import resource
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import pytest
from faults import failing_disk, leave_free, small_disk
from feeding import Owner, open_numbered, write_numbered
from resuming import assert_same, fit, make_home

from shared.errors import ContractError, TargetError
from trainer import evaluate, predict
from trainer.config import EvaluateConfig, FitConfig, PredictConfig
from trainer.features.encode import Batch
from trainer.feeding.feed import Feed
from trainer.fit import run as run_fit
from trainer.interrupt import Interrupted
from trainer.predicting.predictor import Predictor
from trainer.shards.shard import Shard
from trainer.training import train
from trainer.training.recorder import Recorder

# Of 30 shards, four are read at a time.
OPTIONS = ("--cache", "off", "--epochs", 1, "--shuffle-window", 4)
SHARD = "data/log_validate/splited/split_data_00002.csv"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = make_home(tmp_path_factory.mktemp("faults"))
    fit(home, "undisturbed", *OPTIONS)
    return home


def test_full_and_failing_disks_cost_no_step(home: Path, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "4m") as disk:
        run = disk / "run"
        leave_free(disk, 0)
        told = fit(home, str(run), *OPTIONS, status=1)
        assert "No space left on device; see to it, then run the same command again" in told
        left = [path for path in run.rglob("*") if not path.name.startswith(".")]
        assert left == []

        # Enough for the model that is saved first, not for the checkpoints.
        leave_free(disk, 1 << 30)
        used = sum(path.stat().st_blocks * 512 for path in (home / "undisturbed").rglob("*"))
        leave_free(disk, used - 40_000)
        told = fit(home, str(run), *OPTIONS, status=1)
        assert "No space left on device; see to it, then run the same command again" in told
        assert not (run / "run.json").exists()
        assert not list(run.glob("checkpoints/tmp*"))

        leave_free(disk, 1 << 30)
        env = failing_disk(tmp_path, home / SHARD, byte=100)
        told = fit(home, str(run), *OPTIONS, status=1, **env)
        assert f"{SHARD}: expected a shard, found Input/output error" in told
        told = fit(home, str(run), *OPTIONS)
        assert "goes on at epoch " in told
        (disk / "ballast").unlink(missing_ok=True)
        assert_same(run, home / "undisturbed")


def test_shards_that_vanish_or_change_in_mid_epoch_are_named_and_the_run_goes_on(
    home: Path,
) -> None:
    # Without workers, the process that takes them away opens them itself.
    options = (*OPTIONS, "--workers", 0)
    train, validate = home / "data/log/splited", home / "data/log_validate/splited"
    gone, cut = train / "split_data_00020.csv", validate / "split_data_00003.csv"
    whole = cut.read_bytes()

    told = fit(home, "shards", *options, status=1, FAULT=f"gone at open.*{gone.name}")
    assert f"{gone.relative_to(home)}: expected a shard, found No such file or directory" in told
    Path(f"{gone}.away").rename(gone)
    told = fit(home, "shards", *options, status=1, FAULT=f"cut at open.*validate.*{cut.name}")
    assert re.search(r"goes on at epoch 1, batch \d\d+ of 150", told)
    assert (
        f"{cut.relative_to(home)}: expected {len(whole)} bytes, as in the manifest, found 100; "
        "the shard has changed"
    ) in told
    cut.write_bytes(whole)
    told = fit(home, "shards", *OPTIONS)
    assert "goes on at epoch 1, validation" in told
    assert_same(home / "shards", home / "undisturbed")


def test_an_interruption_whose_state_cannot_be_saved_tells_so(home: Path) -> None:
    # Within the first epoch, before its first checkpoint.
    faults = "interrupted at open.*log/.*split_data_00008; full at rename.*state"
    told = fit(home, "unsaved", *OPTIONS, "--workers", 0, status=1, FAULT=faults)
    assert re.search(r"-0000000\d\d.state: expected to write a checkpoint, found No space", told)
    assert "it goes on after the one before" in told


def test_an_interruption_of_which_something_else_was_made_says_where_it_goes_on(
    home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def break_off(*_: object, **__: object) -> Iterator[None]:
        # As TensorFlow's C++, called from Python and calling it, does where it does not hold still.
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            raise SystemError("a function returned a result with an exception set") from None
        yield

    def break_off_a_step(recorder: Recorder) -> None:
        recorder.progress = msgspec.structs.replace(recorder.progress, batch=7)
        recorder._interrupts.hold()
        signal.raise_signal(signal.SIGINT)
        next(break_off())

    config = FitConfig(dataset=home / "data/log", label="clear", out=tmp_path / "run", workers=0)
    for run_epochs in (lambda *_: next(break_off()), lambda *given: break_off_a_step(given[3])):
        monkeypatch.setattr(train, "run_epochs", run_epochs)
        with pytest.raises(Interrupted) as interrupted:
            run_fit(config)
        assert interrupted.value.message == (
            "interrupted; the same command goes on at epoch 1, batch 1 of 30"
        )

    source = home / "data/log/splited/split_data_00000.csv"
    monkeypatch.setattr(Predictor, "tables", break_off)
    with pytest.raises(Interrupted) as interrupted:
        predict.run(
            PredictConfig(run=home / "undisturbed", source=source, out=tmp_path / "out.csv")
        )
    assert interrupted.value.message == "interrupted; the same command goes on after 0 records"


def test_workers_that_are_killed_change_no_metric(
    home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    config = EvaluateConfig(run=home / "undisturbed", dataset=home / "data/log", workers=2)
    expected = evaluate.run(config)
    read, calls = Feed.read, []

    def read_and_kill(
        feed: Feed, shards: Sequence[Shard], *, ahead: Sequence[Shard] = (), owner: object
    ) -> list[Batch]:
        calls.append(1)
        batches = read(feed, shards, ahead=ahead, owner=owner)
        if len(calls) in (1, 3):
            for pid in feed.pids:
                os.kill(pid, signal.SIGKILL)
        return batches

    monkeypatch.setattr(Feed, "read", read_and_kill)
    assert evaluate.run(config) == expected
    told = capfd.readouterr().err
    assert told.count("was killed by SIGKILL (out of memory?)") >= 2
    assert told.count("another one takes its place") >= 2


def test_a_shard_that_vanishes_during_an_evaluation_is_named(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = EvaluateConfig(run=home / "undisturbed", dataset=home / "data/log", workers=0)
    read, gone = Feed.read, home / SHARD

    def read_and_lose(feed: Feed, *args: Sequence[Shard], **options: object) -> list[Batch]:
        batches = read(feed, *args, **options)  # type: ignore[arg-type]
        if gone.exists():
            gone.rename(home / "away.csv")
        return batches

    monkeypatch.setattr(Feed, "read", read_and_lose)
    with pytest.raises(ContractError, match=f"{SHARD}: expected a shard, found No such file"):
        evaluate.run(config)
    (home / "away.csv").rename(gone)


def test_predictions_wait_for_room_on_the_disk(home: Path, tmp_path: Path) -> None:
    source = home / "data/log/splited/split_data_00000.csv"

    def write(out: Path) -> int:
        return predict.run(PredictConfig(run=home / "undisturbed", source=source, out=out))

    assert write(tmp_path / "expected.csv") == 100
    with small_disk(tmp_path / "disk", "1m") as disk:
        leave_free(disk, 0)
        with pytest.raises(TargetError, match="No space left on device; see to it, then run the"):
            write(disk / "out.csv")
        assert not (disk / "out.csv").exists()
        (disk / "ballast").unlink()
        write(disk / "out.csv")
        assert (disk / "out.csv").read_bytes() == (tmp_path / "expected.csv").read_bytes()
        assert [path.name for path in disk.iterdir()] == ["out.csv"]


def test_a_shard_that_is_too_large_for_the_memory_is_told(tmp_path: Path) -> None:
    spec, shards = open_numbered(write_numbered(tmp_path / "log", 20))
    large = tmp_path / "large.csv"
    large.write_text("n,clear\n" + "1.5,1\n" * 5_000_000)
    feed = Feed(spec, workers=1)
    owner = Owner()
    feed.read([shards[0]], owner=owner)
    (pid,) = feed.pids
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[0])
    limit = pages * os.sysconf("SC_PAGE_SIZE") + (16 << 20)
    resource.prlimit(pid, resource.RLIMIT_AS, (limit, limit))
    told = "expected memory to read the shard, found too little; give fewer --workers"
    with pytest.raises(ContractError, match=told):
        feed.read([Shard(str(large), 5_000_000)], owner=owner)
    # The worker has lived on.
    assert feed.pids == [pid]
    assert len(feed.read([shards[1]], owner=owner)[0].x) == 10
    feed.close()
