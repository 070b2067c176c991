"""A small shop with texts as vectors, without Kafka."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b

import numpy as np

from feature_repo.catalogue import CatalogueItem
from feature_repo.purchases import DAY
from serving.items_table import FeatureRecord, ItemsTable
from serving.similar.answers import SimilarItem
from serving.similar.followers import Intake
from serving.similar.neighbourhood import Neighbourhood
from streams.contracts.codec import encode
from streams.contracts.compacted import Record
from streams.contracts.embeddings import Embedding
from streams.contracts.embeddings import encode as encode_embedding
from streams.contracts.operations import ItemNeighbours, Neighbour
from tests.serving.shop import SHOP, TODAY, item_state

DIMENSION = 8


def embedding(text: str, encoder: str = "e", dimension: int = DIMENSION) -> Embedding:
    """A vector for a text; texts that begin alike are near each other."""
    vector = np.zeros(dimension, np.float32)
    for length in range(1, len(text) + 1):
        seed = int.from_bytes(blake2b(text[:length].encode(), digest_size=4).digest(), "little")
        vector += np.random.default_rng(seed).normal(size=dimension).astype(np.float32) / length
    digest = blake2b(f"{encoder}{text}".encode(), digest_size=16).digest()
    return Embedding(encoder, digest, vector / np.linalg.norm(vector))


def table(items: Mapping[str, tuple[str, int]]) -> ItemsTable:
    """Items by id with their department and the lines bought of them yesterday."""
    found = ItemsTable(SHOP)
    found.apply_catalogue(
        {name: CatalogueItem(name, f"Item {name}", True, 100, {"department": d}) for name, (d, _) in items.items()}
    )
    found.apply_features(FeatureRecord("0", name, item_state(TODAY - 1, n)) for name, (_, n) in items.items() if n)
    return found


class World:
    """A shop's items, and answers over what is said and counted by hand."""

    def __init__(self, items: ItemsTable) -> None:
        self.items, self.intake = items, Intake(items.catalogue.row)
        self.near = Neighbourhood(items, self.intake, lambda: TODAY * DAY)

    def say(self, texts: Mapping[str, str | None], encoder: str = "e") -> None:
        """Give items the vectors of texts; None takes them away."""
        self.intake.take_embeddings(
            record(name, None if text is None else encode_embedding(embedding(text, encoder)))
            for name, text in texts.items()
        )

    def count(
        self,
        item: str,
        together: Sequence[tuple[str, float, int]] = (),
        instead: Sequence[tuple[str, float, int]] = (),
    ) -> None:
        """Give an item its neighbours: id, score, baskets."""

        def listed(found: Sequence[tuple[str, float, int]]) -> list[Neighbour]:
            return [Neighbour(item_id=name, score=score, baskets=count) for name, score, count in found]

        lists = ItemNeighbours(item_id=item, counted_until=1, together=listed(together), instead=listed(instead))
        self.intake.neighbours.apply([record(item, encode(lists))])


def record(key: str, value: bytes | None) -> Record:
    """A record as the followers get it."""
    return Record(key.encode(), value, 0, 0, 0)


def ids(found: Sequence[SimilarItem]) -> list[str]:
    """Item ids of an answer."""
    return [each.item_id for each in found]
