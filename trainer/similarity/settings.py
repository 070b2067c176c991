"""Settings of the similarity process: the trainer's, and two of its own."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from trainer.settings import TrainerSettings

COUNT_EVERY_S = 900.0


@dataclass(frozen=True)
class SimilaritySettings:
    """What the process runs with.

    Attributes
    ----------
    trainer
        Where Kafka and the offline store are, and which shop it is.
    encoder
        Directory of the text encoder (HEADWATER_TEXT_ENCODER); None for the packaged one.
    count_every_s
        Seconds from one count of the baskets to the next (HEADWATER_SIMILARITY_EVERY_SECONDS).
    """

    trainer: TrainerSettings
    encoder: Path | None
    count_every_s: float

    @classmethod
    def of(cls, environment: Mapping[str, str] = os.environ) -> SimilaritySettings:
        """Read the environment. Raises ValueError naming a variable with a value that is none."""
        name = "HEADWATER_SIMILARITY_EVERY_SECONDS"
        every = environment.get(name) or str(COUNT_EVERY_S)
        try:
            seconds = float(every)
        except ValueError:
            seconds = 0.0
        if not 0 < seconds < float("inf"):
            raise ValueError(f"{name} is {every!r}; give a number of seconds greater than 0")
        encoder = environment.get("HEADWATER_TEXT_ENCODER")
        return cls(TrainerSettings.of(environment), Path(encoder) if encoder else None, seconds)
