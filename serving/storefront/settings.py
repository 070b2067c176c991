"""Settings of the storefront: environment variables, checked once at the start."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class StorefrontSettings(BaseSettings):
    """Environment variable HEADWATER_<FIELD> for each field."""

    model_config = SettingsConfigDict(env_prefix="HEADWATER_", extra="ignore", frozen=True)

    gateway_url: str | None = None
    """Where the gateway is; default: `gateway_host` and `gateway_port`."""
    gateway_host: str = "127.0.0.1"
    gateway_port: int = Field(default=8080, ge=0, le=65535)
    api_key: SecretStr | None = None
    """A key with the scopes recommend, catalogue and ingest; none where the gateway is open."""

    shop: str = "complete_journey"
    """Shop profile: which attribute of an item is its category."""
    images: Path | None = None
    """A folder of photographs as H&M's data has it: `010/0108775015.jpg`. What has none is drawn."""

    storefront_host: str = "127.0.0.1"
    storefront_port: int = Field(default=8501, ge=0, le=65535)
    storefront_currency: str = "$"
    storefront_shown: int = Field(default=100, ge=12, le=200)
    """Items asked for at a time; the home page's shelves are cut out of them."""

    @property
    def gateway(self) -> str:
        """The gateway's address."""
        return self.gateway_url or f"http://{self.gateway_host}:{self.gateway_port}"
