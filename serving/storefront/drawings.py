"""Product pictures for shops without photographs: one drawing for a kind of thing, in colours of the item's own."""

from __future__ import annotations

import re
import tomllib
import zlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
ANYTHING = "parcel"
"""What stands for a thing that nobody has drawn."""


class Palette(NamedTuple):
    """Colours that go together: two of the background; main, dark, light and accent of the thing."""

    high: str
    low: str
    main: str
    dark: str
    light: str
    accent: str


PALETTES = (
    Palette("#fdeee8", "#f9d9cd", "#e8694d", "#bd4a31", "#f6a892", "#2c7a7b"),
    Palette("#fff4dc", "#fbe2b0", "#eea52b", "#bf7d12", "#f8cd7e", "#b5423c"),
    Palette("#eef6e6", "#d6e9c4", "#6aa84f", "#4a7f35", "#a9d18e", "#e3a02d"),
    Palette("#e3f4f2", "#c3e4e0", "#2f9c95", "#20716c", "#86cdc7", "#f08a5d"),
    Palette("#e6f2fb", "#c8e0f4", "#3f8fd2", "#2b699f", "#93c4ec", "#f4b83f"),
    Palette("#ebecfa", "#d2d6f3", "#5a67c9", "#404a9a", "#a6aee8", "#f27a6a"),
    Palette("#f5eaf6", "#e4cfe7", "#9a57a8", "#733c80", "#cb9dd4", "#f0b541"),
    Palette("#fdebef", "#f7cfd9", "#df5b7c", "#b03d5c", "#f2a3b7", "#3f8f8a"),
    Palette("#f6f0e6", "#e9dcc6", "#b98b52", "#8f6736", "#dcbd92", "#4f7f5f"),
    Palette("#edf1f4", "#d4dde4", "#5f7d95", "#435b6f", "#a5b9c8", "#e58b4a"),
)


def drawing_of(texts: Sequence[str]) -> str:
    """The name of the drawing that fits best.

    Parameters
    ----------
    texts
        What is known of the thing, the most telling first: its name, then its categories from narrow to broad.

    >>> drawing_of(["Fluid Milk White Only, 1 GA", "FLUID MILK PRODUCTS", "GROCERY"])
    'milk'
    >>> drawing_of(["Object 17", "c4"])
    'parcel'
    """
    for text in texts:
        lowered = f" {text.lower()} "
        for name, pattern in _patterns():
            if pattern.search(lowered):
                return name
    return ANYTHING


def draw(item_id: str, texts: Sequence[str], category: str) -> str:
    """An SVG picture, 240 × 200: the same for the same item, on a background that its category shares."""
    ground, thing = _pick(category), _pick(item_id)
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 240 200">'
        '<defs><linearGradient id="g" x1="0" y1="0" x2="0" y2="1">'
        f'<stop stop-color="{ground.high}"/><stop offset="1" stop-color="{ground.low}"/></linearGradient></defs>'
        f"<style>.a{{fill:{thing.main}}}.b{{fill:{thing.dark}}}.c{{fill:{thing.light}}}.d{{fill:{thing.accent}}}"
        f".s{{stroke:{thing.dark}}}.t{{stroke:{thing.accent}}}</style>"
        '<rect width="240" height="200" fill="url(#g)"/><circle cx="120" cy="100" r="82" fill="#fff" opacity=".38"/>'
        '<ellipse cx="120" cy="170" rx="66" ry="8" fill="#1d2733" opacity=".14"/>'
        f"{_shape(drawing_of(texts))}</svg>"
    )


def _pick(text: str) -> Palette:
    return PALETTES[zlib.crc32(text.encode()) % len(PALETTES)]


@cache
def _shape(name: str) -> str:
    return (HERE / "drawings" / f"{name}.svg").read_text(encoding="utf-8").strip()


@cache
def _patterns() -> tuple[tuple[str, re.Pattern[str]], ...]:
    rules: dict[str, list[str]] = tomllib.loads((HERE / "drawings.toml").read_text(encoding="utf-8"))
    return tuple(
        (name, re.compile("|".join(rf"\b{re.escape(word)}" for word in words))) for name, words in rules.items()
    )
