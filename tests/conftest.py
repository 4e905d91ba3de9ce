"""What all tests share."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from trainer.features.spec import FeatureSpec
    from trainer.feeding.feed import Feed
    from trainer.shards.shard import Shard

# Machines are noisy, and an example may start processes: no deadline for one, nor for its making.
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("test", patient, max_examples=100)
settings.register_profile("soak", patient, max_examples=5000)
settings.load_profile("test")

# What a shell starts in the background ignores SIGINT, and so would the programs under test.
signal.signal(signal.SIGINT, signal.default_int_handler)


# Of a module's `dataset`, as `feeding.write_numbered` makes it. Most tests need nothing of that, so
# it is not imported at the top.
@pytest.fixture
def spec(dataset: Path) -> FeatureSpec:
    from feeding import open_numbered

    return open_numbered(dataset)[0]


@pytest.fixture
def shards(dataset: Path) -> list[Shard]:
    from feeding import open_numbered

    return open_numbered(dataset)[1]


@pytest.fixture
def feed(spec: FeatureSpec) -> Iterator[Feed]:
    from trainer.feeding.feed import Feed

    feed = Feed(spec, workers=2, timeout_s=20.0)
    yield feed
    feed.close()
