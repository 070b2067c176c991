"""Where people go: the addresses of what the stack serves to them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from deploy.stack.site import Site
from deploy.stack.workers import Gateway, Storefront


def addresses(site: Site, running: Sequence[str]) -> Iterator[str]:
    """A line for each of gateway and storefront that is among the `running` parts."""
    if Gateway.name in running:
        is_open = Gateway(site).environment()["HEADWATER_GATEWAY_OPEN"].lower() in ("true", "1", "yes", "on")
        keys = "no key needed: for development" if is_open else "with an API key: headwater keys create"
        yield f"gateway     http://{site.address('gateway')} ({keys})"
    if Storefront.name in running:
        yield f"storefront  http://{site.address('storefront')}"
