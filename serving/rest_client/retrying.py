"""When a call is sent again, and how long after: the gateway's own wish first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
from tenacity import RetryCallState, retry_if_exception, stop_after_attempt, wait_exponential_jitter

from serving.rest_client.call import Call
from serving.rest_client.errors import RefusedError

OVERLOADED = frozenset({429, 503})
"""Statuses by which the gateway says that it has not begun: asking again is safe, whatever was asked."""

_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_BACKING_OFF = wait_exponential_jitter(initial=0.1, max=5.0, jitter=0.1)


def policy(call: Call[Any], attempts: int, patience_s: float) -> dict[str, Any]:
    """Arguments of tenacity's `Retrying` and `AsyncRetrying` for a call.

    Parameters
    ----------
    attempts
        How often it is sent at most, the first time included.
    patience_s
        The longest wait between two attempts that is obeyed; where the gateway asks for more, its answer is raised.
    """
    return {
        "retry": retry_if_exception(_worth_repeating(call, patience_s)),
        "stop": stop_after_attempt(attempts),
        "wait": _pause,
        "reraise": True,
    }


def _worth_repeating(call: Call[Any], patience_s: float) -> Callable[[BaseException], bool]:
    def worth(error: BaseException) -> bool:
        if isinstance(error, RefusedError):
            return error.status in OVERLOADED and (error.retry_after_s or 0.0) <= patience_s
        return isinstance(error, _NOT_SENT) or (call.repeatable and isinstance(error, httpx.TransportError))

    return worth


def _pause(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, RefusedError) and error.retry_after_s is not None:
        return error.retry_after_s
    return _BACKING_OFF(state)
