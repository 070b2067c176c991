"""Make, list, rotate and revoke API keys of the gateway."""

from __future__ import annotations

import time

import click
from confluent_kafka import KafkaException, Producer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from serving.gateway.security.keys import (
    KeyRefusedError,
    KeyTable,
    NewKey,
    expires_at,
    make_key,
    record_of,
    revocation_of,
    rotated,
)
from serving.gateway.security.principal import Scope
from streams.contracts.compacted import CompactedTable
from streams.contracts.events import instant
from streams.contracts.operations import ApiKey
from streams.sender import Sender
from streams.settings import Settings

DAY_MS = 86_400_000
HOUR_MS = 3_600_000


@click.group("keys")
def command() -> None:
    """Make, list, rotate and revoke API keys of the gateway.

    They go to the topic api-keys, which every gateway follows: who may write there is an operator.
    """


@command.command("create")
@click.option("--client", required=True, metavar="NAME", help="Whose key it is, for people and the audit log.")
@click.option("--scope", "scopes", multiple=True, required=True, type=click.Choice([scope.value for scope in Scope]),
              help="What it may do; give it more than once for more.")  # fmt: skip
@click.option("--days", type=click.FloatRange(0, min_open=True), help="Ends after so long; default: never.")
@click.option("--rate", metavar="RATE", help="Its own limit, such as 100/second; default: the gateway's for every key.")
def create(client: str, scopes: tuple[str, ...], days: float | None, rate: str | None) -> None:
    """Make a key and print it; it is kept nowhere.

    \b
    headwater keys create --client "web shop" --scope ingest --scope recommend --days 365
    """
    now = _now_ms()
    end = None if days is None else now + int(days * DAY_MS)
    try:
        made = make_key(client, [Scope(scope) for scope in scopes], now, expires_at=end, rate=rate)
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    _publish(record_of(made.record))
    _print(made)


@command.command("list")
def list_keys() -> None:
    """Every key that there is or was."""
    shown = Table("key", "client", "scopes", "rate", "made", "ends", "state", box=None, pad_edge=False)
    table, now = _keys(), _now_ms()
    for key in table.all():
        end = expires_at(key)
        shown.add_row(
            key.key_id,
            escape(key.client),
            " ".join(key.scopes),
            key.rate or "-",
            _day(key.created_at),
            "-" if end is None else _day(end),
            _state(table, key, now),
        )
    Console().print(shown)


@command.command("rotate")
@click.argument("key_id")
@click.option("--overlap-hours", default=24.0, show_default=True, type=click.FloatRange(0),
              help="How long the old secret stays good.")  # fmt: skip
def rotate(key_id: str, overlap_hours: float) -> None:
    """Give KEY_ID a new secret and print the key; the old secret stays good for a while."""
    key = _find(_keys(), key_id)
    try:
        made = rotated(key, _now_ms(), overlap=int(overlap_hours * HOUR_MS))
    except KeyRefusedError as error:
        raise click.ClickException(str(error)) from error
    _publish(record_of(made.record))
    _print(made)


@command.command("revoke")
@click.argument("key_id")
def revoke(key_id: str) -> None:
    """Shut KEY_ID out, for good, with all customers' tokens that it asked for."""
    key = _find(_keys(), key_id)
    if key.revoked_at is None:
        _publish(revocation_of(key, _now_ms()))
    click.echo(f"revoked: {key_id} ({key.client})")


def _print(made: NewKey) -> None:
    """The key alone on stdout, for scripts; what to know about it beside."""
    key = made.record
    click.echo(made.text)
    click.echo(f"key {key.key_id} of {key.client!r}: {', '.join(key.scopes)}; it is not shown again", err=True)


def _state(table: KeyTable, key: ApiKey, now: int) -> str:
    if key.revoked_at is not None:
        return f"[red]revoked {_day(key.revoked_at)}[/]"
    return "[green]good[/]" if table.good(key.key_id, now) else "[yellow]expired[/]"


def _keys() -> KeyTable:
    settings, table = Settings(), KeyTable()
    try:
        with CompactedTable(settings.topics.api_keys.name, settings.kafka_config(), timeout=10) as records:
            table.apply(records.load())
    except (KafkaException, LookupError, TimeoutError) as error:
        raise click.ClickException(f"keys not read from {settings.topics.api_keys.name}: {error}") from error
    return table


def _find(table: KeyTable, key_id: str) -> ApiKey:
    key = table.get(key_id)
    if key is None:
        raise click.ClickException(f"no key {key_id!r}; `headwater keys list` lists them")
    return key


def _publish(record: tuple[bytes, bytes]) -> None:
    settings = Settings()
    sender = Sender(Producer(settings.producer_config()))
    try:
        sender.send(settings.topics.api_keys.name, record[1], record[0])
        sender.flush(15)
    except KafkaException as error:
        raise click.ClickException(f"not published to {settings.topics.api_keys.name}: {error}") from error
    finally:
        sender.close()


def _day(ms: int) -> str:
    return f"{instant(ms * 1000):%Y-%m-%d %H:%M}"


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
