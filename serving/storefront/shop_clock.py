"""When something happens in the shop, for a shop whose stream may be a recording of years ago."""

from __future__ import annotations

import time
from collections.abc import Callable

NEAR_MS = 3_600_000
"""An answer for an instant that lies no further from now than this was made by the wall clock."""


class ShopClock:
    """Tells event times, in milliseconds since the epoch, each later than the one before.

    An answer says for which instant it was made (`as_of`). Where that is about now, now is the time. Where the stream
    is a recording, an event of today would make everything in it old: then it is as long after the last answer's
    instant as it is since that answer came.

    Parameters
    ----------
    now
        The wall clock, seconds since the epoch.
    """

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._behind_ms = 0
        self._last_ms = 0

    def heard(self, as_of_ms: int) -> None:
        """Note for which instant an answer was made that came just now."""
        behind = int(self._now() * 1000) - as_of_ms
        self._behind_ms = behind if abs(behind) > NEAR_MS else 0

    def event_time(self) -> int:
        """The time of something that happens now."""
        self._last_ms = max(int(self._now() * 1000) - self._behind_ms, self._last_ms + 1)
        return self._last_ms
