"""Tell Feast what Headwater's features are: ``python -m feature_repo.apply``, as often as you like."""

import os
import warnings
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import click

from feature_repo.redis_commands import with_access, without_password
from feature_repo.shop import Shop, shop_from_environment

CONFIGURATION = Path(__file__).parent / "feature_store.yaml"

ACCESS = {
    "username": "USERNAME",
    "password": "PASSWORD",
    "ca": "SSL_CA_LOCATION",
    "certificate": "SSL_CERTIFICATE_LOCATION",
    "key": "SSL_KEY_LOCATION",
    "key_password": "SSL_KEY_PASSWORD",
}
"""What `with_access` takes, by the rest of the variable's name after HEADWATER_REDIS_."""

TLS_OPTIONS = {"ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_password"}
"""Those of a URL's options that Feast's client takes under the same names."""


def feast_environment(redis_url: str, state: Path) -> dict[str, str]:
    """Return the variables that ``feature_store.yaml`` asks for.

    Parameters
    ----------
    redis_url
        As `feature_repo.redis_commands.connect` takes it; Unix sockets are beyond Feast.
    state
        The state directory.

    Raises
    ------
    ValueError
        When the URL has another scheme or names no host, or what Feast can't write down.
    """
    url = urlsplit(redis_url)
    if url.scheme.removesuffix("+cluster") not in {"redis", "rediss"} or not url.hostname:
        raise ValueError(
            f"REDIS_URL {without_password(redis_url)!r}: Feast needs redis[s]://host:port or redis[s]+cluster://host:port"
        )
    cluster = url.scheme.endswith("+cluster")
    parts = [f"{url.hostname}:{url.port or 6379}"]
    database = url.path.strip("/")
    if database and not cluster:
        parts.append(f"db={int(database)}")
    if url.scheme.startswith("rediss"):
        parts.append("ssl=true")
    if url.username:
        parts.append(f"username={unquote(url.username)}")
    if url.password:
        parts.append(f"password={unquote(url.password)}")
    parts += [f"{name}={value}" for name, value in parse_qsl(url.query) if name in TLS_OPTIONS]
    if any(mark in part for part in parts for mark in ',"\\'):
        raise ValueError("Feast can't take a comma, a quotation mark or a backslash in Redis' password or file names")
    return {
        "HEADWATER_FEAST_REDIS": ",".join(parts),
        "HEADWATER_FEAST_REDIS_TYPE": "redis_cluster" if cluster else "redis",
        "HEADWATER_FEAST_REGISTRY": str(state / "feast" / "registry.db"),
    }


def open_feature_store(redis_url: str, state: Path) -> Any:
    """Return Feast's ``FeatureStore`` for a Redis and a state directory (takes seconds: Feast's import is slow)."""
    import yaml  # type: ignore[import-untyped]
    from feast import FeatureStore, RepoConfig

    text = Template(CONFIGURATION.read_text(encoding="utf-8"))
    configuration = yaml.safe_load(text.substitute(feast_environment(redis_url, state)))
    return FeatureStore(config=RepoConfig(repo_path=CONFIGURATION.parent, **configuration))


def apply(store: Any, shop: Shop, offline: Path) -> list[str]:
    """Bring Feast's registry in line with the definitions and return the names of the views.

    Views and services that are no longer defined, for instance of another shop, are removed, with their fields.
    """
    from feature_repo.definitions import definitions, ensure_offline_files

    ensure_offline_files(shop, offline)
    objects = definitions(shop, offline)
    names = {thing.name for thing in objects}
    known = [*store.list_feature_services(), *store.list_on_demand_feature_views(), *store.list_feature_views()]
    gone = [thing for thing in known if thing.name not in names]
    store.apply(objects, objects_to_delete=gone, partial=not gone)
    return sorted(view.name for view in [*store.list_feature_views(), *store.list_on_demand_feature_views()])


@click.command(help=__doc__)
@click.option("--redis-url", envvar="REDIS_URL", default="redis://127.0.0.1:6379", show_default=True)
@click.option("--state", envvar="HEADWATER_STATE", default=".headwater", type=click.Path(path_type=Path))
def main(redis_url: str, state: Path) -> None:
    """Apply the definitions of the shop in ``HEADWATER_SHOP``."""
    warnings.filterwarnings("ignore", message="On demand feature view is an experimental feature")
    state = state.resolve()
    (state / "feast").mkdir(parents=True, exist_ok=True)
    shop = shop_from_environment()
    access = {name: os.environ.get(f"HEADWATER_REDIS_{variable}") for name, variable in ACCESS.items()}
    applied = apply(open_feature_store(with_access(redis_url, **access), state), shop, state / "offline")
    click.echo(f"feast: {', '.join(applied)} of shop {shop.name}")


if __name__ == "__main__":
    main()
