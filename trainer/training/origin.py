"""What a run was made from: the same gives the same weights, so only the same may go on."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import msgspec

from shared.manifest import spell_path
from trainer.config import NEUTRAL_OPTIONS, FitConfig
from trainer.features.spec import FeatureSpec
from trainer.shards.dataset import Dataset
from trainer.versions import find_backend, find_versions


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the weights of a run are a function of, on the same machine.

    Attributes:
        options: of `trainer fit`, by name.
        dataset: checksum of its records, wherever they lie.
        spec: the features and the label.
        backend: of Keras.
        versions: of the libraries. Others may give other roundings.
    """

    options: dict[str, Any]
    dataset: str
    spec: FeatureSpec
    backend: str
    versions: dict[str, str]


def origin_of(config: FitConfig, dataset: Dataset, spec: FeatureSpec) -> Origin:
    """Return what a run with these options, on this dataset, is made from."""
    return Origin(
        options=options_of(config),
        dataset=dataset.checksum,
        spec=spec,
        backend=find_backend(),
        versions=find_versions(),
    )


def options_of(config: FitConfig) -> dict[str, Any]:
    """Return options as JSON has them, which is how they come back from a file."""
    # A path may have bytes that are no UTF-8, and be an option that is text: --cache.
    spelled = {
        option.name: spell_path(value) if isinstance(value, str | Path) else value
        for option in dataclasses.fields(config)
        for value in [getattr(config, option.name)]
    }
    options: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(spelled))
    return options


def differences(before: Origin, now: Origin) -> list[str]:
    """Return what makes the results of two runs differ, a text for each."""
    found = option_differences(before.options, now.options)
    if before.dataset != now.dataset:
        found.append(f"the dataset: checksum {before.dataset} in the run, {now.dataset} now")
    if before.backend != now.backend:
        found.append(f"KERAS_BACKEND: {before.backend} in the run, {now.backend} now")
    # A spec follows from the dataset, the options, and a file of features or code. Why a column was
    # left out is no matter.
    specs = [msgspec.structs.replace(origin.spec, left_out={}) for origin in (before, now)]
    if found or specs[0] == specs[1]:
        return found
    if specs[0].transform != specs[1].transform:
        found.append("--transform: another text of its module")
    else:
        features = [{feature.column: feature for feature in o.spec.features} for o in (before, now)]
        columns = [c for c in features[0] | features[1] if features[0].get(c) != features[1].get(c)]
        columns = columns or [now.spec.label.column]
        files = {o.options.get("features") for o in (before, now)}
        why = "another --features" if files != {None} else "another version of shardfit"
        found.append(f"the features: {why} made {', '.join(map(repr, columns))}")
    return found


def version_differences(before: Origin, now: Origin) -> list[str]:
    """Return which libraries have other versions, a text for each."""
    return [
        f"{name} {before.versions.get(name)} in the run, {version} now"
        for name, version in now.versions.items()
        if before.versions.get(name) != version
    ]


def option_differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Return which options that matter differ, a text for each."""
    return [
        f"--{name.replace('_', '-')}: {_spell(before.get(name))} in the run, "
        f"{_spell(now.get(name))} now"
        for name in before | now
        if name not in NEUTRAL_OPTIONS and before.get(name) != now.get(name)
    ]


def _spell(value: Any) -> str:
    if value in (None, [], False):
        return "not given"
    if isinstance(value, dict):
        return ",".join(f"{name}={weight}" for name, weight in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
