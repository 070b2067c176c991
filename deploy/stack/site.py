"""Where the local stack lives and which services it is pointed at."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.stack.ports import Ports

ROOT = Path(__file__).resolve().parents[2]

# Settings every process gets although nobody set them.
DEFAULTS = {"HEADWATER_SHOP": "complete_journey", "HEADWATER_CLOCK": "wall"}

SECRETS = ("PASSWORD", "SECRET", "API_KEY")
"""Settings with one of these in their names are inherited, but not written down."""


@dataclass(frozen=True)
class Site:
    """Paths, ports and settings of one stack.

    Attributes
    ----------
    state
        The one directory everything is written to (``HEADWATER_STATE``).
    downloads
        Holds ``kafka/libs`` and ``tritonserver`` (``HEADWATER_DOWNLOADS``); several stacks share it.
    python, trainer_python, triton_python
        Interpreters of the three environments (``HEADWATER_PYTHON``, …).
    given
        The environment the stack was asked for with.
    """

    state: Path
    downloads: Path
    python: Path
    trainer_python: Path
    triton_python: Path
    given: Mapping[str, str]
    ports: Ports

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> "Site":
        """The site that `environ` describes; relative paths start at the project's root."""

        def path(setting: str, default: str) -> Path:
            return ROOT / environ.get(setting, default)  # an absolute setting wins over ROOT

        state = path("HEADWATER_STATE", ".headwater")
        return cls(
            state=state,
            downloads=path("HEADWATER_DOWNLOADS", ".headwater"),
            python=path("HEADWATER_PYTHON", ".venv/bin/python"),
            trainer_python=path("HEADWATER_TRAINER_PYTHON", ".venv-trainer/bin/python"),
            triton_python=path("HEADWATER_TRITON_PYTHON", ".venv-triton/bin/python"),
            given=environ,
            ports=Ports(state / "run" / "ports.json", environ),
        )

    @property
    def run(self) -> Path:
        """Pids, ports and ``stack.env``."""
        return self.state / "run"

    @property
    def logs(self) -> Path:
        """A log file for each part."""
        return self.state / "logs"

    @property
    def environment_file(self) -> Path:
        """What every process of the stack is configured with, as ``NAME=value`` lines."""
        return self.run / "stack.env"

    def address(self, port_name: str) -> str:
        """``127.0.0.1:port`` of a part of this stack."""
        return f"127.0.0.1:{self.ports.port(port_name)}"

    def external(self, setting: str) -> str | None:
        """The service `setting` points at, None where the stack runs its own.

        ``stack.env`` sets the same names, so the stack's own address does not count as somebody else's.
        """
        own = {
            "KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{self.ports.recorded('kafka')}",
            "REDIS_URL": f"redis://127.0.0.1:{self.ports.recorded('redis')}/0",
        }
        value = self.given.get(setting)
        return value if value and value != own[setting] else None

    @property
    def kafka_bootstrap_servers(self) -> str:
        """Kafka to use: somebody else's or the stack's own."""
        return self.external("KAFKA_BOOTSTRAP_SERVERS") or self.address("kafka")

    @property
    def redis_url(self) -> str:
        """Redis to use: somebody else's or the stack's own."""
        return self.external("REDIS_URL") or f"redis://{self.address('redis')}/0"

    def environment(self) -> dict[str, str]:
        """What every process of the stack is configured with, and nothing it would inherit anyway."""
        settings = {
            name: value
            for name, value in self.given.items()
            if name.startswith("HEADWATER_") and not any(word in name for word in SECRETS)
        }
        shop = Path(settings.get("HEADWATER_SHOP", ""))
        if shop.is_file():  # the caller's relative path; the processes run elsewhere
            settings["HEADWATER_SHOP"] = str(shop.absolute())
        return {
            **DEFAULTS,
            **settings,
            "HEADWATER_STATE": str(self.state),
            "KAFKA_BOOTSTRAP_SERVERS": self.kafka_bootstrap_servers,
            "REDIS_URL": self.redis_url,
            "HEADWATER_TRITON_URL": self.address("triton-http"),
            "HEADWATER_PROMETHEUS_URL": f"http://{self.address('prometheus')}",
            "HEADWATER_GATEWAY_URL": f"http://{self.address('gateway')}",
            "HEADWATER_STOREFRONT_URL": f"http://{self.address('storefront')}",
        }

    def write_environment(self) -> None:
        """Write ``stack.env``; a reader sees the old or the new file, never half of one."""
        self.run.mkdir(parents=True, exist_ok=True)
        lines = [f"{name}={value}\n" for name, value in sorted(self.environment().items())]
        draft = self.environment_file.with_suffix(".new")
        draft.touch(mode=0o600)  # REDIS_URL may hold a password
        draft.write_text("".join(lines))
        draft.replace(self.environment_file)


def read_environment(path: Path) -> dict[str, str]:
    """``NAME=value`` lines of `path`; {} where there is no such file."""
    if not path.exists():
        return {}
    pairs = (line.split("=", 1) for line in path.read_text().splitlines() if "=" in line)
    return dict((name, value) for name, value in pairs)
