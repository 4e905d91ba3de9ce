"""The rule that puts a record on its side, made of the options that the user has given."""

from __future__ import annotations

from typing import Any, Literal

from sharder.sides.strata import WINDOW
from sharder.sides.times import read_moment
from shared.errors import ConfigError
from shared.manifest import Split

# What names the column that a rule looks at.
COLUMN_OPTIONS = {"group": "--group-by", "class": "--stratify", "time": "--time-column"}

DEFAULT_FRACTION = 0.1


def choose_rule(
    *,
    group_by: str | None,
    stratify: str | None,
    time_column: str | None,
    validate_from: str | None,
    test_from: str | None,
    validate_fraction: float | None,
    test_fraction: float,
    seed: int,
    shuffle: bool,
) -> Split:
    """Return the rule that some options of `SplitConfig` ask for.

    Raises:
        ConfigError: they contradict each other.
    """
    validate_share = DEFAULT_FRACTION if validate_fraction is None else validate_fraction
    columns = {"group": group_by, "class": stratify, "time": time_column}
    given = [COLUMN_OPTIONS[by] for by, column in columns.items() if column is not None]
    if len(given) > 1:
        raise ConfigError(
            " and ".join(given),
            expected="one rule that puts a record on its side",
            found=f"{len(given)}",
            hint="give one of them",
        )
    if group_by is not None:
        by: Literal["record", "group", "class", "time"] = "group"
    elif stratify is not None:
        by = "class"
        _check_thousandths("--validate-fraction", validate_share)
        _check_thousandths("--test-fraction", test_fraction)
    elif time_column is not None:
        by = "time"
    else:
        by = "record"
    if validate_from is not None or test_from is not None:
        _check_moments(time_column, validate_from, test_from)
        if validate_fraction is not None or test_fraction:
            raise ConfigError(
                "--validate-from",
                expected="times or shares that part the sides",
                found="both",
                hint="leave --validate-fraction and --test-fraction away, or give them alone",
            )
        validate_share = 0.0
    elif by == "time" and not validate_share + test_fraction:
        raise ConfigError(
            "--time-column", expected="--validate-from, or a share above 0", found="neither"
        )
    return Split(
        by=by,
        column=columns.get(by),
        seed=seed,
        validate_fraction=validate_share,
        test_fraction=test_fraction,
        validate_from=validate_from,
        test_from=test_from,
        shuffle=shuffle,
    )


def options_of(split: Split) -> dict[str, Any]:
    """Return the options of `SplitConfig` that ask for a rule: `choose_rule`, turned round."""
    options: dict[str, Any] = {"seed": split.seed, "shuffle": split.shuffle}
    if split.by in COLUMN_OPTIONS:
        options[COLUMN_OPTIONS[split.by].removeprefix("--").replace("-", "_")] = split.column
    if split.validate_from is not None and not split.validate_fraction + split.test_fraction:
        options |= {"validate_from": split.validate_from, "test_from": split.test_from}
    else:  # of a rule by time that has both, the times were found from the shares
        options |= {
            "validate_fraction": split.validate_fraction,
            "test_fraction": split.test_fraction,
        }
    return options


def _check_thousandths(option: str, share: float) -> None:
    if abs(share * WINDOW - round(share * WINDOW)) > 1e-9:
        raise ConfigError(
            option,
            expected="at most three decimals with --stratify, which deals out thousands",
            found=str(share),
        )


def _check_moments(column: str | None, validate_from: str | None, test_from: str | None) -> None:
    if column is None or validate_from is None:
        raise ConfigError(
            "--test-from" if validate_from is None else "--validate-from",
            expected="--time-column, and --validate-from" if column is None else "--validate-from",
            found="none",
        )
    moments = []
    for option, text in (("--validate-from", validate_from), ("--test-from", test_from)):
        if text is not None:
            if (moment := read_moment(text)) is None:
                raise ConfigError(
                    option,
                    expected="a time such as 2025-04-01, '2025-04-01 12:30' or 1743465600",
                    found=repr(text),
                )
            moments.append(moment)
    if len(moments) == 2:
        (kind, validate), (test_kind, test) = moments
        if kind is not test_kind or test <= validate:
            raise ConfigError(
                "--test-from",
                expected=f"a later {kind} than --validate-from {validate_from}",
                found=str(test_from),
            )
