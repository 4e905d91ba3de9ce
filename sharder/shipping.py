"""A graph as a cluster can run it: elsewhere, in several processes, and any of its tasks again.

Three things differ from a graph for the threads of one process.

- Keys are unique, since a cluster keeps results by their keys, whoever has asked for them.
- The ledger and the profile are changed in place by the next block. If a worker is lost, a task may
  run again on what it was given before, so here it works on a copy. Of the profile that copy is
  what a checkpoint has of it: bytes, of which Dask knows the size.
- A block waits for the one before it, but its worker shall not fetch what that has led to.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from functools import partial
from typing import TYPE_CHECKING, Any

from sharder.graph import ADD_UP, LEDGER
from sharder.reading import READ, Graph, Key
from shared.snapshot import pack, unpack

if TYPE_CHECKING:
    from shared.block_profile import BlockProfile

# Of a run, that is: step, run, block.
UniqueKey = tuple[str, str, int]

_DONE = " done"


def ship(graph: Graph, run: str) -> dict[UniqueKey, Any]:
    """Return a graph for a cluster.

    Args:
        graph: for threads.
        run: a name that no other graph has.
    """
    shipped: dict[UniqueKey, Any] = {}
    for (step, index), task in graph.items():
        key = (step, run, index)
        if not isinstance(task, tuple):
            is_profile = step == ADD_UP and task is not None
            shipped[key] = pack(task) if is_profile else task
            continue
        function, *needs = task
        names = [unique(need, run) for need in needs]
        if step == READ:
            done = {(name + _DONE, run, block): (name, run, block) for name, _, block in names}
            shipped |= {waiting: (_nothing, waited_for) for waiting, waited_for in done.items()}
            names = list(done)
        shipped[key] = (_on_copy(step, function), *names)
    return shipped


def unique(key: Key, run: str) -> UniqueKey:
    """Return the key that a task has in the graph that was shipped."""
    step, index = key
    return step, run, index


def unpack_results(wanted: Sequence[Any], results: Sequence[Any]) -> list[Any]:
    """Return the results of a graph as threads would give them."""
    return [
        _restore(result) if key[0] == ADD_UP and result is not None else result
        for key, result in zip(wanted, results, strict=True)
    ]


def _on_copy(step: str, function: Callable[..., Any]) -> Callable[..., Any]:
    if step == LEDGER:
        return partial(_call_on_copy, function)
    return _add_up if step == ADD_UP else function


def _call_on_copy(function: Callable[..., Any], before: Any, *others: Any) -> Any:
    return function(deepcopy(before), *others)


def _add_up(before: bytes, parts: Sequence[BlockProfile]) -> bytes:
    from sharder.profile import add_up

    return pack(add_up(_restore(before), parts))


def _restore(packed: bytes) -> Any:
    # Not at the top: a run without a profile needs no Arrow.
    from shared.profile import Profile

    return unpack(packed, Profile)


def _nothing(_done: object) -> None:
    """Tell only that a task is done."""
