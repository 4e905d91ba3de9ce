"""Which records make up which batch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import ConfigError
from trainer.batches import BatchPlan, Piece, shard_order


def plan_of(records: Sequence[int], batch_size: int | None) -> BatchPlan:
    return BatchPlan(np.array(records, np.int64), batch_size)


def test_without_a_size_one_shard_is_one_batch() -> None:
    plan = plan_of([3, 3, 2], None)
    plan.order(np.array([2, 0, 1]))
    assert [plan.pieces(batch) for batch in range(3)] == [
        [Piece(2, 0, 2)],
        [Piece(0, 0, 3)],
        [Piece(1, 0, 3)],
    ]


def test_a_batch_is_cut_from_shards_that_follow_each_other() -> None:
    plan = plan_of([3, 3, 2], 5)
    assert len(plan) == 2
    assert plan.pieces(0) == [Piece(0, 0, 3), Piece(1, 0, 2)]
    assert plan.pieces(1) == [Piece(1, 2, 3), Piece(2, 0, 2)]


@given(
    records=st.lists(st.integers(0, 9), min_size=1, max_size=12).filter(any),
    batch_size=st.integers(1, 40),
    seed=st.integers(0, 3),
)
def test_every_record_is_in_exactly_one_batch(
    records: list[int], batch_size: int, seed: int
) -> None:
    plan = plan_of(records, batch_size)
    plan.order(shard_order(len(records), seed=seed, epoch=0))
    batches = [
        [(shard, n) for shard, start, stop in plan.pieces(batch) for n in range(start, stop)]
        for batch in range(len(plan))
    ]
    assert {len(batch) for batch in batches[:-1]} <= {batch_size}
    assert 0 < len(batches[-1]) <= batch_size
    assert sorted(record for batch in batches for record in batch) == [
        (shard, n) for shard, count in enumerate(records) for n in range(count)
    ]


@given(
    records=st.lists(st.integers(1, 9), min_size=1, max_size=12),
    batch_size=st.none() | st.integers(1, 40),
    first=st.integers(0, 20),
    count=st.integers(0, 5),
)
def test_the_shards_ahead_are_those_of_the_next_batches(
    records: list[int], batch_size: int | None, first: int, count: int
) -> None:
    plan = plan_of(records, batch_size)
    batches = range(first, min(first + count, len(plan)))
    shards = [piece.shard for batch in batches for piece in plan.pieces(batch)]
    assert plan.shards_from(first, count) == list(dict.fromkeys(shards))


def test_the_order_is_a_function_of_seed_and_epoch() -> None:
    assert shard_order(8, seed=0, epoch=0).tolist() == shard_order(8, seed=0, epoch=0).tolist()
    orders = {tuple(shard_order(8, seed=s, epoch=e).tolist()) for s in (0, 1) for e in (0, 1)}
    assert len(orders) == 4


def test_a_batch_size_of_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="batch_size: expected 1 or more, found 0"):
        plan_of([1], 0)
