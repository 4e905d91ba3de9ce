"""What people read of a run: its summary, its plan, the result of a check."""

from __future__ import annotations

from rich.console import Console
from rich.filesize import decimal

from sharder.dataset.verify import Verified
from sharder.dry_run import Plan
from sharder.repair import Repaired
from sharder.run.progress import say
from sharder.split import SplitResult
from shared.layout import REJECTED_NAME, Side
from shared.manifest import Drop, Manifest
from shared.memory import peak_memory_bytes
from shared.place import Place

LABELS = {Side.TRAIN: "training", Side.VALIDATE: "validation", Side.TEST: "test"}


def print_split(result: SplitResult, console: Console) -> None:
    """Print the summary of a run: the ledger, the shards, the time, the memory."""
    manifest = result.manifest
    drop = manifest.drops[-1]
    read_bytes = sum(source.bytes for source in drop.sources) - result.earlier_bytes
    if len(manifest.drops) > 1:
        say(console, f"drop {len(manifest.drops)}: {count_records(drop)}")
    say(console, ledger_line(manifest))
    if manifest.rejected:
        say(console, f"rejected records and their reasons: {result.dataset / REJECTED_NAME}")
    asked = "" if result.memory_bytes is None else f" (--memory {mebibytes(result.memory_bytes)})"
    earlier = f" behind the {decimal(result.earlier_bytes)} of an earlier run"
    say(
        console,
        f"{decimal(read_bytes)}{earlier * bool(result.earlier_bytes)} in {result.seconds:.1f} s, "
        f"{decimal(round(read_bytes / result.seconds))}/s, "
        f"at most {mebibytes(peak_memory_bytes())} of memory{asked}",
    )


def print_plan(plan: Plan, console: Console) -> None:
    """Print what a run would do."""
    workers, size = plan.config.workers, f"{plan.config.block_bytes / 2**20:,.3g} MiB"
    say(console, f"{decimal(plan.bytes)}: about {_count(plan.shards, 'shard')}")
    if plan.rounds:
        say(
            console,
            f"{_count(plan.blocks, 'block')} of {size}: {_count(plan.tasks, 'task')} in "
            f"{_count(plan.rounds, 'graph')}, the largest of {plan.largest:,}, "
            f"built in {plan.seconds:.1f} s",
        )
    for stream in plan.streams:
        say(console, f"{stream}: a stream, cut into blocks of {size} as it comes")
    say(
        console,
        f"{_count(workers, 'worker')}, {plan.config.blocks_under_way} blocks under way at once: "
        f"at most about {mebibytes(plan.memory_bytes)} of memory",
    )
    say(console, "nothing was written")


def print_verified(dataset: Place, verified: Verified) -> None:
    """Print what a check has proved."""
    split = verified.manifest.split
    proved = {
        "record": "",
        "group": f"\nno {split.column} is on two sides",
        "class": f"\neach {split.column} has its share of each side, exact to one record",
        "time": f"\nno {split.column} of training is later than one of another side",
    }
    say(
        Console(),
        f"{dataset}: each of {verified.shards:,} shards ({decimal(verified.bytes)}) is as the "
        f"manifest says\n{ledger_line(verified.manifest)}" + proved[split.by],
    )


def print_repaired(dataset: Place, repaired: Repaired) -> None:
    """Print what a repair has done."""
    count = repaired.files
    done = [f"{count:,} file{'' if count == 1 else 's'} written anew"] if count else []
    done += [f"{path} moved to {place}" for path, place in repaired.moved]
    say(Console(), f"{dataset}: {', '.join(done) or 'nothing to repair'}; now all is as it was")


def count_records(drop: Drop) -> str:
    """Return how many records a drop brought."""
    return f"{_count(drop.records, 'record')}, {drop.rejected:,} of them rejected"


def ledger_line(manifest: Manifest) -> str:
    """Return where all records of a dataset are: records = training + validation + rejected."""
    parts = [
        f"{manifest.sides[side].records:,} {label} ({len(manifest.sides[side].bytes):,} shards)"
        for side, label in LABELS.items()
        if side in manifest.sides
    ]
    parts.append(f"{manifest.rejected:,} rejected")
    if manifest.cleaning is not None:
        parts.append(f"{manifest.dropped:,} dropped by {manifest.cleaning.function}")
    return f"{manifest.records:,} records = {' + '.join(parts)}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def mebibytes(bytes_: int) -> str:
    """Return a size of memory."""
    return f"{bytes_ / 2**20:,.0f} MiB"
