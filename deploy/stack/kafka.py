"""Apache Kafka on one node: KRaft, broker and controller in one process."""

import base64
import logging
import os
import shutil
import subprocess
import uuid
from collections.abc import Sequence
from pathlib import Path

from deploy.stack.part import Part
from deploy.stack.site import ROOT

LOG_CONFIGURATION = ROOT / "deploy" / "kafka" / "log4j2.properties"


def server_properties(listener: str, controller: str, data: Path) -> dict[str, str]:
    """The broker's configuration for one node, reachable at `listener` (``host:port``) only."""
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@{controller}",
        "listeners": f"PLAINTEXT://{listener},CONTROLLER://{controller}",
        "advertised.listeners": f"PLAINTEXT://{listener}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "PLAINTEXT",
        "log.dirs": str(data),
        # A mistyped topic is an error, not a new topic.
        "auto.create.topics.enable": "false",
        # One node can't hold the three replicas that are the default for the broker's own topics.
        "default.replication.factor": "1",
        "offsets.topic.replication.factor": "1",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        # 50 partitions each is meant for clusters; fewer make a quicker start and stop.
        "offsets.topic.num.partitions": "4",
        "transaction.state.log.num.partitions": "4",
        "share.coordinator.state.topic.num.partitions": "4",
        "group.initial.rebalance.delay.ms": "0",
        "num.network.threads": "2",
        "num.io.threads": "4",
        "log.cleaner.dedupe.buffer.size": str(16 * 1024 * 1024),
    }


class Kafka(Part):
    """The broker, from the jars that Maven copied."""

    name = "kafka"
    port_names = ("kafka", "kafka-controller")
    start_timeout_s = 90.0
    stop_grace_s = 30.0

    @property
    def wanted(self) -> bool:
        """False where ``KAFKA_BOOTSTRAP_SERVERS`` points elsewhere."""
        return self.site.external("KAFKA_BOOTSTRAP_SERVERS") is None

    @property
    def directory(self) -> Path:
        """Configuration and data."""
        return self.site.state / "kafka"

    def _java(self, heap: Sequence[str]) -> list[str]:
        java = shutil.which("java")
        if java is None:
            raise FileNotFoundError("no java on PATH; `make setup` says how to install Java 17")
        libraries = self.site.downloads / "kafka" / "libs"
        if not any(libraries.glob("kafka_*.jar")):
            raise FileNotFoundError(f"no Kafka jars in {libraries}; `make setup` fetches them")
        options = [*heap, "-Djava.awt.headless=true", f"-Dlog4j2.configurationFile={LOG_CONFIGURATION}"]
        return [java, *options, "-cp", f"{libraries}{os.sep}*"]

    def prepare(self) -> None:
        """Write the configuration for today's ports; format the storage once."""
        data = self.directory / "data"
        configuration = self.directory / "server.properties"
        self.directory.mkdir(parents=True, exist_ok=True)
        address = self.site.address
        properties = server_properties(address("kafka"), address("kafka-controller"), data)
        configuration.write_text("".join(f"{name}={value}\n" for name, value in properties.items()))
        if (data / "meta.properties").exists():
            return
        # Kafka's own spelling of a random UUID; its tool would start a second JVM for it.
        identity = base64.urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()
        tool = [*self._java(["-Xmx128m", "-XX:TieredStopAtLevel=1"]), "kafka.tools.StorageTool", "format"]
        formatting = [*tool, f"--cluster-id={identity}", f"--config={configuration}"]
        subprocess.run(formatting, check=True, capture_output=True, text=True)

    def command(self) -> Sequence[str]:
        """The broker with a small heap; ``HEADWATER_KAFKA_HEAP`` makes it larger."""
        heap = self.site.given.get("HEADWATER_KAFKA_HEAP", "640m")
        collector = ["-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-XX:+ExitOnOutOfMemoryError"]
        # The second compiler takes as much of a small machine's processors, for minutes, as the broker itself, whose
        # work is mostly copying: what it compiles is a tenth quicker.
        java = self._java([f"-Xms{heap}", f"-Xmx{heap}", "-XX:TieredStopAtLevel=1", *collector])
        # Beside everything else on a few processors: whoever answers is not interrupted by a broker that has woken up.
        patient = ["chrt", "--batch", "0"] if shutil.which("chrt") else []
        return [*patient, *java, "kafka.Kafka", str(self.directory / "server.properties")]

    def probe(self) -> bool:
        """The cluster names a controller and this broker."""
        return cluster_answers(self.site.address("kafka"))


def cluster_answers(bootstrap_servers: str, timeout_s: float = 2.0) -> bool:
    """Whether the cluster at `bootstrap_servers` answers with a controller and at least one broker."""
    from confluent_kafka.admin import AdminClient  # heavy, and `headwater --help` shouldn't wait for it

    timeout_ms = int(timeout_s * 1000)
    configuration: dict[str, str | int | float | bool] = {
        "bootstrap.servers": bootstrap_servers,
        "socket.timeout.ms": timeout_ms,
    }
    admin = AdminClient(configuration, logger=_silent())
    cluster = admin.describe_cluster(request_timeout=timeout_s).result(timeout=timeout_s + 1)
    return cluster.controller is not None and len(cluster.nodes) > 0


def _silent() -> logging.Logger:
    """Where librdkafka complains about a broker that is still starting: nowhere."""
    logger = logging.getLogger("deploy.stack.kafka.probe")
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
    return logger
