"""Prometheus, scraping every process of the stack."""

import shutil
from collections.abc import Mapping, Sequence

from deploy.stack.http import get
from deploy.stack.part import Part

# Job names are what dashboards select by.
JOBS = {
    "streams": "streams-metrics",
    "trainer": "trainer-metrics",
    "similarity": "similarity-metrics",
    "serving": "serving-metrics",
    "gateway": "gateway-metrics",
    "triton": "triton-metrics",
}


def scrape_configuration(targets: Mapping[str, str], interval: str = "2s") -> str:
    """Prometheus' configuration (YAML) for `targets`, job name → ``host:port``."""
    lines = ["global:", f"  scrape_interval: {interval}", f"  scrape_timeout: {interval}", "scrape_configs:"]
    for job, address in targets.items():
        lines += [f"  - job_name: {job}", "    static_configs:", f"      - targets: ['{address}']"]
    return "\n".join(lines) + "\n"


class Prometheus(Part):
    """The system's Prometheus server."""

    name = "prometheus"
    port_names = ("prometheus",)
    start_timeout_s = 30.0

    def prepare(self) -> None:
        """Write the configuration for today's ports."""
        directory = self.site.state / "prometheus"
        directory.mkdir(parents=True, exist_ok=True)
        targets = {job: self.site.address(port_name) for job, port_name in JOBS.items()}
        (directory / "prometheus.yml").write_text(scrape_configuration(targets))

    def command(self) -> Sequence[str]:
        """The server, on 127.0.0.1 only, keeping two days."""
        program = shutil.which("prometheus")
        if program is None:
            raise FileNotFoundError("no prometheus on PATH; `make setup` says how to install it")
        directory = self.site.state / "prometheus"
        options = {
            "config.file": str(directory / "prometheus.yml"),
            "storage.tsdb.path": str(directory / "data"),
            "storage.tsdb.retention.time": "2d",
            "web.listen-address": self.site.address("prometheus"),
            "log.level": "warn",
        }
        return [program, *(f"--{name}={value}" for name, value in options.items())]

    def probe(self) -> bool:
        """The server says that it is ready to serve queries."""
        return get(f"http://{self.site.address('prometheus')}/-/ready").status == 200
