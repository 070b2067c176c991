"""Who calls, and what they may do.

A handler asks for its caller and thereby says what the caller must be allowed to do::

    async def answer(principal: Annotated[Principal, requires(Scope.RECOMMEND)]) -> ...

Who the caller is was found out before, by `serving.gateway.security.gate`, which lets nobody in whom it does not know.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Request, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from serving.gateway.problems import Problem


class Scope(enum.StrEnum):
    """What a key or a token allows. None of them includes another."""

    INGEST = "ingest"
    """Tell what customers did, and let a customer's browser do so."""
    RECOMMEND = "recommend"
    """Ask for recommendations, similar and popular items, and read the catalogue."""
    CATALOGUE = "catalogue"
    """Read and write customers and items."""
    ADMIN = "admin"
    """Make, list, rotate and revoke keys."""


@dataclass(frozen=True)
class Principal:
    """An authenticated caller.

    Attributes
    ----------
    id
        A key's id, ``oidc:<subject>`` or ``customer:<customer id>``: what limits count by and the audit log names.
    scopes
        What it may do.
    customer_id
        Of a customer's token: the only customer it may speak for.
    rate
        A limit of its own in place of the gateway's, in the notation of `limits` ("100/second").
    """

    id: str
    scopes: frozenset[Scope]
    customer_id: str | None = None
    rate: str | None = None

    def may_act_for(self, customer_id: str) -> None:
        """Pass where the principal may speak for the customer.

        Raises
        ------
        Problem: 403 ``other_customer``, where its token is another customer's.
        """
        if self.customer_id is not None and self.customer_id != customer_id:
            raise Problem(
                403,
                "other_customer",
                f"the token is customer {self.customer_id!r}'s and can't speak for {customer_id!r}; "
                f"ask POST /tokens for one of that customer",
            )


BEARER = HTTPBearer(
    auto_error=False,
    scheme_name="bearer",
    description="An API key, a customer's token from POST /tokens, or a JWT of the configured issuer.",
)
API_KEY = APIKeyHeader(name="X-API-Key", auto_error=False, scheme_name="api_key", description="An API key.")


def requires(*scopes: Scope, customer_tokens: bool = False) -> Any:
    """Return the dependency that gives a handler its caller, who has at least one of the scopes.

    Parameters
    ----------
    customer_tokens
        Whether the route takes tokens from POST /tokens too. Its handler must then call `Principal.may_act_for` with
        every customer that the request speaks of; other routes never see such a token.

    Raises
    ------
    Problem, when called: 401 for nobody, 403 for somebody who may not.
    """

    async def admitted(
        request: Request,
        # Where credentials are sent is said for the API's description; they have been looked at by now.
        _bearer: Annotated[HTTPAuthorizationCredentials | None, Security(BEARER)] = None,
        _key: Annotated[str | None, Security(API_KEY)] = None,
    ) -> Principal:
        return authorized(getattr(request.state, "principal", None), scopes, customer_tokens)

    return Security(admitted, scopes=[scope.value for scope in scopes])


def authorized(principal: Principal | None, scopes: tuple[Scope, ...], customer_tokens: bool) -> Principal:
    """Return the principal if it may; raises as `requires` says."""
    if principal is None:
        raise unauthenticated("the request names no caller; send Authorization: Bearer <API key or token>")
    if principal.customer_id is not None and not customer_tokens:
        raise Problem(403, "customer_token", "a customer's token is good for posting that customer's interactions only")
    if principal.scopes.isdisjoint(scopes):
        needed = " or ".join(scopes)
        held = ", ".join(sorted(principal.scopes)) or "none"
        raise Problem(403, "scope_missing", f"this takes scope {needed}; {principal.id} has {held}")
    return principal


def unauthenticated(detail: str) -> Problem:
    """Return the problem of a caller who is not known."""
    return Problem(401, "unauthenticated", detail, headers={"WWW-Authenticate": "Bearer"})
