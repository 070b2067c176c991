"""A real Triton on free ports."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from deploy.stack.http import get
from serving.triton.repository import ModelRepository

ROOT = Path(__file__).resolve().parents[2]
TRITON = ROOT / ".headwater/tritonserver/pytriton/tritonserver"
STUB = TRITON / "python_backend_stubs/3.11/triton_python_backend_stub"
ENVIRONMENT = ROOT / ".venv-triton"


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


@dataclass
class TritonServer:
    """A running Triton: its HTTP address, model repository, process and log."""

    url: str
    repository: ModelRepository
    process: subprocess.Popen[bytes]
    log: Path

    def kill_stubs(self, model: str) -> None:
        """End the Python processes of a model as a crash would."""
        for process in psutil.Process(self.process.pid).children():
            with suppress(psutil.NoSuchProcess):
                if model in " ".join(process.cmdline()):
                    process.kill()


def start_triton(directory: Path, ports: list[int] | None = None) -> TritonServer:
    backends = directory / "backends"
    (backends / "python").mkdir(parents=True, exist_ok=True)
    for source in {p.name: p for p in [*(TRITON / "backends/python").iterdir(), STUB]}.values():
        if not (backends / "python" / source.name).exists():
            (backends / "python" / source.name).symlink_to(source)
    repository = ModelRepository(directory / "models", instances={"ranker": 2})
    repository.prepare()
    http, grpc_port, metrics = ports or free_ports(3)
    libraries = ROOT / ".headwater/tritonserver/nvidia_pytriton.libs"
    command = [
        TRITON / "bin/tritonserver",
        f"--model-repository={repository.path}",
        f"--backend-directory={backends}",
        "--model-control-mode=explicit",
        "--load-model=*",
        "--strict-readiness=false",
        "--exit-on-error=false",
        "--exit-timeout-secs=8",
        "--disable-auto-complete-config",
        "--http-address=127.0.0.1",
        f"--http-port={http}",
        "--grpc-address=127.0.0.1",
        f"--grpc-port={grpc_port}",
        "--metrics-address=127.0.0.1",
        f"--metrics-port={metrics}",
    ]
    environment = dict(os.environ) | {
        "PATH": f"{ENVIRONMENT / 'bin'}:{os.environ['PATH']}",
        "LD_LIBRARY_PATH": str(libraries),
        "VIRTUAL_ENV": str(ENVIRONMENT),
    }
    log = directory / "triton.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment)
    server = TritonServer(f"127.0.0.1:{http}", repository, process, log)
    deadline = time.monotonic() + 60
    while not is_live(server):
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            raise RuntimeError(f"Triton did not start: {log.read_text()[-3000:]}")
        time.sleep(0.1)
    return server


def is_live(server: TritonServer) -> bool:
    try:
        return get(f"http://{server.url}/v2/health/live").status == 200
    except OSError:
        return False


def stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(5)
