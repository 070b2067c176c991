"""What a session asks for: the items looked at in it, then the best of the categories that they are from."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from feature_repo.sessions import Sessions
from serving.candidates import Rows
from serving.trending import Trending

CATEGORIES = 3
"""How many categories to propose from: those looked at last."""


def session_items(
    found: Sessions, place: int, trending: Trending, categories: NDArray[np.int32] | None, limit: int
) -> Rows:
    """Up to `limit` distinct catalogue rows for one customer's session, best first.

    Items looked at or put in the cart come first, the latest before the others; what was bought since is left out.
    Behind them, category by category, come the best trending items of those that were looked at last.

    place: of the customer in the sessions; categories: int32[catalogue], codes, None for a shop without.
    """
    own = slice(int(found.offsets[place]), int(found.offsets[place + 1]))
    rows, at = found.row[own], found.looked_at[own]
    if not len(rows):
        return rows
    order = np.lexsort((rows, -at))
    wanted = at[order] > found.bought_at[own][order]
    looked = rows[order[wanted]][:limit]
    if categories is None or len(looked) == limit:
        return looked
    codes = [code for code in dict.fromkeys(categories[rows[order]].tolist()) if code][:CATEGORIES]
    if not codes:
        return looked
    each = -(-(limit - len(looked)) // len(codes))
    shelves = np.concatenate([trending.best_of(code, each) for code in codes])
    known = frozenset(rows.tolist())
    more = [row for row in shelves.tolist() if row not in known]
    return np.concatenate([looked, np.array(more, np.int64)])[:limit]
