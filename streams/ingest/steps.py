"""Names of the points between two writes. Product code only passes by; tests stop the world there."""

from collections.abc import Callable

Step = Callable[[str], None]
"""Called with the name of a step before it is taken."""

TAKE_UP = ("claim", "recover items", "recover changelog", "recover flush", "resume", "resumed")
"""Steps of taking a partition; those of recovery come only where a batch was left unfinished."""

BATCH = ("flush", "begin", "customers", "items", "customers changelog", "changelog", "applied", "finish", "finished")
"""Steps of applying a batch, and of saying that nothing follows at once."""

ERASURE = ("ledger",)
"""Steps that come only where a batch of erasures is applied."""

OFFLINE = ("offline file", "offline marker", "offline written", "offline commit")
"""Steps of writing a range to the offline store: before each file, before and after the marker, before Kafka knows."""


def pass_by(name: str) -> None:
    """Do nothing, as everywhere but in tests."""
