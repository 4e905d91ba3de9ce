"""Helpers of several tests: datasets written by hand, in the layout of the contract."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

import xxhash

from shared.block_profile import profile_block
from shared.dialect import Dialect
from shared.layout import Side, shard_dir, shard_name
from shared.manifest import Drop, Manifest, Shards, Source, Split
from shared.manifest_file import save_manifest
from shared.profile import Profile
from shared.values import read_text

Records = Sequence[Sequence[str]]


def csv_bytes(header: Sequence[str], records: Records) -> bytes:
    """Return records as a CSV, as Python writes it."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(records)
    return text.getvalue().encode()


def spell(records: Iterable[Sequence[str]], dialect: Dialect) -> str:
    """Return records in a dialect, as Python writes it."""
    text = io.StringIO()
    csv.writer(
        text,
        delimiter=dialect.delimiter,
        quotechar=dialect.quote,
        escapechar=dialect.escape,
        doublequote=dialect.escape is None,
        quoting=csv.QUOTE_NONE if dialect.quote is None else csv.QUOTE_MINIMAL,
    ).writerows(records)
    return text.getvalue()


def write_shards(
    dataset: Path, side: Side, header: Sequence[str], records: Records, rows_per_shard: int = 1000
) -> Shards:
    """Write the shards of one side."""
    directory = shard_dir(dataset, side)
    directory.mkdir(parents=True)
    sizes, checksums = [], []
    for number, start in enumerate(range(0, len(records), rows_per_shard)):
        data = csv_bytes(header, records[start : start + rows_per_shard])
        (directory / shard_name(number)).write_bytes(data)
        sizes.append(len(data))
        checksums.append(xxhash.xxh3_128_hexdigest(data))
    return Shards(records=len(records), bytes=tuple(sizes), xxh3_128=tuple(checksums))


def write_dataset(
    dataset: Path,
    header: Sequence[str],
    records: Records,
    *,
    validate: Records = (),
    rows_per_shard: int = 1000,
    profile: bool = True,
) -> Path:
    """Write a dataset with its manifest, as `sharder split` would; return its directory."""
    sides = {Side.TRAIN: write_shards(dataset, Side.TRAIN, header, records, rows_per_shard)}
    if validate:
        sides[Side.VALIDATE] = write_shards(
            dataset, Side.VALIDATE, header, validate, rows_per_shard
        )
    everything = [*records, *validate]
    columns = Profile.begin(header)
    data = csv_bytes(header, everything)
    columns.add(profile_block(header, read_text(data, header, skip_header=True)))
    manifest = Manifest(
        name=dataset.name,
        drops=(
            Drop(
                sources=(Source(path=f"{dataset.name}.csv", bytes=len(data)),),
                records=len(everything),
                rejected=0,
            ),
        ),
        header=tuple(header),
        rows_per_shard=rows_per_shard,
        split=Split(seed=0, validate_fraction=len(validate) / len(everything)),
        sides=sides,
        columns=columns.columns() if profile else None,
    )
    save_manifest(manifest, dataset)
    return dataset
