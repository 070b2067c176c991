"""From what a person types to a source."""

from pathlib import Path

import msgspec

from streams.sources.complete_journey import CompleteJourney
from streams.sources.hm import HM
from streams.sources.source import Source
from streams.sources.synthetic import Options, Synthetic
from streams.sources.tabular import Tabular

EXAMPLES = "complete_journey, hm:DIRECTORY, synthetic, synthetic:events=1000000,items=20000, or FILE with a mapping"


def open_source(name_or_path: str, mapping: Path | None = None) -> Source:
    """Open a source by its name, or a CSV or Parquet file with a mapping.

    Parameters
    ----------
    name_or_path: see `EXAMPLES`; a directory with H&M's files needs no `hm:` before it.
    mapping: TOML file, for a shop's own file only.

    Raises
    ------
    ValueError: no such source, or an option that it doesn't know.
    FileNotFoundError: a file is missing.
    """
    name, _, rest = name_or_path.partition(":")
    path = Path(name_or_path)
    if mapping is not None:
        return Tabular(path, mapping)
    if name == "complete_journey":
        return CompleteJourney(Path(rest) if rest else None)
    if name == "hm":
        return HM(Path(rest or "."))
    if name == "synthetic":
        return Synthetic(_options(rest))
    if (path / "transactions_train.csv").exists():
        return HM(path)
    if path.is_file():
        raise ValueError(f"{path} needs a mapping of its columns: --mapping FILE.toml (see docs/sources.md)")
    raise ValueError(f"no source {name_or_path!r}: give {EXAMPLES}")


def _options(text: str) -> Options:
    """'events=10,seed=3' -> Options."""
    pairs = dict(part.partition("=")[::2] for part in text.split(",") if part)
    try:
        return msgspec.convert(pairs, Options, strict=False)
    except msgspec.ValidationError as error:
        known = ", ".join(Options.__struct_fields__)
        raise ValueError(f"synthetic:{text}: {error}; options are {known}") from error
