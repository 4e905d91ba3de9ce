"""Checkpoints: the whole state of a run at a position, each in one file that is whole or not there.

    checkpoints/
    └── epoch-00003-batch-000001200.state       the last two are kept

A file is the length of a head, the head in MessagePack, the bytes of the arrays it tells of, and
the XXH3-128 of all that. Reading it runs no code.
"""

from __future__ import annotations

import math
import mmap
import re
import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import xxhash

from shared.durable import create, publish
from shared.errors import ContractError, TargetError
from shared.reading import open_plain
from trainer.training.origin import Origin
from trainer.training.progress import Progress

FORMAT = 3
# So many, since the last one may turn out to be damaged.
KEPT = 2
# For `--more-epochs`: the state at the end of a finished run.
KEPT_AT_END = 1

Array = npt.NDArray[Any]
Variable = Any  # a keras.Variable; Keras has no type stubs

_LENGTH = struct.Struct("<Q")
_DIGEST_BYTES = 16
_NAME = re.compile(r"epoch-(\d{5,})-batch-(\d{9,})\.state")
_TEMPORARY_NAME = "tmp.state"


class Form(msgspec.Struct, frozen=True, array_like=True):
    """Type, shape and size in bytes of an array."""

    dtype: str
    shape: tuple[int, ...]
    bytes: Annotated[int, msgspec.Meta(ge=0)]


class _Head(msgspec.Struct, frozen=True, kw_only=True):
    format: int = FORMAT
    origin: Origin
    progress: Progress
    variables: tuple[Form, ...]
    best: tuple[Form, ...]


class Stored(NamedTuple):
    """An array as it lies in a file that was read; its type may be one that Keras brings."""

    form: Form
    data: memoryview


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A state that was read.

    Attributes:
        path: of its file.
        origin: what the run was made from.
        progress: how far it had come.
        variables: of the model, its optimiser and metrics, as the recorder lists them.
        best: the weights of the best epoch; none where there is none yet.
    """

    path: Path
    origin: Origin
    progress: Progress
    variables: Sequence[Stored]
    best: Sequence[Stored]


class Checkpoints:
    """The directory of the checkpoints of a run."""

    def __init__(self, directory: Path) -> None:
        """Use a directory, which need not be there."""
        self._directory = directory

    def save(
        self,
        origin: Origin,
        progress: Progress,
        variables: Sequence[Variable],
        best: Sequence[Array],
    ) -> None:
        """Write a checkpoint, whole or not at all, and remove those before the last two.

        Args:
            origin: what the run is made from.
            progress: how far it has come.
            variables: of the model, its optimiser and metrics. They are copied one by one, so that
                there is no second copy of all in memory.
            best: the weights of the best epoch.

        Raises:
            TargetError: it cannot be written; those that are there stay.
        """
        import keras  # not before training: a checkpoint is read without it

        path = self._directory / "epoch-{:05d}-batch-{:09d}.state".format(*progress.position)
        temporary = self._directory / _TEMPORARY_NAME
        head = _Head(
            origin=origin,
            progress=progress,
            variables=tuple(map(form_of, variables)),
            best=tuple(map(form_of, best)),
        )
        try:
            self._directory.mkdir(exist_ok=True)
            try:
                _write(temporary, head, map(keras.ops.convert_to_numpy, variables), best)
                publish(temporary, path)
            finally:
                temporary.unlink(missing_ok=True)
            self.prune(KEPT)
        except OSError as error:
            raise TargetError(
                path,
                expected="to write a checkpoint",
                found=error.strerror or str(error),
                hint="see to it, then run the same command again: it goes on after the one before",
            ) from None

    @property
    def is_empty(self) -> bool:
        """Whether there is no checkpoint, not even a damaged one."""
        return not self._list()

    def load(self, say: Callable[[str], None]) -> Checkpoint:
        """Read the last checkpoint that is whole.

        Damaged ones behind it are removed, and `say` tells so.

        Raises:
            ContractError: there is none.
        """
        damaged: list[Path] = []
        fault = "none"
        for path in reversed(self._list()):
            try:
                found = _read(path)
            except (OSError, ValueError, RecursionError, msgspec.MsgspecError) as error:
                fault = str(error)
                damaged.append(path)
                continue
            for bad in damaged:
                say(f"{bad}: damaged ({fault}), so the checkpoint before it is taken")
                bad.unlink(missing_ok=True)
            return found
        raise ContractError(
            damaged[0] if damaged else self._directory,
            expected="a whole checkpoint, here or in the one before",
            found=fault,
            hint="begin anew with --overwrite",
        )

    def prune(self, kept: int) -> None:
        """Remove all but the last ones, and what a killed run has left."""
        for path in self._list()[:-kept]:
            path.unlink(missing_ok=True)
        (self._directory / _TEMPORARY_NAME).unlink(missing_ok=True)

    def _list(self) -> list[Path]:
        """Return the checkpoints, by their positions."""
        if not self._directory.is_dir():
            return []
        matches = [(_NAME.fullmatch(path.name), path) for path in self._directory.iterdir()]
        found = [(int(match[1]), int(match[2]), path) for match, path in matches if match]
        return [path for _, _, path in sorted(found)]


def _write(path: Path, head: _Head, *arrays: Iterable[Array]) -> None:
    encoded = msgspec.msgpack.encode(head)
    digest = xxhash.xxh3_128()
    with create(path) as file:

        def write(data: bytes | memoryview) -> None:
            digest.update(data)
            file.write(data)

        write(_LENGTH.pack(len(encoded)))
        write(encoded)
        for some in arrays:
            for array in some:
                write(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
        file.write(digest.digest())


def _read(path: Path) -> Checkpoint:
    """Read a file.

    Raises:
        OSError: it cannot be read.
        ValueError, RecursionError, msgspec.MsgspecError: it is damaged, or none of this version.
    """
    with open_plain(path) as file:
        # Mapped, not read: what does not fit this model takes no memory, whatever it says.
        data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    body = data[:-_DIGEST_BYTES]
    if xxhash.xxh3_128_digest(body) != data[-_DIGEST_BYTES:]:
        raise ValueError("its checksum is another")
    if len(body) < _LENGTH.size:
        raise ValueError("it ends too early")
    start = _LENGTH.size + _LENGTH.unpack_from(body)[0]
    head = msgspec.msgpack.decode(body[_LENGTH.size : start], type=_Head)
    if head.format != FORMAT:
        raise ValueError(f"format {head.format}, where this version reads format {FORMAT}")
    if not head.progress.is_sound:
        raise ValueError("it tells of a position that no run comes to")
    arrays = []
    for form in (*head.variables, *head.best):
        stop = start + form.bytes
        if stop > len(body):
            raise ValueError("it ends too early")
        arrays.append(Stored(form, body[start:stop]))
        start = stop
    variables = len(head.variables)
    return Checkpoint(
        path=path,
        origin=head.origin,
        progress=head.progress,
        variables=arrays[:variables],
        best=arrays[variables:],
    )


def form_of(array: Array | Variable) -> Form:
    """Return the form of an array, or of that of a variable."""
    shape = tuple(array.shape)
    return Form(str(array.dtype), shape, math.prod(shape) * np.dtype(array.dtype).itemsize)
