"""Settings of the serving processes: those of every process, and the variables below."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from serving.candidates import LIMITS, SCORED
from streams.settings import Settings


class ServingSettings(Settings):
    """Environment variable HEADWATER_<FIELD> for each field."""

    serving_group: str = "headwater-serving"
    """Consumer group of the recommendation requests."""
    serving_batch: int = Field(default=16, ge=1, le=256)
    """Requests that are answered together when several wait."""
    reply_prefixes: tuple[str, ...] = ()
    """What a request's `reply_to` must begin with; empty: the name of the topic `recommendations`."""
    candidates: int = Field(default=SCORED, ge=50, le=LIMITS.total)
    """How many items the models score for a list; for one of more than a fifth of that, five for each item wanted."""
    triton_timeout_ms: int = Field(default=500, ge=1)
    """How long a request waits for Triton before it is answered without."""
    triton_repository: Path | None = None
    """Triton's model repository; default: triton/models in the state directory."""
    ranker_instances: int = Field(default=2, ge=1)
    """Processes of the ranker in Triton, a version."""
    dedupe_requests: int = Field(default=100_000, ge=1)
    """Correlation ids remembered, so that a request sent twice is answered once."""

    @property
    def bundles(self) -> Path:
        """Where bundles are published."""
        return self.state / "bundles"

    @property
    def models(self) -> Path:
        """Triton's model repository."""
        return self.triton_repository or self.state / "triton" / "models"

    @property
    def allowed_replies(self) -> tuple[str, ...]:
        """Prefixes of topics that replies may go to."""
        return self.reply_prefixes or (self.topics.recommendations.name,)
