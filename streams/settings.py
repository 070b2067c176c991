"""Settings of the streams' and serving's processes: environment variables, checked once at the start."""

from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from feature_repo.redis_commands import with_access, without_password
from streams.contracts.topics import PARTITIONER, Topics


class Settings(BaseSettings):
    """Everything that can be configured: the environment variable HEADWATER_<FIELD> for each field below.

    KAFKA_BOOTSTRAP_SERVERS and REDIS_URL go without the prefix.
    """

    model_config = SettingsConfigDict(
        env_prefix="HEADWATER_",
        populate_by_name=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,  # it may be a password
    )

    kafka_bootstrap_servers: str = Field(default="127.0.0.1:9092", validation_alias="KAFKA_BOOTSTRAP_SERVERS")
    redis_username: str | None = None
    redis_password: SecretStr | None = None
    redis_ssl_ca_location: Path | None = None
    redis_ssl_certificate_location: Path | None = None
    redis_ssl_key_location: Path | None = None
    redis_ssl_key_password: SecretStr | None = None
    redis_url: str = Field(
        default="redis://127.0.0.1:6379/0", validation_alias="REDIS_URL", validate_default=True, repr=False
    )
    """With what the fields above say, so not for printing: `redis_address` is."""
    triton_url: str = "127.0.0.1:8000"
    """HTTP address, host:port."""

    state: Path = Path(".headwater")
    """Directory that holds all state of a local installation."""
    shop: str = "complete_journey"
    """Name of a built-in shop profile, or the path of one."""
    clock: Literal["wall", "stream"] = "wall"
    """Default `as_of` of a request: now, or the newest event of the stream (for replays of old data)."""
    topic_prefix: str = ""
    topic_replication: int = -1
    """Replicas of topics that are created; -1 leaves it to the broker."""

    metrics_port: int = Field(default=0, ge=0, le=65535)
    log_level: str = "INFO"

    train_every_interactions: int = Field(default=20_000, ge=1)
    train_every_seconds: float = Field(default=3600.0, gt=0)

    compact_every_seconds: float = Field(default=300.0, gt=0)
    """How often the offline store is compacted, and freed of rows of erased customers."""
    compact_full_rows: int = Field(default=500_000, ge=1)
    """A range of the offline store with so many rows is not merged any more."""
    compact_grace_seconds: float = Field(default=3600.0, ge=0)
    """For how long replaced files stay, for trainers that are reading them."""

    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    kafka_sasl_mechanism: str | None = None
    kafka_sasl_username: str | None = None
    kafka_sasl_password: SecretStr | None = None
    kafka_ssl_ca_location: Path | None = None
    kafka_ssl_certificate_location: Path | None = None
    kafka_ssl_key_location: Path | None = None
    kafka_ssl_key_password: SecretStr | None = None

    @field_validator("redis_url", mode="after")
    @classmethod
    def _with_access(cls, url: str, info: ValidationInfo) -> str:
        def given(name: str) -> str | None:
            value = info.data.get(f"redis_{name}")
            return None if value is None else _plain(value)

        return with_access(
            url,
            username=given("username"),
            password=given("password"),
            ca=given("ssl_ca_location"),
            certificate=given("ssl_certificate_location"),
            key=given("ssl_key_location"),
            key_password=given("ssl_key_password"),
        )

    @property
    def redis_address(self) -> str:
        """Where Redis is, for messages: without credentials."""
        return without_password(self.redis_url)

    @property
    def offline(self) -> Path:
        """Where the offline store is."""
        return self.state / "offline"

    @cached_property
    def topics(self) -> Topics:
        """All topics under this installation's prefix."""
        return Topics.named(self.topic_prefix)

    def kafka_config(self) -> dict[str, Any]:
        """librdkafka's connection settings, for consumers and the admin client."""
        optional = {
            "sasl.mechanism": self.kafka_sasl_mechanism,
            "sasl.username": self.kafka_sasl_username,
            "sasl.password": self.kafka_sasl_password,
            "ssl.ca.location": self.kafka_ssl_ca_location,
            "ssl.certificate.location": self.kafka_ssl_certificate_location,
            "ssl.key.location": self.kafka_ssl_key_location,
            "ssl.key.password": self.kafka_ssl_key_password,
        }
        return {
            "bootstrap.servers": self.kafka_bootstrap_servers,
            "security.protocol": self.kafka_security_protocol,
            **{name: _plain(value) for name, value in optional.items() if value is not None},
        }

    def producer_config(self) -> dict[str, Any]:
        """Connection settings plus what every producer must set: the partitioner, no loss, no reordering."""
        return {
            **self.kafka_config(),
            "partitioner": PARTITIONER,
            "enable.idempotence": True,
            "compression.type": "lz4",
        }


def _plain(value: object) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)
