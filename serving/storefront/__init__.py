"""The storefront: a small shop in the browser that shows what Headwater does for one. It speaks to the gateway only."""
