"""The containers run the same parts as the local stack: same modules, same settings, same broker."""

import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.stack.kafka import server_properties
from deploy.stack.prometheus import JOBS, scrape_configuration
from deploy.stack.redis import Redis
from deploy.stack.site import ROOT, Site
from deploy.stack.stack import ORDER
from deploy.stack.triton import Triton
from deploy.stack.workers import Worker
from serving.gateway.settings import GatewaySettings
from serving.storefront.settings import StorefrontSettings
from streams.settings import Settings

DEPLOY = ROOT / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
METRICS_PORT = "9100"
# What an address or a path must differ in between a machine and a container.
PLACES = ("listener", "quorum.voters", "log.dirs")


def site(state: Path) -> Site:
    return Site.of({"HEADWATER_STATE": str(state)})


def options(command: list[str]) -> dict[str, str]:
    """``--name=value`` flags."""
    return dict(flag.removeprefix("--").partition("=")[::2] for flag in command if flag.startswith("--"))


def dockerfile(name: str) -> str:
    return (DEPLOY / "docker" / f"{name}.Dockerfile").read_text()


def test_every_part_of_the_stack_has_a_service() -> None:
    assert {part.name for part in ORDER} <= set(SERVICES)


OURS = ("topics", "feast", "streams", "trainer", "similarity", "serving", "gateway", "storefront")


@pytest.mark.parametrize("name", OURS)
def test_a_service_runs_the_module_that_the_local_stack_runs(name: str, tmp_path: Path) -> None:
    [part] = [kind(site(tmp_path)) for kind in ORDER if kind.name == name]
    command = list(part.command())  # may begin with its priority, which in a container is the scheduler's business
    assert SERVICES[name]["command"][1:] == command[command.index("-m") :]
    module = ROOT / SERVICES[name]["command"][2].replace(".", "/")
    # The package's parents would be imported by find_spec; the file says enough.
    assert module.with_suffix(".py").exists() or (module / "__main__.py").exists(), f"no module {module}"
    assert importlib.util.find_spec(module.relative_to(ROOT).parts[0]) is not None


@pytest.mark.parametrize("kind", [kind for kind in ORDER if issubclass(kind, Worker)])
def test_a_worker_waits_for_what_it_needs(kind: type[Worker]) -> None:
    assert set(kind.needs) == set(SERVICES[kind.name]["depends_on"])
    assert "headwater_ready 1" in SERVICES[kind.name]["healthcheck"]["test"][-1]


def test_services_are_configured_by_settings_that_exist() -> None:
    fields = {*Settings.model_fields, *GatewaySettings.model_fields, *StorefrontSettings.model_fields}
    known = {f"HEADWATER_{name.upper()}" for name in fields}
    known |= {"KAFKA_BOOTSTRAP_SERVERS", "REDIS_URL", "HEADWATER_METRICS_ADDRESS"}
    for name in OURS:
        assert set(SERVICES[name]["environment"]) <= known
        assert SERVICES[name]["volumes"] == ["state:/var/lib/headwater"]
    for image in ("main", "trainer"):
        assert set(re.findall(r"(HEADWATER_\w+)=", dockerfile(image))) <= known
        assert f"HEADWATER_METRICS_PORT={METRICS_PORT}" in dockerfile(image)


def test_the_broker_is_configured_as_locally() -> None:
    environment = SERVICES["kafka"]["environment"]
    for name, value in server_properties("h:1", "h:2", Path("/data")).items():
        if not any(place in name for place in PLACES):
            assert environment[f"KAFKA_{name.upper().replace('.', '_')}"] == value, name
    [version] = re.findall(r"<kafka.version>(.*)</", (DEPLOY / "kafka" / "pom.xml").read_text())
    assert SERVICES["kafka"]["image"] == f"apache/kafka:{version}"


def test_redis_is_configured_as_locally(tmp_path: Path) -> None:
    local = list(Redis(site(tmp_path)).command())[1:]
    kept = dict(zip(local[::2], local[1::2], strict=True))
    for place in ("--bind", "--port", "--dir", "--daemonize"):
        del kept[place]
    container = SERVICES["redis"]["command"][1:]
    assert dict(zip(container[::2], container[1::2], strict=True)) == kept


def test_triton_is_configured_as_locally(tmp_path: Path) -> None:
    flags = json.loads(re.search(r"^CMD (\[.*\])", dockerfile("triton").replace("\\\n", ""), re.M)[1])  # type: ignore[index]
    container, local = options(flags), options(list(Triton(site(tmp_path)).command()))
    assert container.keys() == local.keys()
    same = ("model-control-mode", "load-model", "strict-readiness", "exit-on-error", "exit-timeout-secs")
    assert {name: container[name] for name in same} == {name: local[name] for name in same}
    asked = COMPOSE["x-settings"]["HEADWATER_TRITON_URL"]
    assert asked == f"triton:{container['http-port']}"


def test_prometheus_scrapes_every_service() -> None:
    targets = {job: f"{job}:{METRICS_PORT}" for job in JOBS} | {"triton": "triton:8002"}
    assert (DEPLOY / "prometheus" / "prometheus.yml").read_text() == scrape_configuration(targets, "5s")


@pytest.mark.parametrize("name", ["main", "trainer", "triton"])
def test_an_image_installs_its_locked_environment(name: str) -> None:
    text = dockerfile(name)
    for locked in re.findall(r"deploy/requirements/\S+\.txt", text):
        assert (ROOT / locked).exists()
    assert f"deploy/requirements/{name}.txt" in text
    assert "--require-hashes" in text
    assert "USER headwater" in text


def test_files_that_compose_mounts_or_builds_from_exist() -> None:
    for service in SERVICES.values():
        if "build" in service:
            assert (DEPLOY / service["build"]["context"] / service["build"]["dockerfile"]).exists()
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            assert (DEPLOY / source).exists() if source.startswith(".") else source in COMPOSE["volumes"]
