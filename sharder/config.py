"""What a run of `sharder split` is asked to do."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from sharder.records.codec import AUTO, codec_name
from sharder.records.encoding import Encoding
from sharder.sides.rule import DEFAULT_FRACTION, choose_rule
from sharder.sources.piece import ROUND_PIECES
from shared.dialect import PLAIN, Dialect, check_dialect
from shared.errors import ConfigError
from shared.layout import Side
from shared.manifest import Split
from shared.place import ObjectPath, Place

MIB = 1 << 20

# The most that --max-record-bytes may be.
MAX_RECORD_BYTES = 1 << 30

# What `dialect` is if it is not detected.
GIVEN = "given"


@dataclass(frozen=True, kw_only=True)
class SplitConfig:
    """Options of `sharder split`; the command line builds it, and so may a script.

    Attributes:
        sources: CSVs with the same header, read in this order as one table: files, `-` for stdin,
            URLs that fsspec reads, and patterns of these.
        out: directory, or prefix in a store, that gets the dataset.
        name: of the dataset, and so of its directory in `out`.
        rows_per_shard: records in every shard but the last of a side.
        validate_fraction: share of the records that goes to the validation side; None for a tenth,
            or for what `validate_from` says.
        test_fraction: share of the records that goes to a third side, for a last test.
        group_by: name of a column; all records with the same value of it are on the same side, in
            later drops with the same seed, too. None splits record by record.
        stratify: name of a column; of each value of it, each side gets its share, exact to one
            record. The shares are multiples of 0.001.
        time_column: name of a column of timestamps, integers or numbers; the last records by it are
            for validation, and the last of all for a test. Those without a time are rejected.
        validate_from, test_from: from which time on records are for that side. Without them, the
            times that part the sides follow from the shares, in a pass of its own.
        shuffle: whether the records of each side come in a random order, not in that of the
            sources.
        clean: `MODULE:FUNCTION` of a function from a pandas.DataFrame to another, that all records
            go through (`sharder.records.cleaning`).
        seed: of the split and of the order: the same seed puts the same record number on the same
            side.
        block_bytes: size of the piece of the source that is one task; 0 for what suits the source
            and `memory_bytes` (`sharder.run.budget`).
        memory_bytes: what the run may take at most; None for as much as the usual blocks take.
        scheduler: address of a Dask scheduler, or the path of its file; None for threads here.
        dashboard: whether these threads run under a Dask scheduler here, which shows what they do.
        workers: threads; NumPy, Arrow and the kernel do the work, outside the interpreter's lock.
        profile: whether to profile the columns. The trainer needs the profile, and makes its own
            where there is none.
        max_rejected: share of bad records above which the run fails.
        max_record_bytes: longest record; a longer one is a quote that nobody closed.
        encoding: of the sources, by any name that Python has for it, or "auto".
        dialect: "given" by the next three, or "auto" to detect it.
        delimiter: the ASCII character between two fields.
        quote_char: the ASCII character around fields; None if none has a meaning.
        escape_char: the ASCII character that takes the meaning from the one behind it; None if
            none does.
        columns: names of the columns, if the sources have no header.
        append: whether the sources are the next drop of a dataset that is there; the options that
            count for it must be those that it has.
        overwrite: whether to replace an existing dataset, once the new one is complete.
        checkpoint_every: number of blocks between two checkpoints, from which a killed run goes
            on; 0 for as many as take two seconds.
        restart: whether to begin anew where an earlier run of this job was cut off.
    """

    sources: tuple[str | Path, ...]
    out: Place
    name: str = "log_quest"
    rows_per_shard: int = 1000
    validate_fraction: float | None = None
    test_fraction: float = 0.0
    group_by: str | None = None
    stratify: str | None = None
    time_column: str | None = None
    validate_from: str | None = None
    test_from: str | None = None
    shuffle: bool = False
    clean: str | None = None
    seed: int = 0
    block_bytes: int = 0
    memory_bytes: int | None = None
    scheduler: str | None = None
    dashboard: bool = False
    workers: int = field(default_factory=lambda: max(2, os.cpu_count() or 2))
    profile: bool = True
    max_rejected: float = 0.01
    max_record_bytes: int = 16 * MIB
    encoding: str = "utf-8"
    dialect: str = GIVEN
    delimiter: str = ","
    quote_char: str | None = '"'
    escape_char: str | None = None
    columns: tuple[str, ...] = ()
    append: bool = False
    overwrite: bool = False
    checkpoint_every: int = 0
    restart: bool = False

    @property
    def blocks_under_way(self) -> int:
        """Number of blocks that are worked on at once: one for each worker, and some read ahead.

        Without a profile a block is soon done with, and with a single one read ahead the workers
        wait for each other: a split takes 10 % longer.
        """
        return self.workers + (1 if self.profile else 2)

    def __post_init__(self) -> None:
        if not self.sources:
            raise ConfigError("sources", expected="at least one CSV file", found="none")
        if self.append and self.overwrite:
            raise ConfigError("--append", expected="no --overwrite beside it", found="both")
        if isinstance(self.out, ObjectPath) and (self.append or self.overwrite):
            raise ConfigError(
                "--append" if self.append else "--overwrite",
                expected=f"a dataset in a directory, not in {self.out}",
                found="a store, whose objects cannot be replaced all at one moment",
                hint="give another --name, or remove the dataset first",
            )
        _check("--rows-per-shard", self.rows_per_shard, 1, 10_000_000)
        share = DEFAULT_FRACTION if self.validate_fraction is None else self.validate_fraction
        _check("--validate-fraction", share, 0, 0.99)
        # Rounded, since 0.99 - 0.9 is a bit less than 0.09.
        most = round(0.99 - share, 12)
        _check("--test-fraction", self.test_fraction, 0, most)
        _check("--seed", self.seed, 0, 2**64 - 1)
        _check("--block-bytes", self.block_bytes, 0, 1 << 30)
        if self.block_bytes and self.memory_bytes is not None:
            raise ConfigError(
                "--memory",
                expected="no --block-bytes beside it, which follows from it",
                found="both",
            )
        _check("--workers", self.workers, 1, 1 << 20)
        _check("--checkpoint-every", self.checkpoint_every, 0, ROUND_PIECES)
        if self.dashboard or self.scheduler is not None:
            _check_cluster(self)
        _check("--max-rejected", self.max_rejected, 0, 1)
        _check("--max-record-bytes", self.max_record_bytes, 1, MAX_RECORD_BYTES)
        _ = self.split  # is refused if its options contradict each other
        _check_encoding(self.encoding)
        _check_dialect(self)
        if any("\udc80" <= char <= "\udcff" for name in self.columns for char in name):
            raise ConfigError("--columns", expected="names in UTF-8", found="bytes that are none")
        if len(set(self.columns)) != len(self.columns):
            raise ConfigError(
                "--columns", expected="different names", found=", ".join(self.columns)
            )
        if isinstance(self.out, ObjectPath) and "::" in str(self.dataset):
            raise ConfigError(
                self.dataset,
                expected="a URL without ::",
                found="one that fsspec takes for a chain of several",
                hint="give another --name or --out",
            )
        is_plain = self.name.isprintable() and Path(self.name).name == self.name != ""
        is_side = self.name.endswith((Side.VALIDATE.suffix, Side.TEST.suffix))
        if not is_plain or self.name.startswith(".") or is_side:
            raise ConfigError(
                "--name",
                expected="a plain directory name, not that of a validation or test side",
                found=repr(self.name),
            )

    @property
    def known_dialect(self) -> Dialect | None:
        """The dialect of the sources; None if it is to be detected."""
        if self.dialect == AUTO:
            return None
        return Dialect(self.delimiter, self.quote_char, self.escape_char)

    @property
    def known_encoding(self) -> Encoding | None:
        """The encoding of the sources; None if it is to be detected."""
        return None if self.encoding == AUTO else Encoding(codec_name(self.encoding))

    @property
    def split(self) -> Split:
        """The rule that puts the records on their sides."""
        return choose_rule(
            group_by=self.group_by,
            stratify=self.stratify,
            time_column=self.time_column,
            validate_from=self.validate_from,
            test_from=self.test_from,
            validate_fraction=self.validate_fraction,
            test_fraction=self.test_fraction,
            seed=self.seed,
            shuffle=self.shuffle,
        )

    @property
    def dataset(self) -> Place:
        """The place of the dataset."""
        return self.out / self.name


def _check(option: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ConfigError(option, expected=f"{low} to {high}", found=str(value))


def _check_cluster(config: SplitConfig) -> None:
    """Refuse what Dask's distributed scheduler cannot do, on a cluster or on this machine."""
    option = "--dashboard" if config.dashboard else "--scheduler"
    refused = {
        "--dashboard": (
            config.dashboard and config.scheduler is not None,
            "the cluster has one of its own, usually at port 8787 of its scheduler",
        ),
        "--shuffle": (
            config.shuffle,
            "its buckets are appended to, and Dask may run a task of a cluster twice",
        ),
        "--clean": (
            config.clean is not None,
            "the function is in a file of yours, which Dask's workers do not have",
        ),
        "--memory": (
            config.memory_bytes is not None,
            "a worker of a cluster has a limit of its own: dask worker --memory-limit"
            if config.scheduler is not None
            else "what the dashboard takes depends on what is looked at",
        ),
    }
    for name, (is_given, hint) in refused.items():
        if is_given:
            other = "--scheduler" if name == option else option
            raise ConfigError(name, expected=f"no {other} beside it", found="both", hint=hint)


def _check_encoding(name: str) -> None:
    try:
        if name != AUTO:
            codec_name(name)
    except LookupError:
        raise ConfigError(
            "--encoding",
            expected=f"one that Python knows, such as cp932, or {AUTO}",
            found=repr(name),
        ) from None


def _check_dialect(config: SplitConfig) -> None:
    if config.dialect not in (GIVEN, AUTO):
        raise ConfigError("--dialect", expected=f"{GIVEN} or {AUTO}", found=config.dialect)
    named = Dialect(config.delimiter, config.quote_char, config.escape_char)
    if config.dialect == AUTO and named != PLAIN:
        raise ConfigError(
            f"--dialect {AUTO}",
            expected="no --delimiter, --quote-char or --escape-char: they are what it finds",
            found=named.options,
        )
    check_dialect(named)
