"""Where events come from when no shop is connected: data sets, files and a generator, behind one interface."""

from streams.sources.open import open_source
from streams.sources.source import Source

__all__ = ["Source", "open_source"]
