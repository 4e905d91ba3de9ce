"""The place of a dataset: a directory, or a prefix in an object store that fsspec knows.

An `ObjectPath` joins names as `pathlib.Path` does, so that the layout of names is one. An object is
there whole or not at all, cannot be renamed or added to, and has no directory.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias, TypeVar, cast

# As many connections as a client of S3 keeps by default.
_AT_ONCE = 10
# As many objects are removed before it is seen what is next.
_BATCH = 1000


@dataclass(frozen=True)
class ObjectPath:
    """An object in a store, or what the names of several begin with.

    Whatever goes wrong with a store is an OSError here: each has errors of its own.

    Attributes:
        url: such as s3://bucket/prefix/name, without a slash at its end.
    """

    url: str

    def __str__(self) -> str:
        return self.url

    def __truediv__(self, name: str) -> ObjectPath:
        return ObjectPath(f"{self.url}/{name}")

    @property
    def name(self) -> str:
        """The last part of the URL."""
        return self.url.rpartition("/")[2]

    @property
    def parent(self) -> ObjectPath:
        """The URL without its last part."""
        return ObjectPath(self.url.rpartition("/")[0])

    def absolute(self) -> ObjectPath:
        """Return the URL: it means the same wherever it is read."""
        return self

    def with_name(self, name: str) -> ObjectPath:
        """Return the URL with another last part."""
        return self.parent / name

    def open(self) -> BinaryIO:
        """Open the object to read it in order."""
        with _as_os_errors(self.url):
            store, path = self._locate()
            return cast("BinaryIO", store.open(path, "rb", cache_type="readahead"))

    def read(self, at_most: int) -> bytes:
        """Return the bytes of the object, or one more than `at_most` of them if it has more."""
        with _as_os_errors(self.url):
            store, path = self._locate()
            return bytes(store.cat_file(path, start=0, end=at_most + 1))

    def exists(self) -> bool:
        """Tell whether there is such an object."""
        with _as_os_errors(self.url):
            store, path = self._locate()
            try:  # its `isfile` says of what it cannot ask for that it is not there
                return bool(store.info(path)["type"] == "file")
            except FileNotFoundError:
                return False

    def names(self) -> list[str]:
        """Return the next parts of all names that begin with this one."""
        with _as_os_errors(self.url):
            store, path = self._locate()
            try:
                found = store.ls(path, detail=False)
            except FileNotFoundError:
                return []
        # A store may tell of the place itself, if somebody has made an empty object for it.
        found = {name.strip("/") for name in found} - {path.strip("/")}
        return sorted(name.rpartition("/")[2] for name in found)

    def sizes(self) -> dict[str, int]:
        """Return the sizes of all objects whose names begin with this one, by what follows.

        It takes more than a kilobyte of memory for each.
        """
        with _as_os_errors(self.url):
            store, path = self._locate()
            found = store.find(path, detail=True)
        start = len(path.strip("/")) + 1
        return {name.strip("/")[start:]: info["size"] or 0 for name, info in found.items()}

    def put(self, file: Path) -> None:
        """Upload a file of any size."""
        with _as_os_errors(self.url):
            store, path = self._locate()
            _to_its_end(partial(store.put_file, str(file), path))

    def remove(self, names: Iterable[str]) -> None:
        """Remove objects whose names begin with this one; those that are gone already, too."""
        with _as_os_errors(self.url):
            store, path = self._locate()
            paths = (f"{path}/{name}" for name in names)
            # A store's `rm` takes `run*` for a pattern, and s3fs tells of no object that stays.
            while some := list(islice(paths, _BATCH)):
                _to_its_end(partial(_all_at_once, partial(_remove, store), some))

    def _locate(self) -> tuple[Any, str]:
        # Not at the top: most runs need no store, and it takes a while.
        from fsspec.core import url_to_fs

        # What was listed before a minute is not what is there.
        store, path = url_to_fs(self.url, use_listings_cache=False)
        return store, path


Place: TypeAlias = Path | ObjectPath
AnyPlace = TypeVar("AnyPlace", Path, ObjectPath, Path | ObjectPath)


def put_all(objects: Mapping[ObjectPath, Sequence[bytes | memoryview]]) -> None:
    """Write objects, several at once; each is there whole or not at all.

    Args:
        objects: the parts of each.

    Raises:
        OSError: one could not be written.
    """
    _all_at_once(_put, objects.keys(), objects.values())


def _put(place: ObjectPath, parts: Sequence[bytes | memoryview]) -> None:
    with _as_os_errors(place.url):
        store, path = place._locate()
        store.pipe_file(path, b"".join(parts))


def _remove(store: Any, path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        store.rm_file(path)


def parse_place(text: str) -> Place:
    """Return what a text names: a directory, or a prefix in a store if it is a URL."""
    return ObjectPath(text.rstrip("/")) if "://" in text else Path(text)


def _all_at_once(call: Callable[..., object], *arguments: Iterable[Any]) -> None:
    """Call for each argument, for several at a time; raise the first error."""
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        for _ in threads.map(call, *arguments):
            pass


def _to_its_end(call: Callable[[], object]) -> None:
    """Change something in a store, and wait until it is done, although Ctrl-C comes.

    Else it might be done when it was taken back already.
    """
    with ThreadPoolExecutor(1) as thread:
        thread.submit(call).result()


@contextlib.contextmanager
def _as_os_errors(url: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise FileNotFoundError(errno.ENOENT, "no such object, or bucket", url) from error
    except OSError as error:
        raise OSError(error.errno or errno.EIO, error.strerror or str(error), url) from error
    except Exception as error:
        raise OSError(errno.EIO, f"{type(error).__name__}: {error}", url) from error
