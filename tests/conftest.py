"""What all tests share."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from s3_server import S3Server

    from trainer.features.spec import FeatureSpec
    from trainer.feeding.feed import Feed
    from trainer.shards.shard import Shard

# Machines are noisy, and an example may start processes: no deadline for one, nor for its making.
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("test", patient, max_examples=100)
settings.register_profile("soak", patient, max_examples=5000)
settings.load_profile("test")

# What a terminal, or a CI that shows colours, asks of programs is not asked of those under test,
# and they look for no server of this machine behind a proxy.
for name in ("COLUMNS", "LINES", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
    os.environ.pop(name, None)
os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1,localhost"

# What a shell starts in the background ignores SIGINT, and so would the programs under test.
signal.signal(signal.SIGINT, signal.default_int_handler)


# The tests of a store. Others do without its server.
@pytest.fixture(scope="module")
def store() -> Iterator[S3Server]:
    from s3_server import s3_server

    with s3_server() as server:
        yield server


@pytest.fixture(scope="module")
def on_disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the source of what goes to a store, and its dataset."""
    from uploading import split_on_disk

    return split_on_disk(tmp_path_factory.mktemp("on_disk"))


# The tests of the trainer. Most others need nothing of that, so it is not imported at the top.
@pytest.fixture
def dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A dataset whose caches are of one test; a module may have another one."""
    from caching import write_log

    return write_log(tmp_path, monkeypatch)


@pytest.fixture(scope="module")
def numbered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 training shards and 3 for validation, the last of each with 5 records."""
    from feeding import write_numbered

    return write_numbered(tmp_path_factory.mktemp("numbered") / "log", 115, validate=25)


@pytest.fixture(scope="module")
def pair(numbered: Path) -> Iterator[Feed]:
    """One pair of workers for most tests of a module."""
    from trainer.sequence import CSVSequence

    feed = CSVSequence(numbered, "clear", cache="off").feed
    yield feed
    feed.close()


@pytest.fixture(scope="module")
def forty_shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the next three fixtures are of."""
    from feeding import write_numbered

    return write_numbered(tmp_path_factory.mktemp("feed") / "log", 400)


@pytest.fixture
def spec(forty_shards: Path) -> FeatureSpec:
    from feeding import open_numbered

    return open_numbered(forty_shards)[0]


@pytest.fixture
def shards(forty_shards: Path) -> list[Shard]:
    from feeding import open_numbered

    return open_numbered(forty_shards)[1]


@pytest.fixture
def feed(spec: FeatureSpec) -> Iterator[Feed]:
    from trainer.feeding.feed import Feed

    feed = Feed(spec, workers=2)
    yield feed
    feed.close()
