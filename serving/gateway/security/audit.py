"""The audit log: who did what to keys, customers and items, and whether it was allowed.

Lines of the logger `headwater.audit`, at level INFO whatever HEADWATER_LOG_LEVEL says, so that they can be kept apart
from the rest. They name customers by the path that was called; they never hold keys, tokens or bodies.
"""

from __future__ import annotations

import logging
import re

from serving.gateway.security.principal import Principal
from streams.contracts.observability import logger

NAME = "headwater.audit"

LONGEST_PATH = 400

logging.getLogger(NAME).setLevel(logging.INFO)
_log = logger(NAME)
_WRITES = {"POST", "PUT", "PATCH", "DELETE"}
_CREDENTIALS = re.compile(r"hw_[0-9a-f]{12}_[0-9A-Za-z]*|eyJ[\w-]*\.[\w.-]*")


def audited(method: str, path: str) -> bool:
    """Tell whether a call belongs into the log: all about keys and tokens, writes of customers and items, and reads of
    customers' records. What customers did, and what they are recommended, are no such calls.
    """
    parts = path.split("/")
    collection = parts[1] if len(parts) > 1 else ""
    if collection in ("keys", "tokens"):
        return True
    if collection == "customers" and parts[3:] != ["recommendations"]:
        return method in _WRITES or (method == "GET" and len(parts) <= 3)
    return collection == "items" and method in _WRITES


def record(
    method: str, path: str, status: int, principal: Principal | None, address: str, about: str | None = None
) -> None:
    """Write one line.

    Parameters
    ----------
    path
        As it was sent, percent-encoded; a credential that somebody put there by mistake is left out.
    principal
        None where nobody was let in.
    address
        Where the call came from; a proxy's, if there is one.
    about
        What the path does not tell: the key that was made, the customer whose token was asked for.
    """
    _log.info(
        "call",
        who=principal.id if principal is not None else None,
        customer_token=principal is not None and principal.customer_id is not None,
        method=method,
        path=redacted(path)[:LONGEST_PATH],
        about=about,
        status=status,
        allowed=status not in (401, 403, 429),
        address=address,
    )


def redacted(text: str) -> str:
    """Return the text without anything that looks like a key or a token."""
    return _CREDENTIALS.sub("[credential]", text)
