"""List the trained models, show one, or make one the live one."""

from __future__ import annotations

import os
import time

import click
import msgspec
from confluent_kafka import KafkaException, Producer
from rich.console import Console
from rich.table import Table

from serving.bundle import Bundle, BundleError, directory_name, open_bundle, versions
from serving.model import announcement
from serving.settings import ServingSettings
from streams.contracts.codec import encode
from streams.contracts.compacted import CompactedTable
from streams.contracts.events import instant
from streams.contracts.operations import BundleAnnouncement

SHOWN_METRICS = ("ndcg_at_10", "auc")


@click.group("model")
def command() -> None:
    """List the trained models, show one, or make one the live one."""


@command.command("list")
def list_models() -> None:
    """Every bundle in the state directory, and which is announced as the live one."""
    settings = ServingSettings()
    announced = _announced(settings)
    table = Table("version", "live", "made", "from", "interactions", "index", "metrics", "MB", box=None, pad_edge=False)
    found = versions(settings.bundles)
    for version in found:
        live = "[green]live[/]" if announced is not None and announced.version == version else ""
        try:
            table.add_row(str(version), live, *_row(open_bundle(settings.bundles / directory_name(version))))
        except BundleError as error:
            table.add_row(str(version), live, f"[red]{error}[/]")
    Console().print(table)
    if not found:
        click.echo(f"no models in {os.path.relpath(settings.bundles)}; `headwater train` makes one")


@command.command("show")
@click.argument("version", type=int)
def show(version: int) -> None:
    """Print the manifest of VERSION, after checking every file against it."""
    bundle = _open(ServingSettings(), version)
    click.echo(msgspec.json.format(msgspec.json.encode(bundle.manifest), indent=1))


@command.command("activate")
@click.argument("version", type=int)
def activate(version: int) -> None:
    """Announce VERSION again, so that every serving process makes it the live one; back to an older one, too."""
    settings = ServingSettings()
    bundle = _open(settings, version)
    manifest = bundle.manifest
    announced = BundleAnnouncement(
        version=version,
        path=str(bundle.path.resolve()),
        manifest_sha256=bundle.manifest_sha256,
        created_at=time.time_ns() // 1_000_000,
        parent=manifest.parent,
        trigger_id=manifest.trigger,
        metrics=manifest.metrics,
    )
    producer = Producer(settings.producer_config())
    failures: list[str] = []
    producer.produce(
        settings.topics.models.name,
        encode(announced),
        b"default",
        on_delivery=lambda error, _: failures.append(str(error)) if error is not None else None,
    )
    left = producer.flush(10)
    if left or failures:
        raise click.ClickException(f"not announced: {', '.join(failures) or 'Kafka does not answer'}")
    click.echo(f"model {version} announced on {settings.topics.models.name}")


def _open(settings: ServingSettings, version: int) -> Bundle:
    try:
        return open_bundle(settings.bundles / directory_name(version))
    except BundleError as error:
        known = ", ".join(map(str, versions(settings.bundles))) or "none"
        raise click.ClickException(f"{error} (versions there are: {known})") from error


def _announced(settings: ServingSettings) -> BundleAnnouncement | None:
    """The announcement that counts; None where there is none, or Kafka cannot tell."""
    try:
        with CompactedTable(settings.topics.models.name, settings.kafka_config(), timeout=5) as table:
            found = [a for record in table.load() if (a := announcement(record)) is not None]
    except (KafkaException, LookupError, TimeoutError) as error:
        click.echo(f"which one is live is not known: {error}", err=True)
        return None
    return found[-1] if found else None


def _row(bundle: Bundle) -> list[str]:
    m = bundle.manifest
    return [
        f"{instant(m.created_at):%Y-%m-%d %H:%M}",
        str(m.parent or "-"),
        f"{m.data_window.interactions:,}",
        f"{m.faiss.kind} {m.faiss.recall_at_100:.3f}",
        " ".join(f"{name} {m.metrics[name]:.4f}" for name in SHOWN_METRICS if name in m.metrics),
        f"{sum(file.bytes for file in m.files.values()) / 1e6:.1f}",
    ]
