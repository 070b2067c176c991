import tomllib

import pytest

from serving.storefront.__main__ import APP, command
from serving.storefront.settings import StorefrontSettings


def test_it_listens_where_the_settings_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADWATER_STOREFRONT_PORT", "20123")
    monkeypatch.setenv("HEADWATER_GATEWAY_URL", "http://gateway:8080")
    settings = StorefrontSettings()
    assert settings.gateway == "http://gateway:8080"
    line = command(settings)
    assert line[line.index("--server.address") + 1] == "127.0.0.1"
    assert line[line.index("--server.port") + 1] == "20123"
    assert str(APP) in line


def test_the_key_is_not_printed_with_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADWATER_API_KEY", "hw_secret")
    settings = StorefrontSettings()
    assert "hw_secret" not in repr(settings)
    assert "hw_secret" not in " ".join(command(settings))


def test_streamlit_tells_nobody_and_listens_to_this_machine_only() -> None:
    configured = tomllib.loads((APP.parent / ".streamlit" / "config.toml").read_text())
    assert configured["browser"]["gatherUsageStats"] is False
    assert configured["server"]["address"] == "127.0.0.1"
    assert configured["server"]["headless"] is True
