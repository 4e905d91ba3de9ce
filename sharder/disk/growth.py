"""How a dataset grows: all that a drop brings is there from one moment to the next, or nothing is.

Nothing that is there is changed but by adding behind its end: shards behind the last one, records
behind those of the last shards and of `rejected/`. So the old manifest is true until the new one
takes its place, and for whoever has read the old one even longer: of what has grown, it tells of
the first bytes. In between, the new manifest lies beside the old one and says what does not count.
"""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

from shared.durable import publish, refuse_link, sync_names
from shared.layout import (
    MANIFEST_NAME,
    NEXT_MANIFEST_NAME,
    REJECTED_NAME,
    Side,
    shard_dir,
    shard_path,
    side_root,
)
from shared.manifest import Manifest
from shared.manifest_file import load_manifest, load_next_manifest

_STATES = "state_*.msgpack"


def refuse_links(dataset: Path) -> None:
    """Refuse a dataset that is written to: what is behind a link is no part of it.

    Raises:
        TargetError: there is a link in it.
    """
    for place in (*(shard_dir(dataset, side) for side in Side), dataset / REJECTED_NAME):
        refuse_link(place)


def grow(staged: Path, dataset: Path) -> None:
    """Move what was written to its place.

    Args:
        staged: directory with a manifest, in the layout of a dataset; all of it is on disk.
        dataset: that it is added to.

    Raises:
        OSError: something could not be moved.
    """
    following = dataset / NEXT_MANIFEST_NAME
    (staged / MANIFEST_NAME).replace(following)
    sync_names(dataset)
    for side in Side:
        _move_all(shard_dir(staged, side), shard_dir(dataset, side))
    _move_all(staged / REJECTED_NAME, dataset / REJECTED_NAME)
    for path in list(staged.glob(_STATES)):
        path.replace(dataset / path.name)
    sync_names(dataset)
    following.replace(dataset / MANIFEST_NAME)
    sync_names(dataset)
    if manifest := load_manifest(dataset):
        _remove_old_states(dataset, manifest)


def shrink(staged: Path, dataset: Path) -> bool:
    """Take back what an append that was cut off has moved to its place; return whether there was.

    It is where the run had written it then, so the run can go on.

    Raises:
        ContractError: a manifest is damaged.
        TargetError: there is a link in the dataset.
        OSError: something could not be moved.
    """
    refuse_links(dataset)
    manifest = load_manifest(dataset)
    if not manifest:
        return False
    following = load_next_manifest(dataset, manifest)
    if not following:
        _remove_old_states(dataset, manifest)
        return False
    for side, shards in following.sides.items():
        had = manifest.sides[side].bytes if side in manifest.sides else ()
        for number in reversed(range(max(len(had) - 1, 0), len(shards.bytes))):
            place, back = (shard_path(root, side, number) for root in (dataset, staged))
            _take_back(place, back, had[number] if number < len(had) else None)
        if not had:
            _remove_empty(shard_dir(dataset, side), side_root(dataset, side))
    for name in following.rejected_files:
        known = manifest.rejected_files.get(name)
        place, back = (root / REJECTED_NAME / name for root in (dataset, staged))
        _take_back(place, back, known.bytes if known else None)
    if not manifest.rejected_files:
        _remove_empty(dataset / REJECTED_NAME)
    (dataset / following.state_name).unlink(missing_ok=True)
    (dataset / NEXT_MANIFEST_NAME).unlink()
    sync_names(dataset)
    return True


def _move_all(written: Path, place: Path) -> None:
    if not written.is_dir() or not any(written.iterdir()):
        return
    place.mkdir(parents=True, exist_ok=True)
    # In the order of their numbers, so that a reader never sees a gap.
    for path in sorted(written.iterdir(), key=lambda path: (len(path.name), path.name)):
        path.replace(place / path.name)
    sync_names(place)
    sync_names(place.parent)


def _remove_old_states(dataset: Path, manifest: Manifest) -> None:
    for path in dataset.glob(_STATES):
        if path.name != manifest.state_name:
            path.unlink()


def _take_back(place: Path, back: Path, size: int | None) -> None:
    """Move a file back to where it was written, but for the first bytes that were there before."""
    if not place.exists() or (size is not None and place.stat().st_size <= size):
        return
    back.parent.mkdir(parents=True, exist_ok=True)
    if size is None:
        place.replace(back)
        return
    shutil.copyfile(place, back)
    temporary = place.with_name(f".{place.name}.tmp")
    with place.open("rb") as grown, temporary.open("wb") as file:
        file.write(grown.read(size))
    publish(temporary, place)


def _remove_empty(*directories: Path) -> None:
    for directory in directories:
        with contextlib.suppress(OSError):  # it is not empty, or not there
            directory.rmdir()
