"""What is stored of customers, as it follows from their state: the one way, for the stream, backfill and training."""

from typing import Any

import numpy.typing as npt

from feature_repo.catalogue import Catalogue
from feature_repo.customer_state import CustomerStates
from feature_repo.preferences import preferences
from feature_repo.purchases import kept
from feature_repo.rfm import rfm_state
from feature_repo.shop import Shop


def customer_features(shop: Shop, states: CustomerStates, catalogue: Catalogue) -> dict[str, npt.NDArray[Any]]:
    """Return what is stored of customers, none of it depending on "now".

    Returns
    -------
    dict
        `rfm.RFM_STATE`: ``int64[n]``; ``most_purchased_<a>`` and ``last_purchased_<a>`` for each preference attribute:
        ``object[n]`` of str.
    """
    held = kept(states.purchases, states.purchase_offsets)
    out: dict[str, npt.NDArray[Any]] = dict(rfm_state(held, states.evicted))
    rows = catalogue.rows(held.lines["item"])
    for attribute in shop.preference_attributes:
        most, last = preferences(held.lines, held.offsets, rows, catalogue, attribute)
        out[f"most_purchased_{attribute}"], out[f"last_purchased_{attribute}"] = most, last
    return out
