"""What dialect a text is in, by a look at many places of it.

Each dialect that may be is tried: the better it is, the more of the records have the header's
number of fields, and the more of the fields look like data and not like the rest of a record. The
idea of the two measures is that of van den Burg, Nazábal, Sutton: Wrangling messy CSV files by
detecting row and type patterns, 2019; the first is sharper here, since a record that has not what
the header has would be rejected anyway.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from sharder.records.encoding import Encoding
from sharder.sources.compression import Compression
from sharder.sources.origin import Origin
from sharder.sources.sampling import sample_texts
from shared.dialect import PLAIN, Dialect
from shared.errors import SourceError

# How many places are looked at, how large each is, and how much of a stream. The first that shows
# some records will do: those of a table with thousands of columns are long.
_LOOKS = ((16, 1 << 14, 1 << 18), (8, 1 << 17, 1 << 20), (1, 1 << 22, 1 << 22))
_FEW_LINES = 8

# In the order in which they are seen most; Hive writes the last one.
_DELIMITERS = ",\t;|:^~#&! \x01"
_QUOTES = ('"', "'", None)
_ESCAPE = "\\"

# The least share of records that a dialect must explain.
_ENOUGH = 0.9
# The share of the best one's score above which one with another delimiter explains them as well.
_AS_WELL = 0.95

# Fields that are data: numbers in any notation, dates and times, words. What has a delimiter or a
# quote in it may be the rest of a record.
_DATA = re.compile(
    r"""
    (
        [-+]? [$€£¥]? [\d.,]* ([eE][-+]?\d+)? \s? %?
        | [\d/.:TZ+-]+ (\s [\d:.+-]+)? (\s? [AaPp][Mm])?
        | [^\W_] [\w\s.()/&'-]* [.!?]?
        | [\w.+-]+ (@|://) \S+
        | <?\#?\\?N/?A?>?
    )
    """,
    re.VERBOSE,
)
_LOOK_CHARACTERS = 100
_NUMBER = re.compile(r"\s*[-+]?(\d+([.,]\d*)?|[.,]\d+)([eE][-+]?\d+)?\s*")


@dataclass(frozen=True)
class _Trial:
    """How well a dialect explains a text.

    Attributes:
        dialect: that was tried.
        consistent: share of the records that have as many fields as the header.
        data: share of the fields that look like data.
        columns: number of fields of the header.
        rows: the records.
    """

    dialect: Dialect
    consistent: float
    data: float
    columns: int
    rows: list[list[str]]

    @property
    def score(self) -> float:
        """Of two that are consistent, the one that finds more columns is better."""
        # One column is what is left if nothing else fits.
        return self.consistent * self.data * (1 - 1 / self.columns + 1e-3)

    def is_as_good_as(self, best: _Trial) -> bool:
        """Tell whether it may be what is meant, though it does not have the best score."""
        if self.dialect.delimiter != best.dialect.delimiter:
            return self.score >= _AS_WELL * best.score
        # One quoted field among thousands is enough to tell what quotes are.
        return self.consistent >= best.consistent and self.data >= best.data


def detect_dialect(
    origin: Origin, compression: Compression | None, encoding: Encoding, columns: Sequence[str]
) -> Dialect:
    """Say what dialect a source is in.

    Args:
        origin: of the source.
        compression: what it is packed in.
        encoding: what it is written in.
        columns: names of the columns, if it has no header.

    Raises:
        SourceError: it cannot be told.
    """
    for places, place_bytes, stream_bytes in _LOOKS:
        texts = sample_texts(
            origin,
            compression,
            encoding,
            places=places,
            place_bytes=place_bytes,
            stream_bytes=stream_bytes,
        )
        if len(texts[0].splitlines()) > _FEW_LINES:
            break
    return sniff(texts, len(columns), name=origin.name)


def sniff(texts: Sequence[str], n_columns: int = 0, *, name: str = "text") -> Dialect:
    """Say what dialect some texts are in.

    Args:
        texts: whole lines from several places of a source, first its start.
        n_columns: number of columns, if the source has no header.
        name: of the source.

    Raises:
        SourceError: it cannot be told.
    """
    if not any(text.strip("\r\n") for text in texts):
        return PLAIN  # that there are no records is told by who looks for the header
    trials = [_try(dialect, texts, n_columns) for dialect in _candidates(texts)]
    # Of those that read the same, the first is the plainest.
    best = max(trials, key=lambda trial: trial.score)
    where = f"{name}: dialect"
    hint = "name it, such as --delimiter ';' --quote-char none"
    if best.consistent < _ENOUGH:
        raise SourceError(
            where,
            expected="records with as many fields as the header",
            found=f"at best {best.consistent:.0%} of them, with {best.dialect.options}",
            hint=hint,
        )
    for other in trials:
        if other.is_as_good_as(best) and other.rows != best.rows:
            raise SourceError(
                where,
                expected="one that explains the records better than others do",
                found=f"{best.dialect.options} and {other.dialect.options}",
                hint=hint,
            )
    return best.dialect


def _candidates(texts: Sequence[str]) -> Iterator[Dialect]:
    first_line = next((line for line in texts[0].splitlines() if line), "")
    delimiters = [char for char in _DELIMITERS if char in first_line] or [PLAIN.delimiter]
    text = "".join(texts)
    quotes = [quote for quote in _QUOTES if quote is None or quote in text]
    # Without quotes, the usual ones do no harm; a source may have some further on.
    quotes = [*quotes, PLAIN.quote] if quotes == [None] else quotes
    for delimiter, quote in product(delimiters, sorted(quotes, key=_QUOTES.index)):
        yield Dialect(delimiter, quote)
        if any(_ESCAPE + special in text for special in (delimiter, quote, "\n") if special):
            yield Dialect(delimiter, quote, _ESCAPE)


def _try(dialect: Dialect, texts: Sequence[str], n_columns: int) -> _Trial:
    rows, n_bad = _read(dialect, texts[0])
    for text in texts[1:]:
        # A place may begin inside quotes.
        begun = [text] if dialect.quote is None else [text, dialect.quote + text]
        found = [_read(dialect, each) for each in begun]
        n_fields = n_columns or len(rows[0])
        more, bad = max(found, key=lambda rows_: sum(len(row) == n_fields for row in rows_[0]))
        rows, n_bad = rows + more, n_bad + bad
    n_columns = n_columns or (len(rows[0]) if rows else 1)
    good = [row for row in rows if len(row) == n_columns]
    consistent = len(good) / max(len(rows) + n_bad, 1)
    fields = [field for row in good for field in row]
    data = sum(map(_is_data, fields)) / max(len(fields), 1)
    return _Trial(dialect, consistent, data, n_columns, rows)


def is_number(field: str) -> bool:
    """Tell whether a field is a number, in any notation."""
    return _NUMBER.fullmatch(field) is not None


def _is_data(field: str) -> bool:
    return _DATA.fullmatch(field.strip()[:_LOOK_CHARACTERS]) is not None


def _read(dialect: Dialect, text: str) -> tuple[list[list[str]], int]:
    """Return the records of a text, and how many are none where quotes must close a field."""
    rows: list[list[str]] = []
    bad = 0
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=dialect.delimiter,
        quotechar=dialect.quote,
        escapechar=dialect.escape,
        quoting=csv.QUOTE_NONE if dialect.quote is None else csv.QUOTE_MINIMAL,
        strict=True,
    )
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return rows, bad
        except csv.Error:
            bad += 1
        else:
            if row:
                rows.append(row)
