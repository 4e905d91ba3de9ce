"""Prove a dataset's manifest from its files."""

from __future__ import annotations

from dataclasses import dataclass

from sharder.dataset.damage import find_damage
from shared.errors import ContractError
from shared.manifest import Manifest
from shared.manifest_file import load_manifest, read_manifest
from shared.place import ObjectPath, Place

# How many damages an error shows.
_SHOWN = 20


@dataclass(frozen=True)
class Verified:
    """How much was proved: number of shards, and their bytes."""

    manifest: Manifest
    shards: int
    bytes: int


def require_manifest(dataset: Place) -> Manifest:
    """Read the manifest of a dataset that must have one.

    Raises:
        ContractError: there is none, or it is not valid.
    """
    return load_manifest(dataset) or _refuse(dataset)


def _refuse(dataset: Place) -> Manifest:
    is_there = isinstance(dataset, ObjectPath) or dataset.is_dir()
    raise ContractError(
        dataset,
        expected="a dataset with a manifest.json",
        found="none" if is_there else "no such directory",
        hint="give the directory that `sharder split` printed",
    )


def run(dataset: Place) -> Verified:
    """Check each file of a dataset against its manifest.

    Raises:
        ContractError: something is not as the manifest says; it tells all that is not.
    """
    manifest, change = read_manifest(dataset) or (_refuse(dataset), None)
    errors, n_errors = [change] if change else [], int(change is not None)
    for damage in find_damage(dataset, manifest):
        n_errors += 1
        if len(errors) < _SHOWN:
            errors.append(damage.error)
    if errors:
        listed = "".join(f"\n  {error}" for error in errors)
        more = f"\n  and {n_errors - _SHOWN:,} more" if n_errors > _SHOWN else ""
        raise ContractError(
            dataset,
            expected="all as its manifest says",
            found=f"{n_errors:,} fault{'s' if n_errors > 1 else ''}:{listed}{more}",
        )
    sides = manifest.sides.values()
    return Verified(
        manifest,
        shards=sum(len(side.bytes) for side in sides),
        bytes=sum(sum(side.bytes) for side in sides),
    )
