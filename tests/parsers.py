"""What the fuzzers feed: each parser of bytes that may be anybody's.

A parser takes any bytes, and says what is wrong with them in an error of `shared.errors`. Whatever
else it raises is a bug.
"""

from __future__ import annotations

import csv
import io
import struct
import tempfile
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import TypeVar

import msgspec
import numpy as np
import xxhash
from support import write_dataset

from sharder.disk.receipt import Known, Receipt, load_receipt
from sharder.graph.buckets import Buckets
from sharder.graph.ledger import Ledger
from sharder.graph.number import Numbering
from sharder.graph.profile import restore_profile
from sharder.graph.shards import ShardTable
from sharder.info import print_info
from sharder.records.align import align, begin
from sharder.records.encoding import UTF8
from sharder.records.scan import scan
from sharder.run.checkpoint import Checkpoint, Job, SourceState, load_checkpoint
from sharder.sides.strata import Strata
from sharder.sources.source import open_sources
from shared.block_profile import profile_block
from shared.dialect import PLAIN, Dialect
from shared.errors import ContractError, ShardfitError
from shared.layout import MANIFEST_NAME, Side
from shared.manifest import Split
from shared.manifest_file import read_manifest
from shared.profile import ColumnProfile, Profile
from shared.snapshot import pack, seal
from shared.values import read_text
from trainer.caching.cache import CONTENTS_NAME, Contents, map_array, read_contents
from trainer.derive.edits import load_edits
from trainer.derive.rules import derive_features
from trainer.features.encode import Encoder
from trainer.features.read import read_records
from trainer.rundir import FEATURES_NAME, RUN_NAME, load_run
from trainer.shards.dataset import Dataset
from trainer.shards.shard import Shard
from trainer.training.checkpoint import FORMAT, Checkpoints

CORPUS = Path(__file__).with_name("corpus")
# What a receipt is of; only its checksum counts.
_RECEIVED = b"a manifest"

T = TypeVar("T")


def parse(target: str, data: bytes) -> None:
    """Give bytes to a parser; what it says of them is ignored."""
    with tempfile.TemporaryDirectory() as directory, suppress(ShardfitError):
        PARSERS[target](data, Path(directory))


def seeds(target: str) -> list[bytes]:
    """Return what a parser takes without complaint, to begin with."""
    if target in _MADE:
        return _MADE[target]()
    return [path.read_bytes() for path in sorted((CORPUS / target).iterdir())]


def _taken(found: T | None) -> T:
    """Return what was read; where a parser says by None that it is no good, make it an error.

    Else nobody would see that what the fuzzers begin with is refused at once.
    """
    if found is None:
        raise ContractError("what was read", found="None")
    return found


def parse_records(data: bytes, directory: Path) -> None:
    """Find records in pieces of any size; Python's csv module finds the same ones."""
    size, quoted, body = (data[0] or 1) if data else 1, data[1:2] != b"'", data[2:]
    dialect = PLAIN if quoted else Dialect(";", "'")
    found, state = 0, begin()
    for start in range(0, len(body), size):
        last = start + size >= len(body)
        piece = body[start : start + size] + (b"\n" if last and body[-1:] not in b"\r\n" else b"")
        scanned = scan(piece, last=last, offset=start, dialect=dialect)
        state = align(scanned, state, source="", encoding=UTF8, max_record_bytes=1 << 20)
        found = state.records
    with suppress(UnicodeDecodeError):
        rows = csv.reader(
            io.StringIO(body.decode(), newline=""),
            delimiter=dialect.delimiter,
            quotechar=dialect.quote,
        )
        assert found == sum(1 for row in rows if row)


def parse_header(data: bytes, directory: Path) -> None:
    """Open a source: what it is packed and written in, its dialect, its header."""
    file = directory / "source.csv"
    file.write_bytes(data[1:])
    delimiter = ",;\t|"[data[0] % 4] if data else ","
    encoding = UTF8 if not data or data[0] & 4 else None
    open_sources(
        [file],
        encoding=encoding,
        dialect=Dialect(delimiter, '"'),
        columns=(),
        max_record_bytes=1 << 20,
    )


def parse_manifest(data: bytes, directory: Path) -> None:
    """Read a manifest, print it, and derive features from it for each label."""
    (directory / MANIFEST_NAME).write_bytes(data)
    found = read_manifest(directory)
    assert found
    manifest = found[0]
    with redirect_stdout(io.StringIO()):
        print_info(directory, manifest)
    shards: dict[Side, tuple[Shard, ...]] = {}
    for side, some in manifest.sides.items():
        shards[side] = (Shard("nowhere", some.records),)
    dataset = Dataset(path=directory, columns=manifest.columns or (), shards=shards)
    for column in dataset.columns:
        with suppress(ShardfitError):
            Encoder(derive_features(dataset, label=column.name))


def parse_run(data: bytes, directory: Path) -> None:
    """Read a run.json, and make ready to encode as it says."""
    (directory / RUN_NAME).write_bytes(data)
    spec = load_run(directory).spec
    records = "".join(f"{feature.column}," for feature in spec.features)
    with suppress(ShardfitError):
        encoder = Encoder(spec)
        line = f"{records}{spec.label.column}\n{',' * len(records)}\n"
        encoder.encode(read_records(line.encode(), encoder.types))


def parse_features(data: bytes, directory: Path) -> None:
    """Read a file of features."""
    (directory / FEATURES_NAME).write_bytes(data)
    load_edits(directory / FEATURES_NAME)


def parse_cache(data: bytes, directory: Path) -> None:
    """Read what a cache says that it holds."""
    (directory / CONTENTS_NAME).write_bytes(data)
    read_contents(directory)


