"""What a run leaves when its dataset is in place, until it has cleared up behind itself.

Who is killed in between has told nobody that all is done. The receipt tells the next run, so that
the same command ends as it would have ended, and is not refused as one that was given twice.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from shared.durable import write_whole
from shared.layout import MANIFEST_NAME
from shared.manifest_file import measure
from shared.place import Place
from shared.reading import read_plain
from shared.snapshot import seal, unseal_one

# Options are short texts, and a source takes some 50 bytes.
_MAX_BYTES = 64 << 20


class Known(msgspec.Struct, frozen=True):
    """What a source is known by: its size, the checksum of its ends, and whether it has ranges."""

    bytes: int
    ends: str
    has_ranges: bool


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """What a run was asked to do, and what has come of it.

    Attributes:
        options: those that count, by their names.
        sources: what each of them is known by.
        manifest: checksum of the file, as `shared.manifest_file.measure` gives it.
    """

    options: dict[str, str]
    sources: tuple[Known, ...]
    manifest: str


def save_receipt(receipt: Receipt, file: Path) -> None:
    """Write a receipt, whole or not at all.

    Raises:
        OSError: it cannot be written.
    """
    write_whole(file, seal([receipt]))


def load_receipt(file: Path, dataset: Place) -> Receipt | None:
    """Read a receipt; None if there is none that is whole, or if its dataset is not in place.

    Raises:
        OSError: the manifest of the dataset cannot be read.
    """
    try:
        receipt = unseal_one(read_plain(file, at_most=_MAX_BYTES), Receipt)
    except (OSError, msgspec.DecodeError):
        return None
    manifest = dataset / MANIFEST_NAME
    is_true = manifest.exists() and measure(manifest).xxh3_128 == receipt.manifest
    return receipt if is_true else None
