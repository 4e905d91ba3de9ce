"""A graph as a cluster can run it: elsewhere, in several processes, and any of its tasks again.

Four things differ from a graph for the threads of one process.

- Keys are unique, since a cluster keeps results by their keys, whoever has asked for them.
- The ledger is changed in place by the next block. If a worker is lost, a task may run again on
  what it was given before, so here it works on a copy.
- The profile is not added up: a copy of it for each block may take a tenth of a second, and the
  frequent values that its sketches know depend on it. The client adds the blocks up as they come.
- A block waits for the one before it, but its worker shall not fetch what that has led to.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from functools import partial
from typing import Any

from sharder.graph.build import ADD_UP, LEDGER, PROFILE
from sharder.graph.reading import READ, Graph, Key

# Of a run, that is: step, run, block.
UniqueKey = tuple[str, str, int]


def ship(graph: Graph, run: str) -> dict[UniqueKey, Any]:
    """Return a graph for a cluster.

    Args:
        graph: for threads.
        run: a name that no other graph has.
    """
    shipped: dict[UniqueKey, Any] = {}
    for (step, index), task in graph.items():
        if step == ADD_UP:
            continue
        if not isinstance(task, tuple):
            shipped[step, run, index] = task
            continue
        function, *needs = task
        names = [unique(need, run) for need in needs]
        if step == LEDGER:
            function = partial(_call_on_copy, function)
        if step == READ:
            needs = [(PROFILE if name == ADD_UP else name, block) for name, block in needs]
            waits = [need for need in needs if need in graph]
            names = [(f"{name} done", run, block) for name, block in waits]
            done = zip(names, waits, strict=True)
            shipped |= {name: (_nothing, unique(need, run)) for name, need in done}
        shipped[step, run, index] = (function, *names)
    return shipped


def unique(key: Key, run: str) -> UniqueKey:
    """Return the key that a task has in the graph that was shipped."""
    step, index = key
    return step, run, index


def _call_on_copy(function: Callable[..., Any], before: Any, *others: Any) -> Any:
    return function(deepcopy(before), *others)


def _nothing(_done: object) -> None:
    """Tell only that a task is done."""
