"""What is kept beside a dataset of the chains behind its last drop, for the next one to go on from.

It is what cannot be told from the manifest and the last shards. The file's name has the number of
drops, so that the one before stays valid until the manifest names the next drop. It has a checksum
of its own, and says of which shards it is. The manifest does not have it, since its last digits
depend on the size of the blocks.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import xxhash

from sharder.graph.build import State
from sharder.sides.census import Census
from sharder.sides.strata import Strata
from shared.errors import ContractError
from shared.manifest import Manifest
from shared.place import Place
from shared.reading import read_plain
from shared.snapshot import seal, unpack, unseal

FORMAT = 2

_MAX_BYTES = 4 << 30


class Kept(msgspec.Struct, kw_only=True):
    """What is kept of the chains.

    Attributes:
        format: version of this form.
        shards: checksum of those of all shards.
        strata, census: of all drops so far.
    """

    format: int = FORMAT
    shards: str
    strata: Strata
    census: Census


def save_kept(state: State, manifest: Manifest, dataset: Path) -> None:
    """Write what is kept of the state behind the last block, beside the shards of a manifest.

    Behind it are the columns of the profile, which must not be finished yet: that rounds them.
    """
    shards = _checksum_shards(manifest)
    kept = Kept(shards=shards, strata=state.strata, census=state.ledger.census)
    columns = state.profile.column_profiles if state.profile else []
    with (dataset / manifest.state_name).open("wb") as file:
        file.writelines(seal([kept, *columns]))


def load_kept(dataset: Place, manifest: Manifest) -> tuple[Kept, Iterator[memoryview]]:
    """Read what is kept, and the columns of the profile, as `shared.snapshot.pack` gives them.

    Raises:
        ContractError: it is not there, damaged, or of other shards.
    """
    path = dataset / manifest.state_name
    found = "that of other shards"
    try:
        states = unseal(read_plain(path, at_most=_MAX_BYTES))
        kept = unpack(next(states, b""), Kept)
        if kept.format == FORMAT and kept.shards == _checksum_shards(manifest):
            return kept, states
    except OSError as error:
        found = error.strerror or str(error)
    except msgspec.DecodeError as error:
        found = str(error)
    raise ContractError(
        path,
        expected="what --append goes on from",
        found=found,
        hint="restore it; without it, only `sharder split` of all drops with --overwrite adds more",
    )


def _checksum_shards(manifest: Manifest) -> str:
    digest = xxhash.xxh3_128()
    for side, shards in sorted(manifest.sides.items()):
        digest.update(f"{side} {shards.records} {' '.join(shards.xxh3_128)}\n".encode())
    return digest.hexdigest()
