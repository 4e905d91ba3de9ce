"""What looks in a sample of the records as if it was not meant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from sharder.config import SplitConfig
from sharder.plan.survey import Survey
from sharder.run.notes import find_doubts
from sharder.sources.source import Source
from shared.schema import Column, ColumnType

# A column that alone explains more of the label than this is told of.
LEAK = 0.9

# With fewer records, a column of different values need not be an identifier.
_MANY_RECORDS = 100

_SHOWN_NAMES = 8
_SHOWN_BYTES = 72


def find_warnings(
    sources: Sequence[Source],
    found: Survey,
    columns: Sequence[Column],
    told: Mapping[str, float] | None,
    config: SplitConfig,
    label: str | None,
) -> Iterator[str]:
    """Yield a line for each thing that looks as if it was not meant.

    Args:
        sources: of the run.
        found: the sample.
        columns: its profile.
        told: for each column, the share of the label's entropy that it explains alone.
        config: of the run.
        label: name of the column that will be predicted.
    """
    yield from find_doubts(sources)
    yield from _doubt_records(found, config)
    records = found.n_records - len(found.rejected)
    if records >= _MANY_RECORDS:
        yield from _doubt_columns(columns, records, label)
    if label is not None and told is None:
        yield f"nothing can be said of {label}: it has one value only, or the records are too few"
    for name, share in (told or {}).items():
        if share > LEAK and name != label:
            yield (
                f"{name} alone tells {share:.0%} of {label}: if it is known only afterwards, "
                f"train with --drop {name}"
            )


def _doubt_records(found: Survey, config: SplitConfig) -> Iterator[str]:
    of_all = f"of {found.n_records:,} records that were looked at"
    if found.rejected:
        share = len(found.rejected) / found.n_records
        first = found.rejected[0]
        text = (
            f"{len(found.rejected):,} {of_all} would be rejected, the first for {first.reason}: "
            f"{first.source}, byte {first.offset:,}: {_show(first.data)}"
        )
        if share > config.max_rejected:
            text += f"; the run fails above {config.max_rejected:.2%} (--max-rejected)"
        yield text
    if found.stray.count:
        yield (
            f"in {found.stray.count:,} {of_all}, a quote in the middle of a field is taken for a "
            f"character: {_show(found.stray.example)}"
        )
    if found.swallowed.count:
        yield (
            f"in {found.swallowed.count:,} {of_all}, a line in quotes looks like a record; was a "
            f"quote left open? {_show(found.swallowed.example)}"
        )
    if found.open_end.count:
        yield (
            "the last record seems to end inside quotes, which fails the run: "
            f"{_show(found.open_end.example)}"
        )
    if found.nulls.count:
        yield (
            f"in {found.nulls.count:,} {of_all}, a field is \\N, which with --escape-char means N; "
            f"if NULL is meant, write empty fields: {_show(found.nulls.example)}"
        )


def _doubt_columns(columns: Sequence[Column], records: int, label: str | None) -> Iterator[str]:
    empty = [column.name for column in columns if column.type is ColumnType.EMPTY]
    constant = [column.name for column in columns if column.distinct == 1 and not column.missing]
    unique = [
        column.name
        for column in columns
        if column.type in (ColumnType.INTEGER, ColumnType.TEXT)
        and column.name != label
        and column.distinct >= (1 if column.distinct_exact else 0.95) * records
    ]
    if empty:
        yield f"without any value: {_list(empty)}"
    if constant:
        yield f"the same in each record, so nothing can be learnt from it: {_list(constant)}"
    if unique:
        yield f"different in each record, as identifiers are: {_list(unique)}"


def _list(names: Sequence[str]) -> str:
    shown = ", ".join(name or "(no name)" for name in names[:_SHOWN_NAMES])
    more = len(names) - _SHOWN_NAMES
    return f"{shown} and {more:,} more" if more > 0 else shown


def _show(record: bytes) -> str:
    text = repr(record[:_SHOWN_BYTES].decode(errors="replace"))
    return f"{text}…" if len(record) > _SHOWN_BYTES else text
