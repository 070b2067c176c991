"""From item keys back to ids: what leaves a history names items by key only, and not those of the batch at hand."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from feature_repo.catalogue import Catalogue
from feature_repo.keys import item_keys
from feature_repo.redis_commands import Client, Command, send

KEYS = b"hw:item-keys"
"""Hash of the ids of items that were bought without being in the catalogue: the key in decimal to the id."""

_AT_ONCE = 1000


class ItemIds:
    """The ids of all items that any history holds: the catalogue's, and in Redis those the catalogue lacks.

    Parameters
    ----------
    catalogue: never forgets an item.
    """

    def __init__(self, client: Client, catalogue: Catalogue) -> None:
        self._client = client
        self._catalogue = catalogue
        self._strangers: dict[int, str] = {}

    def remember(self, item_ids: Sequence[str], keys: npt.NDArray[np.uint64]) -> None:
        """Write down the ids that are not in the catalogue; before any history holds them.

        Parameters
        ----------
        keys: ``uint64[n]``, of the ids.
        """
        new = {
            key: item_ids[at]
            for at in np.flatnonzero(self._catalogue.rows(keys) < 0).tolist()
            if (key := int(keys[at])) not in self._strangers
        }
        pairs = [part for key, item in new.items() for part in (b"%d" % key, item.encode())]
        width = 2 * _AT_ONCE
        commands: list[Command] = [(b"HSET", KEYS, *pairs[i : i + width]) for i in range(0, len(pairs), width)]
        if commands:
            send(self._client, commands)
            self._strangers.update(new)

    def forget(self) -> None:
        """Drop what is held in process: a Redis that came back older must be told again."""
        self._strangers.clear()

    def of(self, keys: npt.NDArray[np.uint64]) -> list[str]:
        """Return the ids of keys.

        Raises
        ------
        LookupError: an id was never written down, so the history is not of this installation.
        """
        rows = self._catalogue.rows(keys).tolist()
        missing = [key for row, key in zip(rows, keys.tolist(), strict=True) if row < 0 and key not in self._strangers]
        if missing:
            found = send(self._client, [(b"HMGET", KEYS, *(b"%d" % key for key in missing))])[0]
            for key, item in zip(missing, found, strict=True):
                if item is None:
                    raise LookupError(
                        f"a customer's history holds an item of key {key}, whose id is neither in the catalogue nor in "
                        f"{KEYS.decode()}: Redis lost it. Empty Redis and run the backfill again with --replace"
                    )
                self._strangers[key] = item.decode()
        known = self._catalogue.item_ids
        return [known[row] if row >= 0 else self._strangers[key] for row, key in zip(rows, keys.tolist(), strict=True)]


def remember_all(client: Client, catalogue: Catalogue, item_ids: Sequence[str]) -> None:
    """Write down those of the ids that are not in the catalogue, as a backfill does."""
    ItemIds(client, catalogue).remember(item_ids, item_keys(item_ids))
