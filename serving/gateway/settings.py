"""Settings of the gateway: those of serving, and the variables below."""

from __future__ import annotations

import ipaddress
from typing import Self

from pydantic import Field, SecretStr, model_validator

from serving.settings import ServingSettings

TOKEN_SECRET_BYTES = 32
"""An attested token's signature (HMAC-SHA256) is no stronger than its secret."""


class GatewaySettings(ServingSettings):
    """Environment variable HEADWATER_<FIELD> for each field."""

    gateway_host: str = "127.0.0.1"
    gateway_port: int = Field(default=8080, ge=0, le=65535)

    gateway_queue: int = Field(default=256, ge=1)
    """Requests that may wait in each queue, `answering` and `aside`; what comes then is refused with 503."""
    gateway_max_body_bytes: int = Field(default=4 * 1_048_576, ge=1024)
    gateway_max_bulk: int = Field(default=1000, ge=1)
    """Records in one bulk post."""
    gateway_explained: int = Field(default=64, ge=1)
    """MiB of answers kept in memory, so that they can be explained."""

    gateway_open: bool = False
    """For development: nobody needs a key. Only on this machine's own addresses."""
    gateway_cors_origins: tuple[str, ...] = ()
    """Origins whose pages may call the gateway from a browser; none by default."""
    gateway_rate_per_key: str = "1000/second"
    gateway_rate_per_customer: str = "50/second"
    """Limits in the notation of `limits`: `50/second`, `1000/minute`."""
    gateway_token_secret: SecretStr | None = None
    """Signs and checks attested tokens; at least 32 bytes. Without one there are no attested tokens."""
    oidc_issuer: str | None = None
    oidc_audience: str | None = None
    oidc_jwks_url: str | None = None

    @model_validator(mode="after")
    def _checked(self) -> Self:
        if self.gateway_open and not _own(self.gateway_host):
            raise ValueError(
                f"HEADWATER_GATEWAY_OPEN lets everybody in, and HEADWATER_GATEWAY_HOST is {self.gateway_host!r}: "
                "without keys the gateway listens on 127.0.0.1 or ::1 only"
            )
        secret = self.gateway_token_secret
        if secret is not None and len(secret.get_secret_value().encode()) < TOKEN_SECRET_BYTES:
            raise ValueError(f"HEADWATER_GATEWAY_TOKEN_SECRET is too short: at least {TOKEN_SECRET_BYTES} bytes")
        return self


def _own(host: str) -> bool:
    """Whether an address can be reached from this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
