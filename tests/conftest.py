"""The real stack for tests: started when first asked for, once a run, in a directory of its own."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

# The trainer's environment, which reads this file too, has nothing of the stack: imported where it is used.
if TYPE_CHECKING:
    from deploy.stack.stack import Stack

# Where things were downloaded to is the developer's business; everything else about the stack is the tests'.
KEPT = {
    "HEADWATER_DOWNLOADS",
    "HEADWATER_PYTHON",
    "HEADWATER_TRAINER_PYTHON",
    "HEADWATER_TRITON_PYTHON",
}


@dataclass(frozen=True)
class RunningStack:
    """The stack as tests see it.

    `environment` is complete: hand it to a subprocess as it is.
    """

    kafka_bootstrap_servers: str
    redis_url: str
    state_dir: Path
    environment: dict[str, str]
    parts: "Stack"


def _stack(state: Path) -> "Stack":
    """A stack in `state` that knows nothing of a stack the developer may have running."""
    from deploy.stack.site import Site
    from deploy.stack.stack import Stack

    foreign = ("HEADWATER_", "KAFKA_", "REDIS_")
    environ = {name: value for name, value in os.environ.items() if name in KEPT or not name.startswith(foreign)}
    settings = {
        "HEADWATER_STATE": str(state),
        "HEADWATER_CLOCK": "stream",  # tests publish the past: an event was known when it happened
        "HEADWATER_TRAIN_EVERY_INTERACTIONS": "2000",
    }
    return Stack(Site.of({**environ, **settings}), say=print)


@pytest.fixture(scope="session")
def stack_parts(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Stack]":
    """The parts of the test stack, none started yet; all stopped at the end."""
    from deploy.stack.guard import guarded

    with guarded(_stack(tmp_path_factory.mktemp("stack"))) as parts:
        yield parts


@pytest.fixture(scope="session")
def kafka(stack_parts: "Stack") -> str:
    """Bootstrap servers of a real Kafka; `stack` uses the same one, so name topics apart."""
    stack_parts.up(["kafka"])
    return stack_parts.site.kafka_bootstrap_servers


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Redis for tests that may empty it; `stack` has another."""
    from deploy.stack.guard import guarded

    with guarded(_stack(tmp_path_factory.mktemp("redis"))) as parts:
        parts.up(["redis"])
        yield parts.site.redis_url


@pytest.fixture(scope="session")
def stack(stack_parts: "Stack") -> RunningStack:
    """The whole stack, every part ready."""
    stack_parts.up()
    site = stack_parts.site
    return RunningStack(
        kafka_bootstrap_servers=site.kafka_bootstrap_servers,
        redis_url=site.redis_url,
        state_dir=site.state,
        environment={**site.given, **site.environment()},
        parts=stack_parts,
    )
