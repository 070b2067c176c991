"""Running the command line as a person would."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path


def headwater(environment: Mapping[str, str], directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "deploy.cli", *arguments],
        env=dict(os.environ) | environment,
        cwd=directory,
        capture_output=True,
        text=True,
    )