def parse_array(data: bytes, directory: Path) -> None:
    """Map an array of a cache."""
    (directory / "x.npy").write_bytes(data)
    map_array(directory / "x.npy", (3, 2))


def parse_sharder_checkpoint(data: bytes, directory: Path) -> None:
    """Read the checkpoint of a split, with a checksum that is right."""
    (directory / ".checkpoint").write_bytes(data + xxhash.xxh3_128_digest(data))
    _, columns = _taken(load_checkpoint(directory / ".checkpoint"))
    _taken(restore_profile(columns, ("a", "b")))


def parse_receipt(data: bytes, directory: Path) -> None:
    """Read the receipt of a split, with a checksum that is right, of a dataset that is there."""
    (directory / MANIFEST_NAME).write_bytes(_RECEIVED)
    (directory / ".receipt").write_bytes(data + xxhash.xxh3_128_digest(data))
    _taken(load_receipt(directory / ".receipt", directory))


def parse_profile(data: bytes, directory: Path) -> None:
    """Read the profile of a column in the checkpoint of a split."""
    _taken(restore_profile([memoryview(data)], ("a",)))


def parse_trainer_checkpoint(data: bytes, directory: Path) -> None:
    """Read the checkpoint of a run, with a checksum that is right."""
    path = directory / "epoch-00000-batch-000000001.state"
    path.write_bytes(data + xxhash.xxh3_128_digest(data))
    Checkpoints(directory).load(lambda line: None)


def _sharder_checkpoint() -> list[bytes]:
    source = SourceState("drop.csv", 100, "1", "0" * 32)
    checkpoint = Checkpoint(
        job=Job(options={"seed": "0"}, sources=(source,)),
        blocks=1,
        read_bytes=50,
        alignment=begin(),
        strata=Strata(),
        numbering=Numbering(),
        ledger=Ledger.begin(("a", "b"), Path("x"), data_bytes=100, max_rejected=0.1),
        shards=ShardTable(),
        buckets=Buckets.begin(1 << 20, 1000),
        gathered=1,
        split=Split(seed=0, validate_fraction=0.1),
    )
    return [_body(checkpoint, *_columns(("a", "b")))]


def _receipt() -> list[bytes]:
    sources = (Known(100, "0" * 32, True),)
    manifest = xxhash.xxh3_128_hexdigest(_RECEIVED)
    return [_body(Receipt(options={"seed": "0"}, sources=sources, manifest=manifest))]


def _body(*states: object) -> bytes:
    return b"".join(seal(states))[:-16]


def _profile() -> list[bytes]:
    return [pack(column) for column in _columns(("a", "a"))]


def _columns(names: Sequence[str]) -> list[ColumnProfile]:
    text = b"1,x\n2.5,2025-04-01\n,NA\n0012,true\n"
    profile = Profile.begin(names)
    for line in (text, text * 3):
        profile.add(profile_block(names, read_text(line, names)))
    return profile.column_profiles


def _manifest() -> list[bytes]:
    header = ["id", "x", "when", "kind", "flag", "empty", "clear"]
    records = [
        [f"{n}", f"{n % 7}.5", f"2025-04-{n % 28 + 1:02d}", "ab"[n % 2], "true", "", "01"[n % 2]]
        for n in range(200)
    ]
    train, validate = records[:150], records[150:]
    with tempfile.TemporaryDirectory() as directory:
        dataset = Path(directory) / "log"
        write_dataset(dataset, header, train, validate=validate, rows_per_shard=50)
        return [(dataset / MANIFEST_NAME).read_bytes()]


def _cache() -> list[bytes]:
    contents = Contents(
        dataset="data/log_quest",
        side=Side.TRAIN,
        records=179,
        features=11,
        arrays=("x.npy", "y.npy"),
        xxh3_128=("a" * 32, "0" * 32),
    )
    return [msgspec.json.encode(contents)]


def _trainer_checkpoint() -> list[bytes]:
    label = {"column": "y", "task": "binary", "reading": "text", "classes": ["a", "b"]}
    row = {"metrics": {"loss": 0.5}, "score": 0.5, "learning_rate": 0.1, "ended_s": 1.0}
    head = {
        "format": FORMAT,
        "origin": {
            "options": {"seed": 1},
            "dataset": "0",
            "spec": {"features": [], "label": label},
            "backend": "tensorflow",
            "versions": {},
        },
        "progress": {"until": 3, "batch": 2, "rows": [row]},
        "variables": [["float32", [2, 3], 24], ["int32", [], 4]],
        "best": [],
    }
    encoded = msgspec.msgpack.encode(head)
    return [struct.pack("<Q", len(encoded)) + encoded + bytes(28)]


def _array() -> list[bytes]:
    file = io.BytesIO()
    np.save(file, np.zeros((3, 2), np.float32))
    return [file.getvalue()]


PARSERS: dict[str, Callable[[bytes, Path], None]] = {
    "records": parse_records,
    "header": parse_header,
    "manifest": parse_manifest,
    "run": parse_run,
    "features": parse_features,
    "cache": parse_cache,
    "array": parse_array,
    "sharder-checkpoint": parse_sharder_checkpoint,
    "receipt": parse_receipt,
    "profile": parse_profile,
    "trainer-checkpoint": parse_trainer_checkpoint,
}
# Made anew, so that they have the form that this version writes.
_MADE: dict[str, Callable[[], list[bytes]]] = {
    "manifest": _manifest,
    "cache": _cache,
    "array": _array,
    "sharder-checkpoint": _sharder_checkpoint,
    "receipt": _receipt,
    "profile": _profile,
    "trainer-checkpoint": _trainer_checkpoint,
}
