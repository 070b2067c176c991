"""Runs the storefront: `python -m serving.storefront` is `streamlit run` with its settings from the environment."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from serving.storefront.settings import StorefrontSettings

APP = Path(__file__).with_name("app.py")


def command(settings: StorefrontSettings) -> list[str]:
    """Program and arguments; what is not said here is in `.streamlit/config.toml`."""
    where = ["--server.address", settings.storefront_host, "--server.port", str(settings.storefront_port)]
    return [sys.executable, "-m", "streamlit", "run", str(APP), *where]


if __name__ == "__main__":
    line = command(StorefrontSettings())
    os.execv(line[0], line)  # noqa: S606 - this process becomes Streamlit: one pid, one exit status
