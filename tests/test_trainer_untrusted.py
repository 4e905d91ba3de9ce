"""Datasets, runs, models and caches that somebody else made: no code of theirs runs."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import zipfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from patience import PATIENCE_S
from resuming import fit, make_home
from splitting import tree
from training import TRAINER

from shared.errors import ModelError
from trainer.rundir import load_run
from trainer.sequence import CSVSequence
from trainer.serving.restore import load_core

FEW = ("--model", "own:plain", "--epochs", 1, "--batch-size", 300)
PLAIN = """
def plain(spec):
    return keras.Sequential([keras.Input((spec.width,)), keras.layers.Dense(1, name="last")])
"""
# What a run writes under another name first.
TEMPORARY = (
    *(".run.json.tmp", ".history.csv.tmp", "tmp-model.keras", "checkpoints/tmp.state"),
    ".features.toml.tmp",
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset, and a run into a directory where somebody has laid links to what is precious."""
    home = make_home(tmp_path_factory.mktemp("untrusted"))
    with (home / "own.py").open("a") as file:
        file.write(PLAIN)
    (home / "precious").mkdir()
    (home / "precious/x.npy").write_text("precious")
    for name in TEMPORARY:
        place = home / "run" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(home / "precious/x.npy")
    cache = home / "data/.log.cache"
    cache.mkdir()
    (cache / f"train-{'0' * 16}-{'0' * 16}.partial").symlink_to(home / "precious")
    fit(home, "run", *FEW)
    return home


def test_links_that_somebody_has_laid_lead_nowhere(home: Path) -> None:
    assert tree(home / "precious") == {"x.npy": b"precious"}
    assert not any(path.is_symlink() for path in (home / "run").iterdir())
    assert not any(path.name in TEMPORARY for path in (home / "run").iterdir())
    for name in ("checkpoints", "tensorboard"):
        other = home / f"with-{name}"
        other.mkdir()
        (other / name).symlink_to(home / "precious")
        assert f"{name}: expected a file or directory of an earlier run, or none, found a link" in (
            fit(home, other.name, *FEW, status=1)
        )
    assert tree(home / "precious") == {"x.npy": b"precious"}


