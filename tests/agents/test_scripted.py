"""Scripted policies of Meta-World: one success rate and one length for each task."""

import json

from latentctx_agents.cli import main
from latentctx_agents.results import read_results
from latentctx_agents.studies.scripted import measure_scripted


def test_easy_tasks_succeed_always_and_early():
    rows = list(measure_scripted(2, ("reach-v3", "drawer-close-v3")))
    assert [(row.setting["task"], row.metric) for row in rows] == [
        ("reach-v3", "success"),
        ("reach-v3", "length"),
        ("drawer-close-v3", "success"),
        ("drawer-close-v3", "length"),
    ]
    assert rows[0].value == rows[2].value == 1.0
    assert 5 < rows[1].value < 100


def test_the_study_writes_a_csv_and_names_what_fails(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("latentctx_agents.studies.scripted.TASKS", ("reach-v3",))
    out = tmp_path / "scripted.csv"
    main(["study", "scripted", "--episodes", "1", "--out", str(out)])
    printed = json.loads(capsys.readouterr().out.splitlines()[0])
    assert printed["tasks"] == 1 and printed["success"] == 1.0
    assert {row["metric"] for row in read_results([out])} == {"success", "length"}
