"""Prove from the shards that the sides are as the rule of the split has them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from sharder.assign import SIDES, find_strays
from sharder.census import Census
from sharder.keys import read_keys
from sharder.strata import find_unequal
from shared.errors import ContractError
from shared.layout import Side, shard_dir
from shared.manifest import Manifest
from shared.values import read_text

UNTRUE = "the manifest is not true of it: run the same `sharder split` command with --overwrite"


def check_keys(
    path: Path, data: bytes, manifest: Manifest, side: Side
) -> tuple[ContractError | None, Census]:
    """Say what is wrong with the keys of a shard, if the rule says it of each alone; count them.

    If each group is where the rule has it, none is on two sides.
    """
    split = manifest.split
    if split.column is None:
        return None, Census()
    (fields,) = read_text(data, manifest.header, columns=[split.column], skip_header=True)
    keys, unreadable = read_keys(split, fields)
    if unreadable:
        where = f"{path}: record {min(unreadable) + 1}"
        return ContractError(where, found=unreadable[min(unreadable)], hint=UNTRUE), Census()
    problem = None
    for stray in find_strays(split, side, keys)[:1].tolist():
        problem = ContractError(
            f"{path}: record {stray + 1}",
            expected=f"a {split.column} of the {side} side",
            found=repr(fields[stray].as_py()),
            hint=UNTRUE,
        )
    return problem, Census.take(keys, np.full(len(fields), SIDES.index(side), np.uint8))


def check_census(dataset: Path, manifest: Manifest, census: Census) -> Iterator[ContractError]:
    """Say what the sides have that the manifest does not say, or not the rule."""
    split = manifest.split
    found = dict(zip(SIDES, census.classes, strict=True))
    for side, entry in manifest.sides.items():
        where = shard_dir(dataset, side)
        if entry.classes is not None and entry.classes != found[side]:
            name = min(entry.classes.items() ^ found[side].items())[0]
            yield ContractError(
                where,
                expected=f"{entry.classes.get(name, 0):,} records of the class {name!r}",
                found=f"{found[side].get(name, 0):,}",
                hint=UNTRUE,
            )
        if entry.times != (times := census.times_of(side, split)):
            yield ContractError(
                where,
                expected=f"{split.column} from {' to '.join(entry.times or ('no time',))}",
                found=" to ".join(times or ("no time",)),
                hint=UNTRUE,
            )
    if split.by == "class" and (unequal := find_unequal(split, found)):
        yield ContractError(
            dataset,
            expected=f"the share of each {split.column} on each side, exact to one record",
            found=unequal,
            hint=UNTRUE,
        )
