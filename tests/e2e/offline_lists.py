"""Lists as the evaluation may rank them without any service: from the offline store, by the way that training goes."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from feature_repo.catalogue import Catalogue
from feature_repo.columns import GROUPS
from feature_repo.encoder import Encoder
from feature_repo.ragged import Int64
from feature_repo.request_context import request_columns
from feature_repo.shop import Shop
from feature_repo.taste import Taste
from serving.bundle import Bundle
from serving.candidates import LIMITS, SCORED
from serving.ranking import top
from serving.triton.ranker import Ranker
from serving.triton.retriever import Retriever
from trainer.candidates import candidates, offsets_by_customer
from trainer.inputs import read
from trainer.pair_values import pair_values
from trainer.windows import Span, Window, windows


class Proposals:
    """The two-tower's proposals, by the graphs in a bundle."""

    def __init__(self, bundle: Bundle, encoder: Encoder, catalogue: Catalogue) -> None:
        self._retriever, self._encoder = Retriever(bundle), encoder
        rows = {name: row for row, name in enumerate(catalogue.item_ids)}
        self.rows = np.array([rows[name] for name in bundle.items()])

    def nearest(self, window: Window, customers: Int64, k: int) -> Int64:
        """See `trainer.candidates.Retriever`."""
        own = {name: values[customers] for name, values in window.customers.items()}
        found, _ = self._retriever(*self._encoder.encode(own, "customer"), k)
        return np.where(found >= 0, self.rows[found], -1)


def lists(
    store: Path, shop: Shop, catalogue: Catalogue, profiles: Mapping[str, Mapping[str, str]], bundle: Bundle,
    as_of: int, n: int, context: Mapping[str, str] | None = None,
) -> dict[str, list[str]]:  # fmt: skip
    """The lists of all customers who had bought by an instant, microseconds since the epoch, asked in one context."""
    inputs = read(store, shop, catalogue, profiles, happened_until=as_of, event_clock=True)
    (present,) = windows(inputs, [Span(as_of, as_of)])
    encoder = Encoder.read(bundle.file("encoder.json"))
    proposals = Proposals(bundle, encoder, inputs.catalogue)
    tables = bundle.taste()
    assert tables is not None
    taste = Taste.of(tables, proposals.rows)
    known, limits = np.flatnonzero(present.known), LIMITS.scored(n, SCORED)
    pairs = candidates(present, catalogue.keys, known, proposals, taste, limits)
    offsets = offsets_by_customer(pairs, len(inputs.log.customer_ids))
    groups = {
        "customer": {name: values[pairs.customer] for name, values in present.customers.items()},
        "item": {name: values[pairs.item] for name, values in present.items.items()},
        "pair": pair_values(inputs, present, pairs, taste),
        "request": request_columns(shop, [context or {}] * len(pairs.item), np.full(len(pairs.item), as_of)),
    }
    assert set(groups) == set(GROUPS)
    score = Ranker(bundle)(*encoder.encode_all(groups))
    found = {}
    for customer in np.flatnonzero(present.known).tolist():
        rows = pairs.item[offsets[customer] : offsets[customer + 1]]
        best = top(score[offsets[customer] : offsets[customer + 1]], catalogue.keys[rows], n)
        found[inputs.log.customer_ids[customer]] = [catalogue.item_ids[row] for row in rows[best].tolist()]
    return found
