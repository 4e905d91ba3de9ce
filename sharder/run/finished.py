"""A run that was killed when all was done: the same command, run again, finds its receipt."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from sharder.config import SplitConfig
from sharder.disk.receipt import Known, Receipt, save_receipt
from sharder.disk.staging import Staging
from sharder.disk.target import settle
from sharder.records.encoding import UTF8
from sharder.run.checkpoint import describe_options
from sharder.run.progress import say
from sharder.sources.source import Source
from sharder.sources.stream import Stream
from shared.errors import SourceError
from shared.layout import MANIFEST_NAME
from shared.manifest_file import measure

_CHUNK_BYTES = 1 << 20


def leave_receipt(config: SplitConfig, sources: Sequence[Source], staged: Staging) -> None:
    """Write what the same command is known by, once all is done but for its move to its place.

    Not if a source is of a kind that cannot be known again.

    Raises:
        OSError: it cannot be written.
    """
    if (known := _identify(sources)) is not None:
        manifest = measure(staged.dataset / MANIFEST_NAME).xxh3_128
        options = describe_options(config, sources)
        save_receipt(Receipt(options=options, sources=known, manifest=manifest), staged.receipt)


def is_finished(config: SplitConfig, sources: Sequence[Source], console: Console) -> bool:
    """Tell whether an earlier run has done all of this, and was killed before it could say so.

    Raises:
        SourceError: that is known only now that a stream was read: it is another one.
        TargetError: another run is writing the dataset.
    """
    streams = [source for source in sources if not source.origin.has_ranges]
    was_read = False

    def is_same(receipt: Receipt) -> bool:
        nonlocal was_read
        kinds = [source.origin.has_ranges for source in sources]
        if kinds != [known.has_ranges for known in receipt.sources]:
            return False
        if receipt.options != describe_options(config, sources):
            return False
        for source in streams:
            say(console, f"{source.name}: is it what {config.dataset} has got last?")
            _read_through(source)
            was_read = True
        return receipt.sources == _identify(sources)

    if config.overwrite:  # makes the same once more
        return False
    if settle(config.dataset, is_same):
        say(console, "an earlier run has done all of it, and was killed before it could say so")
        return True
    if was_read:
        raise SourceError(
            streams[0].name,
            expected=f"what the last run, which was killed, has added to {config.dataset}",
            found="another drop, which was read to find that out",
            hint="that is whole; to split this one, "
            + ("run the same command again" if config.append else "give another --name or --out"),
        )
    return False


def _identify(sources: Sequence[Source]) -> tuple[Known, ...] | None:
    """Return what each source is known by; None if one cannot be known again."""
    known = []
    for source in sources:
        origin = source.origin
        ends = source.ends or origin.checksum_ends()
        if origin.size is None or ends is None:
            return None
        known.append(Known(origin.size, ends, origin.has_ranges))
    return tuple(known)


def _read_through(source: Source) -> None:
    with Stream(source.origin, None, UTF8) as stream:
        while not stream.ended:
            stream.read(_CHUNK_BYTES)
