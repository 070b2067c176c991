"""A picture for every item: the photograph from a folder where there is one, else a drawing."""

from __future__ import annotations

import base64
import io
from functools import lru_cache
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from serving.storefront.drawings import draw
from streams.contracts.events import Item

PIXELS = 480
"""The longer side of a photograph as it is sent."""
KEPT = 4096
"""Pictures kept in memory, 2 to 40 KB each."""


class Pictures:
    """Pictures as data URLs.

    Parameters
    ----------
    folder
        Photographs as H&M's data set has them, `<first three digits>/<ten digits>.jpg`; None: there are none.
    category
        The item attribute that stands for the category: its items share a background.
    """

    def __init__(self, folder: Path | None, category: str) -> None:
        self._folder, self._category = folder, category
        self._made = lru_cache(maxsize=KEPT)(self._make)

    def of(self, item: Item) -> str:
        """The item's picture; the same as long as its name and attributes are."""
        broad = self._category
        attributes = item.attributes
        narrow = [value for name, value in reversed(attributes.items()) if name != broad]
        category = attributes.get(broad, "")
        return self._made(item.item_id, (item.name, category, *narrow), category)

    def _make(self, item_id: str, texts: tuple[str, ...], category: str) -> str:
        photograph = self._photograph(item_id)
        if photograph is not None:
            return _data_url("image/jpeg", photograph)
        return _data_url("image/svg+xml", draw(item_id, texts, category).encode())

    def _photograph(self, item_id: str) -> bytes | None:
        """JPEG bytes; None where there is no readable picture of that item."""
        digits = item_id.zfill(10)
        if self._folder is None or not (item_id.isascii() and item_id.isdigit()):
            return None
        try:
            with Image.open(self._folder / digits[:3] / f"{digits}.jpg") as photograph:
                small = photograph.convert("RGB")
        except (OSError, UnidentifiedImageError):
            return None
        small.thumbnail((PIXELS, PIXELS))
        out = io.BytesIO()
        small.save(out, "JPEG", quality=82)
        return out.getvalue()


def _data_url(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
