"""PVDR's agent on disk: what the online stage ends with, and acting with it."""

import dataclasses
import json

import numpy as np
import pytest
from tiny_pvdr import SHORT

from latentctx_agents.cli.main import main
from latentctx_agents.pvdr.acting import act
from latentctx_agents.pvdr.agent import GoalPolicy, load_agent, save_agent
from latentctx_agents.pvdr.folder import load_video_model
from latentctx_agents.pvdr.online import Online
from latentctx_agents.pvdr.worlds import EVALUATION_SEED, make_env


@pytest.fixture(scope="module", params=[("actions", "way"), ("both", "plan"), ("tokens", "latent")])
def trained(request, video_model, tmp_path_factory):
    """A short online run and the folder of its agent."""
    near, reads = request.param
    online = Online(load_video_model(video_model)[0], dataclasses.replace(SHORT, near=near, reads=reads))
    list(online.run())
    folder = tmp_path_factory.mktemp("agents") / f"{near}-{reads}"
    save_agent(online.agent(), folder, {"online": {}})
    return online, folder


def test_a_loaded_agent_acts_as_the_run_ended(trained):
    online, folder = trained
    agent, _ = load_agent(folder)
    ended, again = online.film(), act(agent, episodes=1, seed=EVALUATION_SEED).film
    assert np.array_equal(ended.frames, again.frames) and np.array_equal(ended.goal, again.goal)
    assert np.array_equal(ended.planned, again.planned)
    assert not np.array_equal(ended.frames[0], ended.frames[-1])


def test_environments_side_by_side_are_planned_for_together(trained):
    agent, _ = load_agent(trained[1])
    env = make_env(SHORT)
    first, second = (env.reset(seed=seed)[0] for seed in (0, 1))
    env.close()
    both = {key: np.stack([first[key], second[key]]) for key in ("observation", "desired_goal")}
    policy = GoalPolicy(agent)
    assert policy(both, {}).shape == (2, 4) and policy.planned().shape == (2, 64, 64, 3)
    policy.reset()
    assert policy(first, {}).shape == (4,)


def test_agents_refuse_what_they_cannot_see_or_do(trained):
    _, folder = trained
    agent, _ = load_agent(folder)
    with pytest.raises(ValueError, match="'desired_goal'"):
        GoalPolicy(agent)(np.zeros((64, 64, 3), np.uint8), {})
    with pytest.raises(ValueError, match="image_size=64"):
        GoalPolicy(agent)({"observation": np.zeros(3), "desired_goal": np.zeros(3)}, {})
    with pytest.raises(ValueError, match="first observation"):
        GoalPolicy(agent).planned()
    with pytest.raises(ValueError, match="start at 1"):
        act(agent, episodes=0)
    with pytest.raises(ValueError, match="start at 1"):
        act(agent, plans=0)
    agent.config = dataclasses.replace(agent.config, high=(2.0, 1.0, 1.0, 1.0))
    with pytest.raises(ValueError, match="has actions"):
        act(agent, episodes=1)


def test_the_command_acts_and_draws(trained, tmp_path, capsys):
    online, folder = trained
    picture = tmp_path / "episode.png"
    main(
        ["pvdr", "act", "--agent", str(folder), "--episodes", "1", "--plans", "1", "--picture", str(picture)]
    )
    assert "reach-v3: success" in capsys.readouterr().out and picture.stat().st_size > 10_000
    with pytest.raises(SystemExit):
        main(["pvdr", "act", "--agent", str(tmp_path)])
    assert "is no goal agent" in capsys.readouterr().err
    config = json.loads((folder / "config.json").read_text())
    assert config["agent"]["task"] == online.config.task
