"""The stack's own Python processes: stream worker, trainer, similarity, serving consumer, gateway, storefront."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from deploy.stack.http import get
from deploy.stack.part import Part


class Worker(Part):
    """A ``python -m`` process that serves Prometheus metrics and says in them that it is ready.

    Attributes
    ----------
    module
        What is run.
    metrics_port
        Name of the port its metrics are scraped at; it is among `port_names`.
    """

    module: ClassVar[str]
    metrics_port: ClassVar[str]

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
        return {"HEADWATER_METRICS_PORT": str(self.site.ports.port(self.metrics_port))}

    def probe(self) -> bool:
        """Its own metrics say that it is ready."""
        answer = get(f"http://{self.site.address(self.metrics_port)}/metrics")
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
    metrics_port = "streams-metrics"
    port_names = ("streams-metrics",)
    start_timeout_s = 120.0
    stop_grace_s = 30.0


class Trainer(Worker):
    """How a model is made."""

    name = "trainer"
    module = "trainer.service"
    needs = ("topics",)
    metrics_port = "trainer-metrics"
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
    metrics_port = "serving-metrics"
    port_names = ("serving-metrics",)
    start_timeout_s = 120.0
    stop_grace_s = 30.0


class Similarity(Worker):
    """What items' texts and baskets say about their likeness."""

    name = "similarity"
    module = "trainer.similarity"
    needs = ("topics",)
    metrics_port = "similarity-metrics"
    port_names = ("similarity-metrics",)
    start_timeout_s = 180.0
    stop_grace_s = 30.0

    @property
    def interpreter(self) -> Path:
        """Python of the trainer's environment."""
        return self.site.trainer_python

    def command(self) -> Sequence[str]:
        """Below everybody's priority, the trainer's too: no request waits for it, and no model."""
        return ["nice", "-n", "19", *super().command()]


class Gateway(Worker):
    """Headwater over HTTP."""

    name = "gateway"
    module = "serving.gateway"
    needs = ("topics", "feast", "redis", "triton")
    metrics_port = "gateway-metrics"
    port_names = ("gateway", "gateway-metrics")
    start_timeout_s = 120.0
    stop_grace_s = 30.0

    def environment(self) -> dict[str, str]:
        """Its port; and no keys, unless the settings say otherwise: this stack is for one developer's machine."""
        return {
            "HEADWATER_GATEWAY_OPEN": "true",
            **{name: value for name, value in self.site.given.items() if name == "HEADWATER_GATEWAY_OPEN"},
            "HEADWATER_GATEWAY_PORT": str(self.site.ports.port("gateway")),
            **super().environment(),
        }

    def probe(self) -> bool:
        """It says itself that it can do its work."""
        return get(f"http://{self.site.address('gateway')}/health/ready").status == 200


class Storefront(Part):
    """A shop to try it all in."""

    name = "storefront"
    needs = ("gateway",)
    port_names = ("storefront",)

    def command(self) -> Sequence[str]:
        """The module, by the main environment's interpreter."""
        if not self.site.python.exists():
            raise FileNotFoundError(f"no interpreter at {self.site.python}; `make setup` makes it")
        return [str(self.site.python), "-m", "serving.storefront"]

    def environment(self) -> dict[str, str]:
        """Its port."""
        return {"HEADWATER_STOREFRONT_PORT": str(self.site.ports.port("storefront"))}

    def probe(self) -> bool:
        """Streamlit's own health page."""
        return get(f"http://{self.site.address('storefront')}/_stcore/health").text == "ok"
