"""The next drop goes into the same dataset, as if it had been there from the beginning."""

from __future__ import annotations

import gzip
import io
import json
import shutil
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path
from random import Random

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from patience import PATIENCE_S
from splitting import failure, sharder, tree, write

from sharder.config import SplitConfig
from sharder.split import run

FIELDS = ["1", "2.5", "-0", "0012", "x", "NA", "", "2025-04-01", "true", '"q,""q\n"', "9" * 17]
records = st.one_of(
    st.tuples(st.sampled_from(FIELDS), st.sampled_from("abc")).map(",".join),
    st.just("one field"),
)
drops = st.tuples(
    st.lists(records, max_size=12).map("\n".join),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
).map(lambda drop: f"a,b\n{drop[0]}\n0,c{drop[1] * drop[2]}".replace("\n", drop[1]))
rules = st.sampled_from([{}, {"group_by": "b"}, {"stratify": "b"}, {"test_fraction": 0.3}])


@settings(max_examples=30)
@given(
    drops=st.lists(drops, min_size=2, max_size=3),
    rule=rules,
    rows=st.integers(1, 5),
    block_bytes=st.integers(5, 90),
    seed=st.integers(0, 9),
)
def test_drops_one_after_the_other_give_the_bytes_of_all_at_once(
    drops: list[str], rule: dict[str, object], rows: int, block_bytes: int, seed: int
) -> None:
    options = {"rows_per_shard": rows, "block_bytes": block_bytes, "seed": seed, "workers": 2,
               "max_rejected": 1.0, "validate_fraction": 0.3, **rule}  # fmt: skip
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        paths = []
        for number, text in enumerate(drops):
            # The first must have records for training, and none may be another's twin.
            more = "\n7,a" * 40 if number == 0 else f"\n{number},a"
            paths.append(write(home, text + more + "\n", f"{number}.csv"))
        whole = run(SplitConfig(sources=tuple(paths), out=home / "whole", **options))  # type: ignore[arg-type]
        run(SplitConfig(sources=(paths[0],), out=home / "grown", **options))  # type: ignore[arg-type]
        for path in paths[1:]:
            grown = run(SplitConfig(sources=(path,), out=home / "grown", append=True, **options))  # type: ignore[arg-type]
        one, other = tree(home / "whole"), tree(home / "grown")
        del one["log_quest/manifest.json"], other["log_quest/manifest.json"]
        assert one == other
        first, second = whole.manifest, grown.manifest
        assert (first.sides, first.columns) == (second.sides, second.columns)
        assert (first.records, first.rejected) == (second.records, second.rejected)
        assert [drop.sources[0].path for drop in second.drops] == list(map(str, paths))


def make_drops(home: Path) -> None:
    random = Random(0)
    for name, first, count in (("a.csv", 0, 230), ("b.csv", 230, 170), ("c.csv", 400, 50)):
        lines = ["id,player,score"]
        for number in range(first, first + count):
            score = "" if number % 7 == 0 else f"{random.gauss(10, 3):.3f}"
            lines.append(f'{number},"p{random.randrange(30)}",{score}')
            if number % 100 == 3:
                lines.append(f"bad,{number}")
        write(home, "\n".join(lines) + "\n", name)


