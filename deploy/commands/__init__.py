"""One module a command of `headwater`; each exposes a click command named `command`."""
