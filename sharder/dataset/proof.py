"""Prove from the shards that the sides are as the rule of the split has them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from sharder.graph.assign import SIDES, find_strays
from sharder.sides.census import Census
from sharder.sides.keys import read_keys
from sharder.sides.strata import find_unequal
from shared.errors import ContractError
from shared.layout import Side, shard_dir
from shared.manifest import Manifest
from shared.place import Place
from shared.values import read_text

UNTRUE = "the manifest is not true of it: run the same `sharder split` command with --overwrite"


def check_keys(
    path: Place, data: bytes, manifest: Manifest, side: Side
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


def check_census(dataset: Place, manifest: Manifest, census: Census) -> Iterator[ContractError]:
    """Say what the sides have that the manifest does not say, or not the rule."""
    split = manifest.split
    for side, entry in manifest.sides.items():
        for name, found in census.facts(side, split).items():
            if found != (expected := getattr(entry, name)):
                yield _differs(shard_dir(dataset, side), name, expected, found)
    found = dict(zip(SIDES, census.classes, strict=True))
    if split.by == "class" and (unequal := find_unequal(split, found)):
        yield ContractError(
            dataset,
            expected=f"the share of each {split.column} on each side, exact to one record",
            found=unequal,
            hint=UNTRUE,
        )


def _differs(where: Place, name: str, expected: Any, found: Any) -> ContractError:
    if isinstance(expected, dict) and isinstance(found, dict):
        # One is enough: there may be a hundred thousand.
        value = min(expected.items() ^ found.items())[0]
        name = f"{name}, {value!r}"
        expected, found = expected.get(value, 0), found.get(value, 0)
    return ContractError(where, expected=f"{name}: {expected}", found=str(found), hint=UNTRUE)
