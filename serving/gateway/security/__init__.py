"""Who may do what at the gateway: keys, tokens, limits, headers, audit. SECURITY.md tells the whole."""
