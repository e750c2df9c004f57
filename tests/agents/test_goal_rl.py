"""SAC with hindsight goals: learning curves of real training, small."""

import dataclasses

import gymnasium as gym
import numpy as np
import pytest
import torch
from tiny_pvdr import TINY

from latentctx_agents.cli import main
from latentctx_agents.results import read_results
from latentctx_agents.studies.goal_rl import WORLD, GoalRLConfig, SeenAndDesired, encoder_of, learn, make_env
from latentctx_envs.encoders.dynamics.encoder import DynamicsEncoder, DynamicsEncoderConfig

SMALL = GoalRLConfig(decisions=220, evaluate_every=110, episodes=2, learning_starts=100, hidden=(16, 16))
FEW = ["--decisions", "110", "--evaluate-every", "110", "--episodes", "1", "--learning-starts", "100"]
CHEAP = ["--hidden", "16", "16", "--render-profile", "turbo"]


def test_the_curve_begins_before_training_and_has_a_point_for_each_evaluation():
    rows = list(learn(SMALL))
    assert rows == list(learn(SMALL))  # one seed, one curve
    assert [(row.metric, row.setting["done"]) for row in rows] == [
        (metric, done) for done in (0, 110, 220) for metric in ("success", "final_success")
    ]
    assert all(0.0 <= row.value <= 1.0 for row in rows)


def test_features_take_the_frames_place_and_goals_stay_places(tiny_encoder_dir):
    config = GoalRLConfig(encoder=str(tiny_encoder_dir))
    assert config.method == "sac-her-features"
    with make_env(config, encoder_of(config)) as env, gym.make(WORLD) as plain:
        observation, _ = env.reset(seed=0)
        expected, _ = plain.reset(seed=0)
        assert observation["observation"].dtype == np.float32 and observation["observation"].ndim == 1
        assert env.observation_space.contains(observation)
        assert np.array_equal(observation["desired_goal"], expected["desired_goal"])


def test_the_policy_does_not_see_the_achieved_goal():
    with gym.make(WORLD) as env:
        extractor = SeenAndDesired(env.observation_space)
        batch = {key: torch.zeros(2, *part.shape) for key, part in env.observation_space.items()}
    before = extractor(batch)
    assert before.shape == (2, extractor.features_dim) == (2, 42)
    batch["achieved_goal"] += 1.0
    assert torch.equal(extractor(batch), before)
    batch["desired_goal"] += 1.0
    assert not torch.equal(extractor(batch), before)


def test_the_study_learns_from_frozen_features_and_writes_its_curve(tiny_encoder_dir, tmp_path, capsys):
    out = tmp_path / "curve.csv"
    main(["study", "goal-rl", *FEW, *CHEAP, "--encoder", str(tiny_encoder_dir), "--out", str(out)])
    assert "110 decisions: success" in capsys.readouterr().out
    rows = read_results([out])
    assert {row["method"] for row in rows} == {"sac-her-features"}
    assert [row["setting"]["done"] for row in rows] == [0, 0, 110, 110]


@pytest.mark.parametrize("kwargs", [{"decisions": 0}, {"entropy": 0.0}])
def test_impossible_settings_are_refused(kwargs, refuses):
    with refuses(next(iter(kwargs)), "must be"):
        GoalRLConfig(**kwargs)


def test_a_video_model_sees_whole_pictures_of_its_own_profile_trained_or_not(tmp_path):
    torch.manual_seed(77)  # not that of the config
    encoder = DynamicsEncoder(DynamicsEncoderConfig(model=TINY))
    encoder.save_pretrained(tmp_path / "video", training={"render_profile": "turbo"})
    config = GoalRLConfig(encoder=str(tmp_path / "video"))
    trained, fresh = encoder_of(config), encoder_of(dataclasses.replace(config, pretrained=False))
    assert trained is not None and fresh is not None
    assert trained.content_hash() == encoder.content_hash() != fresh.content_hash()
    for seen_through in (trained, fresh):
        with make_env(config, seen_through) as env:
            assert env.spec is not None and env.spec.kwargs["render_profile"] == "turbo"
            assert env.spec.kwargs.get("window") is None
            assert env.reset(seed=0)[0]["observation"].shape == (encoder.features_dim,)
