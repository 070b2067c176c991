"""The trainer and Triton's environment import the contracts too, so they must stay light."""

import subprocess
import sys
from pathlib import Path

CONTRACTS = Path(__file__).resolve().parents[3] / "streams" / "contracts"
NEED_MORE = {
    "compacted": {"confluent_kafka"},
    "embeddings": {"numpy"},
    "observability": {"structlog", "prometheus_client"},
}
HEAVY = {
    "numpy",
    "pandas",
    "pyarrow",
    "pydantic",
    "confluent_kafka",
    "structlog",
    "prometheus_client",
    "faust",
    "redis",
}


def test_contracts_need_nothing_but_msgspec() -> None:
    for path in sorted(CONTRACTS.glob("*.py")):
        name = f"streams.contracts.{path.stem}".removesuffix(".__init__")
        program = f"import sys, {name}; print(*{{m.partition('.')[0] for m in sys.modules}})"
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        loaded = set(done.stdout.split()) & HEAVY
        assert loaded <= NEED_MORE.get(path.stem, set()), f"{name} imports {loaded}"
