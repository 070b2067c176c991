"""What the stack is made of: long-running parts, and steps that run to their end."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from deploy.stack.site import Site


class Part(ABC):
    """A server of the stack: how to start it, how to tell that it serves, what to clear away afterwards.

    Attributes
    ----------
    name
        Also the name of its log and pid files.
    needs
        Parts and steps that must be ready before.
    port_names
        Ports it listens on; the first is the one people ask for.
    start_timeout_s, stop_grace_s
        Seconds it may take to become ready, and to go after SIGTERM.
    """

    name: ClassVar[str]
    needs: ClassVar[tuple[str, ...]] = ()
    port_names: ClassVar[tuple[str, ...]] = ()
    start_timeout_s: ClassVar[float] = 60.0
    stop_grace_s: ClassVar[float] = 15.0

    def __init__(self, site: Site) -> None:
        self.site = site

    @property
    def wanted(self) -> bool:
        """False where the settings point at somebody else's service."""
        return True

    @property
    def log(self) -> Path:
        """Where its output goes."""
        return self.site.logs / f"{self.name}.log"

    @property
    def pid_file(self) -> Path:
        """Where its pid is written down while it runs."""
        return self.site.run / f"{self.name}.pid"

    def prepare(self) -> None:  # noqa: B027 - most parts have nothing to prepare
        """Make what the command needs: directories, configuration."""

    @abstractmethod
    def command(self) -> Sequence[str]:
        """Program and arguments.

        Raises
        ------
        FileNotFoundError
            Its program is missing; the message says how to get it.
        """

    def environment(self) -> dict[str, str]:
        """Variables for this part alone, on top of the stack's."""
        return {}

    @abstractmethod
    def probe(self) -> bool:
        """Ask the running server itself whether it serves; an exception counts as no."""

    def clear(self) -> None:  # noqa: B027 - most parts leave nothing
        """Remove what a killed process may leave outside the state directory."""


class Step(ABC):
    """Something that must have been done before a part starts."""

    name: ClassVar[str]
    needs: ClassVar[tuple[str, ...]] = ()

    def __init__(self, site: Site) -> None:
        self.site = site

    @property
    def log(self) -> Path:
        """Where its output goes."""
        return self.site.logs / f"{self.name}.log"

    def done(self) -> bool:
        """Whether it need not run again."""
        return False

    @abstractmethod
    def command(self) -> Sequence[str]:
        """Program and arguments; exit status 0 is success."""

    def finished(self) -> None:  # noqa: B027 - most steps have nothing to note
        """Note that it has run."""
