from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from streams.settings import Settings


def test_reads_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "KAFKA_BOOTSTRAP_SERVERS": "broker:9093",
        "REDIS_URL": "redis://cache/1",
        "HEADWATER_STATE": "state",
        "HEADWATER_CLOCK": "stream",
        "HEADWATER_TOPIC_PREFIX": "shop-",
        "HEADWATER_METRICS_PORT": "9100",
    }.items():
        monkeypatch.setenv(name, value)
    settings = Settings()
    assert settings.kafka_config() == {"bootstrap.servers": "broker:9093", "security.protocol": "PLAINTEXT"}
    assert (settings.redis_url, settings.state, settings.metrics_port) == ("redis://cache/1", Path("state"), 9100)
    assert settings.topics.dead_letters.name == "shop-dead-letters"
    assert settings.producer_config()["partitioner"] == "murmur2_random"


def test_security_is_passed_through_and_secrets_are_not_shown() -> None:
    settings = Settings(
        kafka_security_protocol="SASL_SSL",
        kafka_sasl_mechanism="SCRAM-SHA-512",
        kafka_sasl_username="shop",
        kafka_sasl_password=SecretStr("hidden"),
        kafka_ssl_ca_location=Path("ca.pem"),
    )
    config = settings.kafka_config()
    assert config["security.protocol"] == "SASL_SSL"
    assert (config["sasl.username"], config["sasl.password"]) == ("shop", "hidden")
    assert config["ssl.ca.location"] == "ca.pem"
    assert "hidden" not in repr(settings)


@pytest.mark.parametrize("wrong", [{"clock": "moon"}, {"metrics_port": 70000}, {"train_every_interactions": 0}])
def test_nonsense_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        Settings(**wrong)  # type: ignore[arg-type]
