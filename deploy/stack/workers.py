"""The stack's own Python processes: stream worker, trainer, serving consumer."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from deploy.stack.http import get
from deploy.stack.part import Part


class Worker(Part):
    """A ``python -m`` process that serves Prometheus metrics and says in them that it is ready."""

    module: ClassVar[str]

    @property
    def interpreter(self) -> Path:
        """Python of the environment this worker runs in."""
        return self.site.python

    def command(self) -> Sequence[str]:
        """The module, by its environment's interpreter."""
        if not self.interpreter.exists():
            raise FileNotFoundError(f"no interpreter at {self.interpreter}; `make setup` makes it")
        return [str(self.interpreter), "-m", self.module]

    def environment(self) -> dict[str, str]:
        """The port its metrics are scraped at."""
        return {"HEADWATER_METRICS_PORT": str(self.site.ports.port(self.port_names[0]))}

    def probe(self) -> bool:
        """Its own metrics say that it is ready."""
        answer = get(f"http://{self.site.address(self.port_names[0])}/metrics")
        return any(is_ready(line) for line in answer.text.splitlines())


def is_ready(line: str) -> bool:
    """Whether a line of Prometheus' text format is the ready gauge at 1, with or without labels."""
    name, _, value = line.rpartition(" ")
    return name.partition("{")[0] == "headwater_ready" and value in {"1", "1.0"}


class Streams(Worker):
    """What happens to an event."""

    name = "streams"
    module = "streams.app"
    needs = ("topics", "feast", "redis")
    port_names = ("streams-metrics",)
    start_timeout_s = 120.0
    stop_grace_s = 30.0


class Trainer(Worker):
    """How a model is made."""

    name = "trainer"
    module = "trainer.service"
    needs = ("topics",)
    port_names = ("trainer-metrics",)
    start_timeout_s = 180.0  # TensorFlow and Merlin take 20 s to import on an idle machine
    stop_grace_s = 30.0

    @property
    def interpreter(self) -> Path:
        """Python of the trainer's environment."""
        return self.site.trainer_python

    def command(self) -> Sequence[str]:
        """Below the others' priority: training takes every core there is, and requests must not wait for it."""
        return ["nice", "-n", "10", *super().command()]


class Serving(Worker):
    """How a request is answered."""

    name = "serving"
    module = "serving.consumer"
    needs = ("topics", "feast", "redis", "triton")
    port_names = ("serving-metrics",)
    start_timeout_s = 120.0
    stop_grace_s = 30.0
