"""docs/running.md knows every setting, part and target there is."""

import re

import pytest

from deploy.stack.site import ROOT
from deploy.stack.stack import ORDER
from serving.gateway.settings import GatewaySettings

PAGE = (ROOT / "docs" / "running.md").read_text()


def settings() -> set[str]:
    aliases = {"kafka_bootstrap_servers": "KAFKA_BOOTSTRAP_SERVERS", "redis_url": "REDIS_URL"}
    return {aliases.get(name, f"HEADWATER_{name.upper()}") for name in GatewaySettings.model_fields}


@pytest.mark.parametrize("name", sorted(settings()))
def test_every_setting_is_on_the_page(name: str) -> None:
    assert f"`{name}`" in PAGE


def test_the_stack_s_own_settings_are_on_the_page() -> None:
    source = "".join(path.read_text() for path in sorted((ROOT / "deploy" / "stack").glob("*.py")))
    read = set(re.findall(r'"(HEADWATER_[A-Z_]+)"', source))
    assert read <= set(re.findall(r"HEADWATER_[A-Z_]+", PAGE)) | {"HEADWATER_PROMETHEUS_URL"}


def test_every_part_and_its_ports_are_on_the_page() -> None:
    for kind in ORDER:
        assert f"| `{kind.name}` |" in PAGE
        for port in getattr(kind, "port_names", ()):
            assert f"`{port.upper().replace('-', '_')}`" in PAGE


def test_the_page_names_only_targets_and_modules_that_exist() -> None:
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(re.findall(r"`make ([a-z]+)", PAGE)) <= set(targets)
    for module in re.findall(r"python -m ([\w.]+)", PAGE):
        place = ROOT / module.replace(".", "/")
        assert place.with_suffix(".py").exists() or (place / "__main__.py").exists(), module
