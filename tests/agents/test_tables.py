"""Tables of the command line keep every word, whatever they are printed into."""

import pytest

from latentctx_agents.cli.main import main
from latentctx_agents.cli.tables import print_table

HEADERS = ("id", "state", "description")
LONG = "an [odd] description " * 8
ROWS = [("latentctx/point-mass/expert-v0", "built", LONG), ("latentctx/door/expert-v0", "", "short")]


def test_a_pipe_gets_one_line_a_row(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    print_table(HEADERS, ROWS)
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "point-mass" in line]
    assert LONG.strip() in line


def test_a_narrow_terminal_gets_blocks(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    print_table(HEADERS, ROWS, title="datasets")
    shown = capsys.readouterr().out
    assert shown.startswith("\x1b[3mdatasets")
    assert f"  state: built\n  description: {LONG}\n" in shown
    assert shown.count("state:") == 1  # an empty cell has no line


def test_a_wide_terminal_gets_a_table(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.setenv("FORCE_COLOR", "1")
    print_table(HEADERS, ROWS)
    assert "┃" in capsys.readouterr().out


def test_worlds_are_listed_by_either_command(capsys: pytest.CaptureFixture[str]) -> None:
    main(["envs"])
    bare = capsys.readouterr().out
    main(["envs", "list"])
    assert capsys.readouterr().out == bare
    assert "LatentCtx-PointMass-v0" in bare


def test_a_unit_in_a_header_is_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("distance", "goal [m]"), [("image", "0.3")])
    assert "goal [m]" in capsys.readouterr().out
