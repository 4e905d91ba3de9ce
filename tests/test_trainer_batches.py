"""Which records make up which batch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import ConfigError
from trainer.shards.batches import BatchPlan, Part, default_batch


def plan_of(
    records: Sequence[int], batch_size: int, *, window: int = 1, seed: int | None = None
) -> BatchPlan:
    return BatchPlan(np.array(records, np.int64), batch_size=batch_size, window=window, seed=seed)


def batches_of(plan: BatchPlan) -> list[list[int]]:
    """Return the numbers of the records in each batch of the epoch."""
    return [plan.rows(batch).tolist() for batch in range(len(plan))]


def test_without_a_seed_the_records_keep_their_order() -> None:
    plan = plan_of([3, 3, 2], 3, window=2)
    assert batches_of(plan) == [[0, 1, 2], [3, 4, 5], [6, 7]]
    assert [plan.shards(batch) for batch in range(3)] == [[0], [1], [2]]


def test_a_batch_is_cut_from_shards_that_follow_each_other() -> None:
    plan = plan_of([3, 3, 2], 5)
    assert batches_of(plan) == [[0, 1, 2, 3, 4], [5, 6, 7]]
    assert plan.parts(0) == [Part(0, 0, 3), Part(1, 0, 2)]
    assert plan.shards(1) == [1, 2]


@given(
    records=st.lists(st.integers(0, 9), min_size=1, max_size=12).filter(any),
    batch_size=st.integers(1, 40),
    window=st.integers(1, 14),
    seed=st.integers(0, 3),
)
def test_every_record_is_in_exactly_one_batch(
    records: list[int], batch_size: int, window: int, seed: int
) -> None:
    batches = batches_of(plan_of(records, batch_size, window=window, seed=seed))
    assert {len(batch) for batch in batches[:-1]} <= {batch_size}
    assert 0 < len(batches[-1]) <= batch_size
    assert sorted(row for batch in batches for row in batch) == list(range(sum(records)))


@given(
    count=st.integers(1, 40),
    window=st.integers(1, 14),
    seed=st.integers(0, 9),
    epoch=st.integers(0, 9),
)
def test_the_records_of_a_window_are_mixed_and_no_others(
    count: int, window: int, seed: int, epoch: int
) -> None:
    # Shards of three records, and a batch for each window.
    plan = plan_of([3] * count, 3 * window, window=window, seed=seed)
    plan.begin(epoch)
    for batch in range(len(plan)):
        assert plan.shards(batch) == sorted(plan.window(batch))
        assert len(plan.rows(batch)) == 3 * len(plan.window(batch))


@given(
    records=st.lists(st.integers(1, 9), min_size=1, max_size=12),
    batch_size=st.integers(1, 40),
    window=st.integers(1, 14),
    seed=st.none() | st.integers(0, 9),
    first=st.integers(0, 20),
    count=st.integers(0, 5),
)
def test_the_shards_ahead_are_those_of_the_next_batches(
    records: list[int],
    batch_size: int,
    window: int,
    seed: int | None,
    first: int,
    count: int,
) -> None:
    plan = plan_of(records, batch_size, window=window, seed=seed)
    first = min(first, len(plan) - 1)
    now = plan.parts(first)[-1].window
    ahead = plan.ahead(now, count)
    for batch in range(first, min(first + 1 + count, len(plan))):
        for part in plan.parts(batch):
            assert part.window <= now or set(plan.window(part.window)) <= set(ahead)
    assert ahead[: len(plan.window(now + 1))] == plan.window(now + 1)


def test_the_order_is_a_function_of_seed_and_epoch() -> None:
    def order(seed: int, epoch: int) -> tuple[tuple[int, ...], ...]:
        plan = plan_of([3] * 8, 4, window=4, seed=seed)
        plan.begin(epoch)
        return tuple(map(tuple, batches_of(plan)))

    assert order(0, 1) == order(0, 1)
    assert len({order(seed, epoch) for seed in (0, 1) for epoch in (0, 1)}) == 4


def test_the_order_stays_the_same_from_version_to_version() -> None:
    # Else a run that goes on after an upgrade would see records twice.
    plan = plan_of([2] * 4, 3, window=2, seed=7)
    plan.begin(1)
    assert batches_of(plan) == [[4, 1, 0], [5, 7, 2], [3, 6]]


@pytest.mark.parametrize("name", ["batch_size", "shuffle_window"])
def test_a_size_of_nothing_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name}: expected 1 or more, found 0"):
        plan_of([1], 0 if name == "batch_size" else 1, window=0)


@pytest.mark.parametrize(
    ("shard_records", "record_bytes", "expected"),
    [
        (1000, 4 * 30, 1000),
        (1000, 4 * 13_333, 1000),  # 10,000 numbers, a third of them with gaps
        (100_000, 4 * 30, 21_024),
        (1000, 4 * (32 + 32 * 8) * 2000, 29),  # 2,000 texts of 32 tokens
        (1000, 1 << 30, 1),
    ],
)
def test_a_batch_is_a_shard_unless_that_is_large(
    shard_records: int, record_bytes: int, expected: int
) -> None:
    assert default_batch(shard_records, record_bytes) == expected
