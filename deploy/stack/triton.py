"""Triton Inference Server from the nvidia-pytriton wheel, Python backend on the triton environment."""

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from deploy.stack.http import get
from deploy.stack.part import Part

STUB = "triton_python_backend_stub"


def place_stub(tritonserver: Path) -> None:
    """Put the Python backend's stub for this Python version where the backend looks for it.

    Raises
    ------
    FileNotFoundError
        The unpacked wheel is missing or has no stub for this version.
    """
    base = tritonserver / "pytriton" / "tritonserver"
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    source = base / "python_backend_stubs" / version / STUB
    target = base / "backends" / "python" / STUB
    if not source.exists():
        raise FileNotFoundError(f"no Triton stub at {source}; `make setup` unpacks it")
    if not target.exists() or target.stat().st_size != source.stat().st_size:
        draft = target.with_suffix(f".{os.getpid()}")
        shutil.copy2(source, draft)
        draft.replace(target)


class Triton(Part):
    """The model server; models come and go by explicit load calls."""

    name = "triton"
    port_names = ("triton-grpc", "triton-http", "triton-metrics")
    stop_grace_s = 20.0

    @property
    def base(self) -> Path:
        """Binary, backends and caches inside the unpacked wheel."""
        return self.site.downloads / "tritonserver" / "pytriton" / "tritonserver"

    @property
    def repository(self) -> Path:
        """The model repository; it may be empty."""
        return self.site.state / "triton" / "models"

    @property
    def _shared_memory(self) -> str:
        return f"headwater_{self.site.ports.port('triton-grpc')}_"

    def prepare(self) -> None:
        """Make the repository; see that the stub is in place."""
        self.repository.mkdir(parents=True, exist_ok=True)
        place_stub(self.site.downloads / "tritonserver")

    def command(self) -> Sequence[str]:
        """The server, on 127.0.0.1 only, loading whatever models the repository holds."""
        port = self.site.ports.port
        options = {
            "model-repository": str(self.repository),
            "backend-directory": str(self.base / "backends"),
            "cache-directory": str(self.base / "caches"),
            "backend-config": f"python,shm-region-prefix-name={self._shared_memory}",
            "model-control-mode": "explicit",
            "load-model": "*",
            "strict-readiness": "false",  # an empty repository is ready
            "exit-on-error": "false",  # one broken model must not keep the others down
            "exit-timeout-secs": "8",
            "http-address": "127.0.0.1",
            "http-port": str(port("triton-http")),
            "grpc-address": "127.0.0.1",
            "grpc-port": str(port("triton-grpc")),
            "metrics-address": "127.0.0.1",
            "metrics-port": str(port("triton-metrics")),
        }
        flags = [f"--{name}={value}" for name, value in options.items()]
        return [str(self.base / "bin" / "tritonserver"), *flags, "--disable-auto-complete-config"]

    def environment(self) -> dict[str, str]:
        """PATH with the triton environment first: the stub runs the first ``python3`` it finds."""
        interpreters = self.site.triton_python.parent
        if not (interpreters / "python3").exists():
            raise FileNotFoundError(f"no python3 in {interpreters}; `make setup` makes the triton environment")
        return {"PATH": f"{interpreters}{os.pathsep}{os.environ.get('PATH', '')}"}

    def probe(self) -> bool:
        """The HTTP endpoint says that the server takes inferences."""
        return get(f"http://{self.site.address('triton-http')}/v2/health/ready").status == 200

    def clear(self) -> None:
        """Remove shared memory that a killed server left."""
        shared = Path("/dev/shm")  # noqa: S108 - where the backend puts its regions
        for region in shared.glob(f"{self._shared_memory}*"):
            region.unlink(missing_ok=True)