def test_a_link_in_the_place_of_the_cache_is_not_written_to(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = home / "data/.log.cache"
    place.rename(home / "data/aside")
    (tmp_path / "elsewhere").mkdir()
    place.symlink_to(tmp_path / "elsewhere")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    sequence = CSVSequence(home / "data/log", label="clear", workers=0, shuffle=False)
    with closing(sequence):
        for index in range(len(sequence)):
            sequence[index]
    assert not list((tmp_path / "elsewhere").iterdir())
    assert list((tmp_path / "user/shardfit").iterdir())


def names_a_function(layer: dict[str, Any], proof: Path) -> None:
    layer["config"]["activation"] = {
        "module": "os", "class_name": "function", "config": "system", "registered_name": "system"
    }  # fmt: skip


def is_a_program(layer: dict[str, Any], proof: Path) -> None:
    layer |= {"module": "subprocess", "class_name": "Popen", "registered_name": "Popen"}
    layer["config"] = {"args": ["touch", str(proof)]}


def is_a_lambda(layer: dict[str, Any], proof: Path) -> None:
    import marshal

    code = compile(f"lambda x: __import__('os').system('touch {proof}') or x", "", "eval")
    function = code.co_consts[0]
    dumped = base64.b64encode(marshal.dumps(function)).decode()
    value = {"class_name": "__lambda__", "config": {"value": [dumped, None, None]}}
    layer |= {"class_name": "Lambda", "registered_name": None}
    layer["config"] = {"name": "last", "trainable": True, "dtype": "float32", "function": value}


def allows_code(layer: dict[str, Any], proof: Path) -> None:
    name = "enable_unsafe_deserialization"
    layer["config"]["activation"] = {
        "module": "keras.config", "class_name": "function", "config": name, "registered_name": name
    }  # fmt: skip


def imports_a_module(layer: dict[str, Any], proof: Path) -> None:
    layer |= {"module": "evil", "class_name": "Layer", "registered_name": "evil>Layer"}


def rewrite(old: Path, new: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    """Pack a model anew, with its layer named "last" changed."""

    def visit(node: Any) -> None:
        if isinstance(node, dict):
            if isinstance(node.get("config"), dict) and node["config"].get("name") == "last":
                edit(node)
            else:
                for value in node.values():
                    visit(value)
        elif isinstance(node, list):
            for value in node:
                visit(value)

    with zipfile.ZipFile(old) as source, zipfile.ZipFile(new, "w") as target:
        for name in source.namelist():
            data = source.read(name)
            if name == "config.json":
                config = json.loads(data)
                visit(config)
                data = json.dumps(config).encode()
            target.writestr(name, data)


def test_a_model_that_was_only_packed_anew_is_loaded(home: Path, tmp_path: Path) -> None:
    found: list[str] = []
    model = tmp_path / "model.keras"
    rewrite(home / "run/model.keras", model, lambda layer: found.append(layer["class_name"]))
    assert found == ["Dense"]
    assert load_core(tmp_path, load_run(home / "run")).layers[-1].name == "last"


@pytest.mark.parametrize(
    "edit", [names_a_function, is_a_program, is_a_lambda, allows_code, imports_a_module]
)
def test_no_code_in_a_model_runs(
    home: Path,
    tmp_path: Path,
    edit: Callable[[dict[str, Any], Path], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    proof = tmp_path / "owned"
    (tmp_path / "evil.py").write_text(f"open({str(proof)!r}, 'w')\n")
    monkeypatch.syspath_prepend(tmp_path)
    model = tmp_path / "model.keras"
    rewrite(home / "run/model.keras", model, lambda layer: edit(layer, proof))
    with pytest.raises(ModelError, match="expected the model that `trainer fit` saved, found"):
        load_core(tmp_path, load_run(home / "run"))
    assert not proof.exists()


def test_a_model_that_unpacks_to_a_thousand_times_its_size_is_refused(
    home: Path, tmp_path: Path
) -> None:
    with zipfile.ZipFile(tmp_path / "model.keras", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("config.json", bytes(100 << 20))
    with pytest.raises(ModelError, match=r"found \d+,\d+ bytes that unpack to 104,857,600"):
        load_core(tmp_path, load_run(home / "run"))


def test_a_module_that_a_run_names_is_imported_only_if_the_command_line_names_it(
    home: Path,
) -> None:
    text = (home / "run/run.json").read_text()
    assert '"own:plain"' in text
    other = home / "other"
    other.mkdir()
    (other / "run.json").write_text(text.replace('"own:plain"', '"evil:build"'))
    (other / "model.keras").symlink_to(home / "run/model.keras")
    (home / "evil.py").write_text("open('owned', 'w')\n")
    source = home / "data/log/splited/split_data_00000.csv"
    predict = [TRAINER, "predict", "other", str(source), "--out", "out.csv"]
    subprocess.run(predict, cwd=home, check=True, capture_output=True)
    assert not (home / "owned").exists()
    assert len((home / "out.csv").read_text().splitlines()) == 101


class Owned:
    def __reduce__(self) -> tuple[object, ...]:
        return os.system, ("touch owned",)


def holds_objects(cache: Path) -> None:
    np.save(cache / "x.npy", np.array([Owned()] * 10, object), allow_pickle=True)


def claims_the_world(cache: Path) -> None:
    with (cache / "x.npy").open("wb") as file:
        header = {"shape": (2**60, 5), "fortran_order": False, "descr": "<f4"}
        np.lib.format.write_array_header_1_0(file, header)


def claims_nonsense(cache: Path) -> None:
    data = (cache / "x.npy").read_bytes()
    (cache / "x.npy").write_bytes(data.replace(b"{'descr'", b"{[]:1,'d'", 1))


def is_nested(cache: Path) -> None:
    (cache / "cache.json").write_text('{"x": ' + "[" * 100_000)


def is_a_pipe(cache: Path) -> None:
    (cache / "y.npy").unlink()
    os.mkfifo(cache / "y.npy")


@pytest.mark.parametrize(
    "edit", [holds_objects, claims_the_world, claims_nonsense, is_nested, is_a_pipe]
)
def test_a_cache_is_only_numbers(
    home: Path, tmp_path: Path, edit: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said: list[str] = []

    def read() -> Any:
        sequence = CSVSequence(
            home / "data/log", label="clear", workers=0, shuffle=False, cache=tmp_path / "c",
            say=said.append,
        )  # fmt: skip
        with closing(sequence):
            return [sequence[index][0] for index in range(len(sequence))]

    expected = read()
    (cache,) = (tmp_path / "c").iterdir()
    edit(cache)
    found = read()
    assert all(np.array_equal(*pair) for pair in zip(found, expected, strict=True))
    (line,) = said
    assert line.endswith("the cache is removed, and the shards are read instead")
    assert not (tmp_path / "owned").exists()


def test_a_source_without_an_end_is_refused(home: Path, tmp_path: Path) -> None:
    (tmp_path / "hole.csv").touch()
    os.truncate(tmp_path / "hole.csv", 1 << 40)
    os.mkfifo(tmp_path / "pipe.csv")
    for name, fault in (("hole.csv", "a line of 16,777,216 characters"), ("pipe.csv", "no plain")):
        command = [TRAINER, "predict", str(home / "run"), name, "--out", "out.csv"]
        done = subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE_S
        )
        assert done.returncode == 1
        assert fault in done.stderr
        assert "Traceback" not in done.stderr
