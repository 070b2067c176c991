"""Lanes of `make test`: together they have every test, once, and a failure in any of them is one."""

from pathlib import Path

import pytest

from tests.lanes import ROOT, Lane, Run, lanes


def runs(lane: Lane, path: Path) -> bool:
    """Whether the lane comes to that file."""
    name = str(path.relative_to(ROOT))

    def under(places: tuple[str, ...]) -> bool:
        return any(name == place or name.startswith(f"{place}/") for place in places)

    return (not lane.paths or under(lane.paths)) and not under(lane.without)


def test_every_file_of_tests_is_in_one_lane() -> None:
    known, files = lanes(), sorted(ROOT.glob("tests/**/test_*.py"))
    found = {str(path): [lane.name for lane in known if runs(lane, path)] for path in files}
    assert {path: names for path, names in found.items() if len(names) != 1} == {}
    assert {name for names in found.values() for name in names} == {lane.name for lane in known}


def test_what_lanes_name_is_there() -> None:
    named = [path for lane in lanes() for path in (*lane.paths, *lane.without)]
    assert [path for path in named if not (ROOT / path).exists()] == []


def pretend(place: Path, name: str, says: str, status: int) -> Lane:
    """A lane whose pytest only says something and ends."""
    program = place / name
    program.write_text(f"#!/bin/sh\nprintf '{says}'\nexit {status}\n")
    program.chmod(0o755)
    return Lane(name, python=program)


def test_lines_carry_their_lane_s_name_and_a_failure_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = pretend(tmp_path, "good", "one\\ntwo", 0), pretend(tmp_path, "bad", "three\\n", 1)
    missing = Lane("missing", python=tmp_path / "none")
    outcomes = Run([good, bad, missing], at_once=2).all()
    assert {each.lane.name: each.status for each in outcomes} == {"good": 0, "bad": 1, "missing": 127}
    assert sorted(str(each).rpartition("  ")[2] for each in outcomes)[-1] == "passed"
    lines = capsys.readouterr().out.splitlines()
    assert {"good    | one", "good    | two", "bad     | three"} <= set(lines)
    assert any(line.startswith("missing | ") and "none" in line for line in lines)
