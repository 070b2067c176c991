"""What the trainer's environment does by hand, without the service: `python -m trainer.cli train`, `… scoring`."""

from __future__ import annotations

import datetime
import itertools
import json
import logging
import tempfile
import time
import uuid
from pathlib import Path

import click
from confluent_kafka import KafkaException, Producer
from tqdm import tqdm

from feature_repo.shop import load_shop
from streams.contracts.observability import configure_logging
from streams.contracts.operations import TrainingMode
from trainer.progress import Report
from trainer.settings import TrainerSettings


@click.group()
def main() -> None:
    """Train Headwater's models."""


@main.command()
@click.option("--mode", type=click.Choice([m.value for m in TrainingMode]), default="full", show_default=True)
@click.option("--until", type=click.DateTime(), help="UTC; only events that happened by then are seen.")
@click.option("--announce/--no-announce", default=True, show_default=True, help="Make the bundle the live one.")
def train(mode: str, until: datetime.datetime | None, announce: bool) -> None:
    """Train once on the offline store and publish the bundle.

    Reads the environment variables of the other processes: HEADWATER_STATE, HEADWATER_SHOP, HEADWATER_CLOCK,
    KAFKA_BOOTSTRAP_SERVERS.
    """
    configure_logging("trainer")
    logging.getLogger("tf2onnx").setLevel(logging.WARNING)
    settings = TrainerSettings.of()
    # TensorFlow's import takes 20 s: only for those who train.
    from trainer.inputs import NothingToLearnError
    from trainer.job import BusyError, Trainer
    from trainer.publish import RejectedError
    from trainer.service import announce as announced
    from trainer.shop_feed import ShopFeed

    try:
        feed = ShopFeed(settings, load_shop(settings.shop))
        with Trainer(settings, feed) as trainer:
            report = BarReport(settings.state)
            bundle, inputs = trainer.run(
                TrainingMode(mode), report, uuid.uuid4().hex, time.time_ns() // 1000, _microseconds(until)
            )
            report.finish("ok", bundle.version)
        if announce:
            newest = int(inputs.log.events.arrival.max())
            announced(Producer(settings.producer_config()), settings.topics.models.name, bundle, newest)
        feed.close()
    except (BusyError, NothingToLearnError, RejectedError, FileNotFoundError, LookupError, KafkaException) as error:
        raise click.ClickException(str(error)) from error
    click.echo(bundle.path)


@main.command()
@click.option("--data", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True,
              help="Directory that `headwater evaluate --scoring` wrote.")  # fmt: skip
@click.option("--shop", default="complete_journey", show_default=True, help="Shop profile of the data.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), required=True, help="JSON file.")
@click.option("--quick", is_flag=True, help="One seed, few customers, small models: to see that it works.")
def scoring(data: Path, shop: str, output: Path, quick: bool) -> None:
    """Compare scoring models on Algorithm 1's set, as the thesis's table 7.1 does."""
    configure_logging("trainer")
    from trainer.inputs import NothingToLearnError
    from trainer.scoring.tables import compare

    try:
        compare(data, load_shop(shop), output, quick)
    except (NothingToLearnError, FileNotFoundError, ValueError) as error:
        raise click.ClickException(str(error)) from error


@main.command()
@click.option("--data", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True,
              help="Directory that `headwater evaluate --scoring` wrote.")  # fmt: skip
@click.option("--shop", default="complete_journey", show_default=True, help="Shop profile of the data.")
@click.option("--until", type=click.DateTime(), required=True, help="UTC; no later event is read.")
@click.option("--vary", multiple=True, metavar="FIELD=A,B,…", help="A field of the recipe and its values; repeatable.")
@click.option("--seeds", default=1, show_default=True, type=click.IntRange(1), help="Trainings of each recipe.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="JSON file.")
def tuning(
    data: Path, shop: str, until: datetime.datetime, vary: tuple[str, ...], seeds: int, output: Path | None
) -> None:
    """Compare recipes on what was known at an instant, by customers that none of them learned from.

    \b
    python -m trainer.cli tuning --data build/evaluation-state/scoring/complete_journey \\
        --until 2017-10-12 --vary tower_dimension=32,64 --vary tower_rate=0.002,0.005
    """
    configure_logging("trainer")
    from trainer.inputs import NothingToLearnError
    from trainer.tuning import Compared, compare, grid, known_at

    def told(found: Compared) -> None:
        said = ", ".join(f"{name}={value}" for name, value in found.changes.items()) or "the recipe as it is"
        figures = [f"nDCG@10 {found.mean('ndcg_at_10'):.4f} ± {found.spread('ndcg_at_10'):.4f}"]
        figures += [f"recall of candidates {found.mean('candidate_recall'):.4f}", f"AUC {found.mean('auc'):.4f}"]
        bar.write(f"{said}: {', '.join(figures)}, {found.mean('seconds'):.0f} s")
        bar.update()

    try:
        candidates = list(grid({name: values.split(",") for name, _, values in (each.partition("=") for each in vary)}))
        inputs = known_at(data, load_shop(shop), _instant(until))
        with tempfile.TemporaryDirectory() as place, tqdm(total=len(candidates), desc="recipes") as bar:
            numbers = itertools.count()
            made = [Path(place) / f"vocabularies-{n}" for n in range(len(candidates) * seeds)]
            found = compare(inputs, candidates, range(seeds), lambda: made[next(numbers)], told)
    except (NothingToLearnError, FileNotFoundError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    if output is not None:
        output.write_text(json.dumps([each._asdict() for each in found], indent=2) + "\n", encoding="utf-8")


class BarReport(Report):
    """A report that is also a progress bar."""

    def __init__(self, state: Path) -> None:
        super().__init__(state, ())
        self._bar = tqdm(total=1.0, bar_format="{desc:<12} {percentage:3.0f}% |{bar}| {elapsed}", leave=False)

    def progress(self, phase: str, share: float) -> None:
        """Draw the bar anew."""
        super().progress(phase, share)
        self._bar.set_description_str(phase)
        self._bar.n = share
        self._bar.refresh()

    def phase(self, name: str, seconds: float) -> None:
        """Leave a line for a phase that is over."""
        super().phase(name, seconds)
        tqdm.write(f"{name:<12} {seconds:6.1f} s")


def _microseconds(until: datetime.datetime | None) -> int | None:
    return None if until is None else _instant(until)


def _instant(typed: datetime.datetime) -> int:
    return int(typed.replace(tzinfo=datetime.UTC).timestamp() * 1_000_000)


if __name__ == "__main__":
    main()
