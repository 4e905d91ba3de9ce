"""Whatever bytes a parser gets, it says what is wrong with them, and nothing else goes wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from parsers import PARSERS, parse, seeds

from sharder.graph.profile import restore_profile
from shared.errors import ContractError
from shared.profile import ColumnProfile
from shared.schema import ColumnType
from shared.snapshot import pack, unpack

# A third of the usual number, fifty times as many in the soak.
FEW = settings().max_examples // 3

edits = st.tuples(st.integers(0, 1 << 16), st.integers(0, 8), st.binary(max_size=8))
values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.sampled_from([0, -1, 1, 2**31, 2**63, -(2**63), 2**64, 10**400, 0.5, -1e308, 1e308]),
        st.text(max_size=5),
        st.sampled_from(["", "..", "/etc/passwd", "nan", "integer", "text", "number", "train"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)


@pytest.mark.parametrize("target", sorted(PARSERS))
def test_what_the_fuzzers_begin_with_is_taken(target: str, tmp_path: Path) -> None:
    for number, data in enumerate(seeds(target)):
        directory = tmp_path / str(number)
        directory.mkdir()
        PARSERS[target](data, directory)


@pytest.mark.parametrize("target", sorted(PARSERS))
@given(number=st.integers(0, 100), changes=st.lists(edits, min_size=1, max_size=6))
@settings(max_examples=FEW)
def test_damaged_bytes_are_told(
    target: str, number: int, changes: list[tuple[int, int, bytes]]
) -> None:
    known = seeds(target)
    data = known[number % len(known)]
    parse(target, data)
    for place, cut, put in changes:
        place %= len(data) + 1
        data = data[:place] + put + data[place + cut :]
    parse(target, data)


@pytest.mark.parametrize("target", sorted(PARSERS))
@given(data=st.binary(max_size=200))
@settings(max_examples=FEW)
def test_any_bytes_are_told(target: str, data: bytes) -> None:
    parse(target, data)


def places(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The ways to all values in a JSON document, as keys and indexes."""
    items = list(node.items()) if isinstance(node, dict) else []
    items += enumerate(node) if isinstance(node, list) else []
    return [path, *(way for key, value in items for way in places(value, (*path, key)))]


def test_a_run_whose_classes_are_no_numbers_is_told(tmp_path: Path) -> None:
    # As hypothesis once found it: such a class ended in a ValueError.
    document = json.loads(seeds("run")[0])
    assert document["spec"]["label"]["reading"] == "number"
    document["spec"]["label"]["classes"][0] = ""
    with pytest.raises(ContractError, match=r"run\.json: expected a run"):
        PARSERS["run"](json.dumps(document).encode(), tmp_path)


def test_a_profile_whose_parts_do_not_fit_is_not_gone_on_with() -> None:
    column = unpack(seeds("profile")[0], ColumnProfile)
    assert restore_profile([memoryview(pack(column))], ("a",))
    column.type = ColumnType.TIMESTAMP  # its values are texts
    assert restore_profile([memoryview(pack(column))], ("a",)) is None


@pytest.mark.parametrize("target", ["manifest", "run", "cache"])
@given(number=st.integers(0, 100), changes=st.lists(st.tuples(st.integers(0, 9999), values)))
@settings(max_examples=3 * FEW)
def test_values_that_cannot_be_are_told(
    target: str, number: int, changes: list[tuple[int, Any]]
) -> None:
    known = seeds(target)
    document = json.loads(known[number % len(known)])
    for place, value in changes:
        ways = places(document)[1:]
        *path, last = ways[place % len(ways)]
        node = document
        for key in path:
            node = node[key]
        node[last] = value
        if not places(document)[1:]:
            break
    parse(target, json.dumps(document).encode())
