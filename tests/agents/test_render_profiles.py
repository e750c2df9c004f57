"""The comparison of render profiles: one encoder a cell, resumable, only the pictures differ."""

import csv

import pytest

from latentctx_agents.cli import main
from latentctx_agents.studies.render_profiles import ProfilesConfig, run_profiles


def test_arms_differ_in_profile_and_seed_alone(tiny_demo):
    config = ProfilesConfig(demo=tiny_demo)
    one, two = config.arm("fast", 0), config.arm("turbo", 0)
    assert (one.pretrain.render_profile, two.pretrain.render_profile) == ("fast", "turbo")
    assert one.finetune == two.finetune
    assert config.arm("fast", 2).pretrain.seed == config.arm("fast", 2).finetune.seed == 2


@pytest.mark.slow
@pytest.mark.usefixtures("of_two_goals")
def test_study_writes_a_row_for_each_goal_profile_and_seed_and_repeats_nothing(tiny_demo, tmp_path):
    config = ProfilesConfig(demo=tiny_demo, profiles=("fast", "turbo"), seeds=1)
    summary = run_profiles(config, tmp_path, workers=1)
    weights = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("model.safetensors")}
    assert run_profiles(config, tmp_path, workers=1) == summary
    assert weights == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("model.safetensors")}
    assert set(summary) == {"fast", "turbo"}
    with (tmp_path / "results.csv").open() as stream:
        assert len(list(csv.DictReader(stream))) == 2 * tiny_demo.goals


def test_impossible_studies_are_refused(tiny_demo, refuses, capsys):
    with refuses("reference, fast, turbo"):
        ProfilesConfig(demo=tiny_demo, profiles=("best",))
    with pytest.raises(SystemExit):
        main(["study", "no-such-study"])
    assert "choose from render-profiles, floors" in capsys.readouterr().err
