"""What must have been done before the workers start: topics created, the feature repository applied."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from deploy.stack.part import Step
from deploy.stack.site import ROOT


class Topics(Step):
    """Create the topics that are missing."""

    name = "topics"
    needs = ("kafka",)

    def command(self) -> Sequence[str]:
        """Idempotent; Kafka may be somebody else's, so it runs at every start."""
        return [str(self.site.python), "-m", "streams.create_topics"]


class Feast(Step):
    """Write the feature repository's definitions to Feast's registry."""

    name = "feast"
    needs = ("redis",)

    def command(self) -> Sequence[str]:
        """Ten seconds of imports: `done` avoids it."""
        return [str(self.site.python), "-m", "feature_repo.apply"]

    @property
    def _fingerprint(self) -> str:
        """Changes with the definitions, the shop and the store they are applied for."""
        environment = self.site.environment()
        digest = hashlib.blake2b(digest_size=16)
        for name in ("HEADWATER_SHOP", "REDIS_URL"):
            digest.update(f"{name}={environment[name]}\n".encode())
        paths = sorted(p for p in (ROOT / "feature_repo").rglob("*") if p.suffix in {".py", ".toml", ".yaml"})
        for path in [*paths, Path(environment["HEADWATER_SHOP"])]:
            if not path.is_file():
                continue  # a built-in shop's name
            digest.update(path.read_bytes())
        return digest.hexdigest()

    def done(self) -> bool:
        """Whether these very definitions were applied and the registry is still there."""
        stamp = self.site.state / "feast" / "applied"
        registry = self.site.state / "feast" / "registry.db"
        return registry.exists() and stamp.exists() and stamp.read_text() == self._fingerprint

    def finished(self) -> None:
        """Note which definitions were applied."""
        stamp = self.site.state / "feast" / "applied"
        stamp.parent.mkdir(parents=True, exist_ok=True)
        stamp.write_text(self._fingerprint)
