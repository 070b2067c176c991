"""The locks: exact, hashed, from nowhere in particular, and fit for the environment they make."""

import re
import subprocess
from pathlib import Path

import pytest

from deploy.stack.site import ROOT

LOCKS = sorted((ROOT / "deploy" / "requirements").glob("*.txt"))
HASHED = [lock for lock in LOCKS if not lock.stem.endswith(("constraints", "overrides"))]  # those only steer a lock


def pinned(name: str) -> dict[str, str]:
    text = (ROOT / "deploy" / "requirements" / f"{name}.txt").read_text()
    return dict(re.findall(r"^([a-z0-9][a-z0-9._-]*)==(\S+)", text, re.MULTILINE))


@pytest.mark.parametrize("lock", HASHED, ids=lambda lock: lock.stem)
def test_every_requirement_is_exact_and_hashed(lock: Path) -> None:
    entries = re.split(r"\n(?=\S)", lock.read_text().strip())
    for entry in entries:
        assert re.match(r"[a-z0-9][a-z0-9._-]*==\S+", entry), entry
        assert "--hash=sha256:" in entry, entry


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_no_lock_names_an_index(lock: Path) -> None:
    assert "://" not in lock.read_text()


def test_triton_s_stub_gets_the_numpy_it_can_read() -> None:
    assert int(pinned("triton")["numpy"].partition(".")[0]) < 2


def test_the_trainer_keeps_what_merlin_needs() -> None:
    trainer = pinned("trainer")
    assert "pydantic" not in trainer
    constraints = pinned("trainer-constraints")
    differing = {name for name in trainer.keys() & constraints.keys() if trainer[name] != constraints[name]}
    assert not differing


def test_what_the_project_pins_is_what_is_locked() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    for environment in ("main", "trainer", "triton"):
        section = re.search(rf"^{environment} = \[(.*?)\]$", text, re.MULTILINE | re.DOTALL)
        assert section is not None
        locked = pinned(environment)
        for name, version in re.findall(r'"([a-z0-9-]+)(?:\[.*?\])?==([^"]+)"', section[1]):
            assert locked[name] == version


def test_make_explains_every_target_and_each_one_can_be_planned() -> None:
    listed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    targets = re.findall(r"^  make (\S+)  +\S", listed, re.MULTILINE)
    assert {"setup", "up", "down", "demo", "test", "lint", "bench", "evaluate", "lock", "clean"} <= set(targets)
    subprocess.run(["make", "--dry-run", *targets], cwd=ROOT, capture_output=True, check=True)
