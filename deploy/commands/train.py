"""Train the models now, and follow the training until the new model is announced."""

from __future__ import annotations

import os
import subprocess
import time
import uuid
from pathlib import Path

import click
from confluent_kafka import KafkaError, KafkaException, Producer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from deploy.stack.site import Site
from streams.contracts.codec import encode
from streams.contracts.operations import TrainingMode, TrainingTrigger, TriggerReason
from streams.settings import Settings
from trainer import progress

UNSEEN_AFTER_S = 120.0
"""Without a sign of life from the trainer for so long, it is probably not running."""


@click.command("train")
@click.option(
    "--mode",
    type=click.Choice([mode.value for mode in TrainingMode]),
    default=TrainingMode.INCREMENTAL.value,
    show_default=True,
    help="Continue the last model, or start over. Without a last model both start over.",
)
@click.option("--local", is_flag=True, help="Train in a process of its own instead of asking the running trainer.")
@click.option("--no-wait", is_flag=True, help="Send the trigger and return.")
@click.option("--timeout", default=1800.0, show_default=True, metavar="SECONDS", help="How long to wait for the model.")
def command(mode: str, local: bool, no_wait: bool, timeout: float) -> None:
    """Ask the trainer for a new model and show how it comes along.

    \b
    headwater train --mode full
    headwater train --local --mode full
    """
    settings = Settings()
    if local:
        raise SystemExit(_train_here(mode))
    trigger = TrainingTrigger(
        trigger_id=uuid.uuid4().hex,
        reason=TriggerReason.MANUAL,
        created_at=time.time_ns() // 1_000_000,
        mode=TrainingMode(mode),
    )
    try:
        send(trigger, settings)
    except KafkaException as error:
        raise click.ClickException(str(error)) from error
    if no_wait:
        click.echo(f"asked for training, trigger {trigger.trigger_id}")
        return
    status = follow(trigger.trigger_id, settings.state, timeout, Console(stderr=True))
    Console().print(_summary(status))
    if status.outcome != "ok":
        raise click.ClickException(f"no new model ({status.outcome}): {status.message}")


def send(trigger: TrainingTrigger, settings: Settings) -> None:
    """Send a trigger; returns once Kafka has it. Raises KafkaException if it has not."""
    failures: list[KafkaError] = []
    producer = Producer(settings.producer_config())
    producer.produce(
        settings.topics.training_triggers.name,
        key=trigger.trigger_id.encode(),
        value=encode(trigger),
        on_delivery=lambda error, _: failures.append(error) if error else None,
    )
    if producer.flush(15) or failures:
        raise KafkaException(failures[0] if failures else KafkaError(KafkaError._MSG_TIMED_OUT))


def follow(trigger_id: str, state: Path, timeout: float, console: Console) -> progress.Status:
    """Show the trainer's progress until it has answered the trigger.

    Raises click.ClickException where it shows no sign of life, or takes longer than `timeout` seconds.
    """
    columns = (SpinnerColumn(), TextColumn("{task.description:<14}"), BarColumn(), TimeElapsedColumn())
    start = seen = time.monotonic()
    with Progress(*columns, console=console, transient=True) as bars:
        task = bars.add_task("waiting", total=1.0)
        last: progress.Status | None = None
        while time.monotonic() - start < timeout:
            status = progress.read(state)
            if status is not None and trigger_id in status.triggers and status.outcome:
                return status
            if status != last:
                last, seen = status, time.monotonic()
            _show(bars, task, status, trigger_id)
            if time.monotonic() - seen > UNSEEN_AFTER_S:
                raise click.ClickException(
                    f"the trainer has shown no sign of life for {UNSEEN_AFTER_S:.0f} s; "
                    "see `headwater status` and its log"
                )
            time.sleep(0.3)
    raise click.ClickException(f"no new model after {timeout:.0f} s; the trainer goes on, see `headwater model list`")


def _show(bars: Progress, task: TaskID, status: progress.Status | None, trigger_id: str) -> None:
    if status is not None and trigger_id in status.triggers:
        bars.update(task, description=status.phase or "starting", completed=status.share)


def _summary(status: progress.Status) -> Table:
    table = Table("phase", "seconds", box=None, pad_edge=False, title=f"model {status.version or '-'}")
    for name, seconds in status.seconds.items():
        table.add_row(name, f"{seconds:.1f}")
    table.add_row("in all", f"{sum(status.seconds.values()):.1f}")
    return table


def _train_here(mode: str) -> int:
    """Run the trainer's own command line in its environment; return its exit status."""
    site = Site.of(os.environ)
    if not site.trainer_python.exists():
        raise click.ClickException(f"no interpreter at {site.trainer_python}; `make setup` makes it")
    return subprocess.run(
        [str(site.trainer_python), "-m", "trainer.cli", "train", "--mode", mode], check=False
    ).returncode
