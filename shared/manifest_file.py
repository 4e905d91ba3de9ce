"""The file `manifest.json`: written last, so that it proves a dataset whole; checked when read."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import xxhash

from shared.durable import create, publish
from shared.errors import ContractError
from shared.layout import MANIFEST_NAME, NEXT_MANIFEST_NAME
from shared.manifest import File, Manifest
from shared.place import Place
from shared.reading import decode_json, open_plain, read_plain

# In memory it may take ten times as much, if it holds nothing but short texts.
MAX_MANIFEST_BYTES = 512 << 20

_BUFFER_BYTES = 1 << 20

# Second line of the file: the checksum of all its other lines. `sed 2d manifest.json | xxh128sum`
# prints the same one.
_CHECKSUM_LINE = ' "xxh3_128": "{}",\n'
_CHECKSUM = re.compile(rb'\{\n "xxh3_128": "([0-9a-f]{32})",\n')
_AGAIN = "restore it from a copy, or run the same `sharder split` command with --overwrite"


def measure(path: Place, size: int | None = None) -> File:
    """Return size and checksum of a file, or of its first `size` bytes.

    Raises:
        OSError: it cannot be read.
    """
    digest, found = xxhash.xxh3_128(), 0
    with open_plain(path) as file:
        while data := file.read(
            _BUFFER_BYTES if size is None else min(_BUFFER_BYTES, size - found)
        ):
            digest.update(data)
            found += len(data)
    return File(bytes=found, xxh3_128=digest.hexdigest())


def save_manifest(manifest: Manifest, dataset: Path) -> None:
    """Write the manifest of a dataset, whole or not at all."""
    opening, text = b"{\n", msgspec.json.format(msgspec.json.encode(manifest), indent=1)[2:] + b"\n"
    checksum = _CHECKSUM_LINE.format(_checksum(opening, text)).encode()
    temporary = dataset / f".{MANIFEST_NAME}.tmp"
    with create(temporary) as file:
        file.writelines((opening, checksum, text))
    publish(temporary, dataset / MANIFEST_NAME)


def load_manifest(dataset: Place) -> Manifest | None:
    """Read the manifest of a dataset; None if the directory has none.

    Raises:
        ContractError: it cannot be read, is not of this form, does not agree with itself, or is
            not what was written.
    """
    found = read_manifest(dataset)
    if found is None:
        return None
    manifest, change = found
    if change:
        raise change
    return manifest


def load_next_manifest(dataset: Place, manifest: Manifest) -> Manifest | None:
    """Read what the manifest of a dataset becomes when an append that was cut off is done.

    Raises:
        ContractError: it cannot be read, or is of no append to this dataset.
    """
    found = read_manifest(dataset, NEXT_MANIFEST_NAME)
    if found is None:
        return None
    following, change = found
    if change or following.drops[:-1] != manifest.drops:
        raise change or ContractError(
            dataset / NEXT_MANIFEST_NAME,
            expected="the drops of manifest.json and one more",
            found="others",
            hint="remove it",
        )
    return following


def read_manifest(
    dataset: Place, name: str = MANIFEST_NAME
) -> tuple[Manifest, ContractError | None] | None:
    """Read the manifest of a dataset, and tell whether it was changed since it was written.

    Raises:
        ContractError: it cannot be read, is not of this form, or does not agree with itself.
    """
    path = dataset / name
    try:
        data = read_plain(path, at_most=MAX_MANIFEST_BYTES)
    except FileNotFoundError:
        return None
    except NotADirectoryError:
        raise ContractError(
            dataset,
            expected="the directory of a dataset",
            found="a file",
            hint="a CSV is split first: sharder split FILE --out DIR prints its dataset",
        ) from None
    except OSError as error:
        raise ContractError(path, found=error.strerror or str(error)) from None
    manifest = decode_json(data, Manifest, path, expected="a manifest", hint=_AGAIN)
    if fault := manifest.fault():
        raise ContractError(path, found=fault, hint=_AGAIN)
    match = _CHECKSUM.match(data)
    if match and _checksum(b"{\n", memoryview(data)[match.end() :]) == match[1].decode():
        return manifest, None
    expected = f"checksum {match[1].decode()}" if match else "a checksum in its second line"
    found = "another one: it was edited, or damaged" if match else "none"
    return manifest, ContractError(path, expected=expected, found=found, hint=_AGAIN)


def _checksum(opening: bytes, text: bytes | memoryview) -> str:
    digest = xxhash.xxh3_128(opening)
    digest.update(text)
    return digest.hexdigest()
