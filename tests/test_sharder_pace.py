"""How far apart the checkpoints of a split are, by a clock that the test moves."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from sharder.run import pace

MOST = 256


def find_pauses(
    monkeypatch: pytest.MonkeyPatch, *, block_s: float, save_s: float, asked: int = 0
) -> tuple[float, list[float]]:
    """Return the seconds to the first checkpoint, and between each two of the next twenty."""
    now_s, saved_s = 0.0, 0.0
    monkeypatch.setattr(pace, "time", SimpleNamespace(monotonic=lambda: now_s))
    paced, pauses = pace.Pace(asked), list[float]()
    while len(pauses) <= 20:
        # In the order of a run: what comes next is cut, then what was done is saved.
        size = paced.next_round(MOST)
        if paced.is_due(MOST):
            pauses.append(now_s - saved_s)
            with paced.checkpoint():
                now_s += save_s
            saved_s = now_s
        now_s += size * block_s
        paced.add(size)
    return pauses[0], pauses[1:]


@pytest.mark.parametrize("block_s", [0.02, 0.1, 0.5])
def test_a_kill_costs_two_seconds(monkeypatch: pytest.MonkeyPatch, block_s: float) -> None:
    first, pauses = find_pauses(monkeypatch, block_s=block_s, save_s=0.03)
    assert first == pytest.approx(max(16 * block_s, 2), abs=0.4)
    assert min(pauses) > 1.5
    assert max(pauses) < 2.1


def test_of_slow_blocks_each_has_a_checkpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    _, pauses = find_pauses(monkeypatch, block_s=7, save_s=0.03)
    assert pauses == pytest.approx([7] * 20)


def test_of_fast_blocks_no_more_than_a_round_has_are_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    _, pauses = find_pauses(monkeypatch, block_s=0.002, save_s=0.03)
    assert pauses == pytest.approx([MOST * 0.002] * 20)


def test_slow_checkpoints_take_a_twentieth_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    _, pauses = find_pauses(monkeypatch, block_s=0.1, save_s=1)
    assert min(pauses) > 15
    assert max(pauses) < 21


def test_so_many_blocks_are_apart_as_were_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    first, pauses = find_pauses(monkeypatch, block_s=0.001, save_s=1, asked=3)
    assert [first, *pauses] == pytest.approx([0.003] * 21)