OPTIONS = ("--out", "data", "--rows-per-shard", 40, "--test-fraction", "20%", "--seed", 3,
           "--group-by", "player", "--max-rejected", "3%")  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with three drops, a dataset of the first, and in `whole` one of all."""
    home = tmp_path_factory.mktemp("made")
    make_drops(home)
    sharder("split", "a.csv", *OPTIONS, cwd=home)
    (home / "whole").mkdir()
    sharder("split", "../a.csv", "../b.csv", "../c.csv", *OPTIONS, cwd=home / "whole")
    return home


@pytest.fixture
def home(made: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return tmp_path


def shards(dataset: Path) -> dict[str, bytes]:
    return {name: data for name, data in tree(dataset).items() if "splited" in name}


def test_options_are_those_of_the_dataset_and_drops_may_be_packed_or_piped(home: Path) -> None:
    done = sharder("split", "b.csv", "--out", "data", "--append", "--max-rejected", 1, cwd=home)
    assert "drop 2: 171 records, 1 of them rejected" in done.stderr
    assert "404 records = " in done.stderr
    packed = gzip.compress((home / "c.csv").read_bytes())
    sharder("split", "-", "--out", "data", "--append", "--max-rejected", 1, cwd=home, stdin=packed)
    assert shards(home / "data") == shards(home / "whole/data")
    assert "no player is on two sides" in sharder("verify", "data/log_quest", cwd=home).stdout
    shown = sharder("info", "data/log_quest", cwd=home).stdout
    size = (home / "b.csv").stat().st_size
    assert f"drop 2: 171 records, 1 of them rejected, from b.csv ({size / 1e3:.1f} kB)" in shown

    frame = pd.concat(
        pd.read_csv(io.BytesIO(data), dtype={"player": str})
        for data in shards(home / "data").values()
    )
    found = json.loads(sharder("info", "data/log_quest", "--json", cwd=home).stdout)
    columns = {column["name"]: column for column in found}
    for name in ("id", "score"):
        expected = frame[name].agg(["count", "min", "max", "mean"])
        own = columns[name]
        assert (own["minimum"], own["maximum"]) == (expected["min"], expected["max"])
        assert own["missing"] == len(frame) - expected["count"]
        assert own["mean"] == pytest.approx(expected["mean"], rel=1e-11)
        assert own["variance"] == pytest.approx(frame[name].var(ddof=0), rel=1e-11)
        assert own["distinct"] == frame[name].nunique()
    assert dict(columns["player"]["top"]) == frame["player"].value_counts().to_dict()


def test_a_script_appends_with_the_options_that_it_began_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for number in range(2):
        write(tmp_path, "n\n" + "".join(f"{number}{n}\n" for n in range(300)))
        append = bool(number)
        result = run(SplitConfig(sources=(Path("drop.csv"),), out=Path("data"), append=append))
    assert result.manifest.records == 600


def test_what_an_appended_dataset_has_lost_is_repaired(home: Path) -> None:
    sharder("split", "b.csv", "--out", "data", "--append", "--max-rejected", 1, cwd=home)
    before = tree(home / "data")
    shutil.rmtree(home / "data/log_quest_validate")
    (home / "data/log_quest/splited/split_data_00004.csv").unlink()
    (home / "data/log_quest/rejected/records.csv").write_text("")
    sharder("repair", "data/log_quest", cwd=home)
    assert tree(home / "data") == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--seed", 4), "expected the options of data/log_quest, found --seed was 3, and is 4 now"),
        (
            ("--stratify", "player"),
            "--group-by was player, and is not given now; --stratify was not",
        ),
        (("--rows-per-shard", 30), "--rows-per-shard was 40, and is 30 now"),
        (("--no-profile",), "--profile was on, and is off now"),
        (("--delimiter", ";"), "--delimiter was ,, and is ; now"),
        (("--shuffle",), "--shuffle was off, and is on now"),
        (("--name", "log"), "data/log: expected a dataset with a manifest.json, found no such"),
    ],
)
def test_a_drop_of_another_kind_is_refused(home: Path, options: object, message: str) -> None:
    before = tree(home / "data")
    assert isinstance(options, tuple)
    append = ("split", "b.csv", "--out", "data", "--append", *options)
    for told in (failure(*append, cwd=home), failure(*append, "--dry-run", cwd=home)):
        assert message in told
    assert tree(home / "data") == before
    assert [path.name for path in (home / "data").iterdir() if path.name[0] == "."] == []


def test_a_drop_with_other_columns_or_one_that_is_there_is_refused(home: Path) -> None:
    write(home, "id,player,rank\n1,p1,2\n", "d.csv")
    told = failure("split", "d.csv", "--out", "data", "--append", cwd=home)
    assert "expected the columns of data/log_quest, found no 'score' but 'rank'" in told
    shutil.copy(home / "a.csv", home / "again.csv")
    told = failure("split", "again.csv", "--out", "data", "--append", cwd=home)
    assert "again.csv: expected a new drop, found a.csv, which is in data/log_quest already" in told
    (home / "data/log_quest/state_1.msgpack").write_bytes(b"")
    told = failure("split", "b.csv", "--out", "data", "--append", cwd=home)
    assert "state_1.msgpack: expected what --append goes on from, found another file" in told
    assert "state_1.msgpack: expected " in failure("verify", "data/log_quest", cwd=home)
    options = ("--append", "--overwrite")
    done = sharder("split", "b.csv", "--out", "data", *options, cwd=home, status=2)
    assert "--append: expected no --overwrite beside it, found both" in done.stderr


# Runs the program again and again in a child, which is killed when it changes a file for the n-th
# time, until it is not killed any more. The parent has no threads, so it can fork.
KILLS = """
    import os, shutil, signal, sys, traceback
    from pathlib import Path
    import sharder.graph.profile, sharder.report, sharder.split, sharder.dataset.verify
    from sharder.cli import main
    from splitting import tree
    from trainer.shards.dataset import open_dataset
    from trainer.shards.shard import load_shard

    CHANGES = {"os.rename", "os.remove", "os.rmdir", "os.mkdir"}

    def in_child(work, last=None):
        child = os.fork()
        if child:
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        left = last

        def look(event, arguments):
            nonlocal left
            writes = event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR)
            if left is not None and (event in CHANGES or writes):
                left -= 1
                if left < 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(look)
        told = os.open("told", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(told, 1)
        os.dup2(told, 2)
        try:
            work()
            os._exit(0)
        except SystemExit as error:
            os._exit(error.code)
        except BaseException:
            traceback.print_exc()
            os._exit(99)

    def sharder(*arguments):
        sys.argv = ["sharder", *arguments]
        main()

    def append():
        sharder("split", "b.csv", "c.csv", "--out", "data", "--append", "--block-bytes", "1000",
                "--max-rejected", "1")

    def read():
        # As a training does, which knows one manifest for all its time.
        dataset = open_dataset("data/log_quest")
        for side in dataset.shards.values():
            for shard in side:
                load_shard(shard)

    data, manifest = Path("data"), Path("data/log_quest/manifest.json")
    receipt = Path("data/.log_quest.partial/.receipt")
    before = manifest.read_bytes()
    shutil.copytree("data", "first")
    assert in_child(append) == 0
    expected = tree(data)
    kept = unsaid = 0
    for moment in range(1000):
        shutil.rmtree("data")
        shutil.copytree("first", "data")
        ended = in_child(append, moment)
        if ended == 0:
            break
        assert ended == -signal.SIGKILL, ended
        done = manifest.read_bytes() != before
        kept += not done
        assert in_child(lambda: sharder("verify", "data/log_quest")) == 0, moment
        assert in_child(read) == 0, moment
        # All was done, but nobody was told: the same command says so, once.
        is_told = done and not receipt.exists()
        unsaid += done and not is_told
        assert in_child(append) == is_told, moment
        assert tree(data) == expected, moment
        if done:
            assert in_child(append) == 1, moment
    print(moment, kept, unsaid)
"""


def test_killed_at_any_moment_it_leaves_the_old_dataset_and_ends_with_the_same_bytes(
    home: Path,
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(KILLS)],
        cwd=home,
        env={"PYTHONPATH": str(Path(__file__).parent), "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    told = home / "told"
    assert done.returncode == 0, done.stderr + (told.read_text()[-2000:] if told.exists() else "")
    moments, kept, unsaid = map(int, done.stdout.split())
    assert moments > 30
    assert kept > 20
    assert unsaid > 3
