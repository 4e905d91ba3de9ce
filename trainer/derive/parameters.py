"""What an encoding needs to know of its column: derived from the profile, unless it is given."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from shared.errors import ConfigError
from shared.schema import Column
from trainer.config import Missing
from trainer.features.scaling import fit_log, fit_quantiles, unscale
from trainer.features.spec import VOCABULARY_OFFSET

Float64 = npt.NDArray[np.float64]
Parameters = dict[str, Any]

# The parameters of these come from a sample of numbers; the profile does not tell them.
SAMPLED = {"log": {"unit", "mean", "std"}, "quantile": {"quantiles"}}

# Most bins: an embedding of 50 values for each is 3 MB. No measured reason.
MAX_BINS = 1 << 14
MAX_EMBEDDING = 50
# Most weights of all embeddings together, so that a table of many such columns fits into the memory
# that is promised. Each takes 30 bytes: itself, its gradient, two of the optimiser's, and a copy of
# the best epoch's.
MAX_WEIGHTS = 8_000_000
# Before an embedding gets smaller than this, there are fewer bins. No measured reason.
_SMALL_EMBEDDING = 8
# The encodings of texts that are too many to list.
_HASHED = ("hashed", "text")
# Tokens of a text that count. No measured reason: two lines of prose.
_TOKENS = 32


class Share(NamedTuple):
    """What a column may have of the weights.

    Attributes:
        bins: most bins of a hashed column.
        embedding: most numbers that stand for a value.
    """

    bins: int
    embedding: int


def share_weights(columns: Iterable[tuple[Column, str]]) -> Share:
    """Return what each column may have so that all stay within `MAX_WEIGHTS`, as far as that goes.

    Args:
        columns: with the names of their encodings.
    """
    sizes = Counter(
        (_bins(column), True) if encoding in _HASHED else (len(column.top), False)
        for column, encoding in columns
        if encoding in (*_HASHED, "vocabulary")
    )
    share = Share(MAX_BINS, MAX_EMBEDDING)
    while share.bins > 1:
        weights = 0
        for (size, is_hashed), count in sizes.items():
            cardinality = min(size, share.bins) + 1 if is_hashed else size + VOCABULARY_OFFSET
            weights += count * cardinality * min(embedding_size(cardinality), share.embedding)
        if weights <= MAX_WEIGHTS:
            break
        if share.embedding > _SMALL_EMBEDDING:
            share = share._replace(embedding=share.embedding - 1)
        else:
            share = share._replace(bins=share.bins // 2)
    return share


def derive_parameters(
    column: Column,
    encoding: str,
    given: Parameters,
    missing: Missing,
    sample: Float64 | None,
    share: Share,
    *,
    where: str,
) -> Parameters:
    """Return all parameters of an encoding of a column.

    Args:
        column: its profile.
        encoding: one that fits its type, by its name.
        given: parameters that are not to be derived.
        missing: what becomes of missing numbers, as `trainer.derive.rules.derive_features` has it.
        sample: numbers in the column, shape (R,), where they are needed.
        share: what it may have of the weights.
        where: what asks for the encoding, for messages.

    Raises:
        ConfigError: a parameter cannot be derived.
    """
    if encoding in ("standard", "log", "quantile"):
        parameters = _scale(column, encoding, given, sample, where)
        middle = parameters.pop("middle")
        parameters["fill"] = middle if missing == "indicator" else 0.0
    elif encoding == "timestamp":
        start, end = (_moment(value) for value in (column.minimum, column.maximum))
        parameters = {"cyclical": True, "trend": True, "start": start, "end": end}
    else:
        parameters = _category(column, encoding, given, share, where)
    if "fill" in parameters or encoding == "timestamp":
        parameters["indicator"] = missing == "indicator" and column.missing > 0
    return parameters | given


def _scale(
    column: Column, encoding: str, given: Parameters, sample: Float64 | None, where: str
) -> Parameters:
    """Return how numbers are scaled, and the one in the `middle`, which is scaled to about 0."""
    if encoding == "standard":
        mean = given.get("mean", column.mean)
        std = math.sqrt(column.variance or 0.0) or 1.0
        return {"mean": mean, "std": std, "middle": mean}
    if encoding == "log":
        if SAMPLED["log"] <= given.keys():
            return {"middle": unscale(given["mean"], given["unit"])}
        # One that is given is the unit of the others.
        found = _fit(sample, lambda numbers: fit_log(numbers, given.get("unit")), where)
        mean, unit = given.get("mean", found.mean), found.unit
        return {"unit": unit, "mean": mean, "std": found.std, "middle": unscale(mean, unit)}
    quantiles = given.get("quantiles") or _fit(sample, fit_quantiles, where)
    return {"quantiles": quantiles, "middle": float(np.median(quantiles))}


def _fit(sample: Float64 | None, fit: Callable[[Float64], Any], where: str) -> Any:
    found = None if sample is None or not len(sample) else fit(sample)
    if found is None:
        raise ConfigError(
            where,
            expected="different numbers in a sample of its shards",
            found="none",
            hint="give all parameters of its encoding, or another encoding",
        )
    return found


def _category(
    column: Column, encoding: str, given: Parameters, share: Share, where: str
) -> Parameters:
    if encoding == "vocabulary":
        values = given.get("values")
        if values is None:
            if not column.top_is_complete:
                raise ConfigError(
                    where,
                    expected="few different values for a vocabulary",
                    found=f"{column.distinct:,}",
                    hint='give the values that count, or encoding = "hashed"',
                )
            values = (*(top.value for top in column.top), *column.missing_markers)
        embedding = embedding_size(len(values) + VOCABULARY_OFFSET)
        return {"values": values, "embedding": min(embedding, share.embedding)}
    bins = given.get("bins", min(_bins(column), share.bins))
    tokens = {"tokens": _TOKENS} if encoding == "text" else {}
    return {"bins": bins, "embedding": min(embedding_size(bins + 1), share.embedding), **tokens}


def _bins(column: Column) -> int:
    return min(MAX_BINS, 1 << column.distinct.bit_length())


def embedding_size(cardinality: int) -> int:
    """Return how many numbers stand for a category of so many values.

    fastai's rule of thumb, 1.6 * cardinality ** 0.56 (https://docs.fast.ai/tabular.model.html,
    `emb_sz_rule`), but with at most 50 where fastai has 600: an optimiser touches every weight in
    every step.
    """
    return min(MAX_EMBEDDING, round(1.6 * math.pow(cardinality, 0.56)))


def _moment(value: object) -> datetime:
    try:
        return datetime.fromisoformat(str(value))
    except ValueError:  # the year 0, which Arrow knows
        return datetime.min
