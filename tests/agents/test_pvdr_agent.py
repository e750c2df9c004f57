"""PVDR's agent on disk: what the online stage ends with, and acting with it."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from tiny_pvdr import SHORT

from latentctx_agents.cli.main import main
from latentctx_agents.model_folder import weights_hash
from latentctx_agents.pvdr.acting import act
from latentctx_agents.pvdr.agent import AHEAD, SEARCHED, Followed, GoalPolicy, load_agent, save_agent
from latentctx_agents.pvdr.folder import load_video_model
from latentctx_agents.pvdr.imagining import Imagination
from latentctx_agents.pvdr.online import Online
from latentctx_agents.pvdr.planning import Planner
from latentctx_agents.pvdr.planning_env import PlanningVecEnv
from latentctx_agents.pvdr.tokens import tokenize
from latentctx_agents.pvdr.worlds import EVALUATION_SEED, make_env, make_envs
from latentctx_agents.results import read_results
from latentctx_envs.goal_images import image_distance


@pytest.fixture(scope="module", params=[("actions", "way"), ("both", "plan"), ("tokens", "latent")])
def trained(request, video_model, tmp_path_factory):
    """A short online run and the folder of its agent."""
    near, reads = request.param
    online = Online(load_video_model(video_model)[0], dataclasses.replace(SHORT, near=near, reads=reads))
    list(online.run())
    folder = tmp_path_factory.mktemp("agents") / f"{near}-{reads}"
    save_agent(online.agent(), folder, {"online": dataclasses.asdict(online.config), "dataset": "clips"})
    return online, folder


def shown(online):
    """Frames and goals of the first evaluated episode, as the run itself evaluates it."""
    config = online.config
    rng = np.random.default_rng(EVALUATION_SEED + config.seed)
    planner = Planner(online.model.dynamics, online._distance, count=config.plans, rng=rng)
    venv = make_envs(config, EVALUATION_SEED)
    env = PlanningVecEnv(venv, online.model, planner, online._reading, config.rewards)
    observation, seen, done = env.reset(), [], False
    while not done:
        seen.append((env._frames[0].copy(), env._goals[0].copy()))
        actions, _ = online._policy.predict(observation, deterministic=True)
        observation, _, dones, _ = env.step(actions)
        done = bool(dones[0])
    env.close()
    return [np.stack(part) for part in zip(*seen, strict=True)]


def test_a_loaded_agent_acts_as_the_run_ended(trained):
    online, folder = trained
    agent, _ = load_agent(folder)
    frames, goals = shown(online)
    again = act(agent, episodes=1, seed=EVALUATION_SEED).film
    assert np.array_equal(frames, again.frames) and np.array_equal(goals, again.goals)
    assert not np.array_equal(frames[0], frames[-1])


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


def test_an_episode_begins_where_the_goal_is_another(trained):
    agent, _ = load_agent(trained[1])
    frames, goals = np.random.default_rng(0).integers(0, 256, (2, 3, 2, 64, 64, 3), dtype=np.uint8)
    goals[1] = goals[0]
    goals[2, 0] = goals[0, 0]  # the second environment began another episode by itself
    policy = GoalPolicy(agent, straight=True)
    for seen, goal in zip(frames, goals, strict=True):
        policy({"observation": seen, "desired_goal": goal}, {})
    found = policy._seen()
    wanted = [found.tokens(part[[1, 2], [0, 0]]) for part in (frames, goals)]
    assert torch.equal(found.context[0], wanted[0]) and torch.equal(found.goal[0], wanted[1][0])
    begun, goal = found.tokens(frames[2, [1]]), found.tokens(goals[2, [1]])
    assert torch.equal(found.context[1], begun.expand(2, -1)) and torch.equal(found.goal[1], goal[0])
    one = {"observation": frames[0, 0], "desired_goal": goals[0, 0]}
    assert policy(one, {}).shape == (4,)  # of one environment, after two


@pytest.mark.parametrize("told", ["by reset", "by info"])
def test_an_episode_begins_where_it_is_told_although_the_goal_stays(trained, told):
    agent, _ = load_agent(trained[1])
    frames, goals = np.random.default_rng(1).integers(0, 256, (2, 4, 2, 64, 64, 3), dtype=np.uint8)
    policy = GoalPolicy(agent, straight=True)
    for time, seen in enumerate(frames):
        second = np.array([False, time == 2])
        if told == "by reset":
            policy.reset(second)
        info = {"_final_obs": second} if told == "by info" and time == 2 else {}
        policy({"observation": seen, "desired_goal": goals[0]}, info)
    found = policy._seen()
    assert torch.equal(found.context[0], found.tokens(frames[[2, 3], [0, 0]]))
    assert torch.equal(found.context[1], found.tokens(frames[[2, 3], [1, 1]]))
    distance = agent.foresight(1, np.random.default_rng(0))._planner.distance
    scales = [
        distance.scale(*map(found.tokens, (frames[at, [row]], goals[0, [row]])))
        for at, row in ((0, 0), (2, 1))
    ]
    assert torch.allclose(found.scale, torch.cat(scales))  # of each episode's first frame


def test_agents_refuse_what_they_cannot_see_or_do(trained):
    _, folder = trained
    agent, _ = load_agent(folder)
    with pytest.raises(ValueError, match="'desired_goal'"):
        GoalPolicy(agent)(np.zeros((64, 64, 3), np.uint8), {})
    with pytest.raises(ValueError, match="image_size=64"):
        GoalPolicy(agent)({"observation": np.zeros(3), "desired_goal": np.zeros(3)}, {})
    frame = np.zeros((64, 64, 3), np.uint8)
    with pytest.raises(ValueError, match=r"and float32 .64, 64, 3."):  # colours from 0 to 1 are nearly black
        GoalPolicy(agent)({"observation": frame, "desired_goal": frame.astype(np.float32)}, {})
    with pytest.raises(ValueError, match="must be uint8, 0 to 255; got float32"):
        agent.foresight(1, np.random.default_rng(0)).tokens(frame[None].astype(np.float32))
    with pytest.raises(ValueError, match="first observation"):
        GoalPolicy(agent).planned()
    with pytest.raises(ValueError, match="start at 1"):
        act(agent, episodes=0)
    with pytest.raises(ValueError, match="seeds at 0; got 1 and -1"):
        act(agent, episodes=1, seed=-1)
    with pytest.raises(ValueError, match="start at 1"):
        act(agent, plans=0)
    with pytest.raises(ValueError, match="goal is one of"):
        act(agent, goal="video")  # type: ignore[arg-type]
    agent.config = dataclasses.replace(agent.config, high=(2.0, 1.0, 1.0, 1.0))
    with pytest.raises(ValueError, match="has actions"):
        act(agent, episodes=1)


def test_a_film_is_followed_frame_by_frame_and_never_back():
    tokens = torch.arange(20)[:, None].expand(-1, 64)
    followed = Followed(lambda frames: frames[..., :1].float(), tokens)  # type: ignore[arg-type]
    assert [int(followed.aim(tokens[[at]])[0, 0]) for at in (0, 3, 1, 12)] == [
        5,
        3 + AHEAD,
        8,
        3 + SEARCHED - 1 + AHEAD,
    ]
    assert int(followed.aim(tokens[[19]])[0, 0]) == 19  # not past its end


def test_films_are_followed_by_plans_and_straight(trained):
    agent, _ = load_agent(trained[1])
    films = {
        by: act(agent, task="drawer-close-v3", goal="film", by=by, episodes=1).film
        for by in ("plans", "straight")
    }
    for film in films.values():
        assert len(np.unique(film.goals.reshape(len(film.goals), -1), axis=0)) > 1  # the goal moves on
    assert np.array_equal(films["straight"].planned, films["straight"].goals)
    assert not np.array_equal(films["straight"].frames, films["plans"].frames)
    env = make_env(SHORT)
    seen, _ = env.reset(seed=0)
    policy = GoalPolicy(agent, straight=True)
    way = policy(seen, {})
    with torch.no_grad():
        here, goal = agent.metric(
            policy._seen().tokens(np.stack([seen["observation"], seen["desired_goal"]]))
        )
    assert np.allclose(way, (goal - here).clamp(-1.0, 1.0).numpy(), atol=1e-5)
    several = {key: np.stack([seen[key]] * 2) for key in ("observation", "desired_goal")}
    with pytest.raises(ValueError, match="one environment"):
        GoalPolicy(agent, film=lambda _, goal: goal[None])(several, {})
    env.close()


def test_films_are_imagined_window_after_window_and_end_with_the_goal(video_model):
    model, _ = load_video_model(video_model)
    sizes = model.config
    frame, goal = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    imagination = Imagination(model, np.random.default_rng(0), films=3, windows=2)
    films = imagination.imagined(frame)
    assert films.shape == (3, 1 + 2 * sizes.future, 64, 64, 3)
    assert (films[:, 0] == films[0, 0]).all()  # all begin with what is seen
    alone = Imagination(model, np.random.default_rng(1), films=1, windows=2).imagined(frame)
    assert np.array_equal(alone[0], films[0])  # the first draws nothing
    tokens = torch.from_numpy(tokenize(model.tokenizer, frame[None]).astype(np.int64))
    context = tokens.expand(1, sizes.context, -1)
    with torch.no_grad():
        first = model.dynamics.plans(context, model.dynamics.prior(context).mean)
        seen = torch.cat([context, first], dim=1)[:, -sizes.context :]
        second = model.dynamics.plans(seen, model.dynamics.prior(seen).mean)
        pixels = model.tokenizer.pixels(torch.cat([first, second], dim=1)[0]).numpy()
    assert np.array_equal(films[0, 1:], pixels)

    again = Imagination(model, np.random.default_rng(0), films=3, windows=2)
    film = again.film(frame, goal)
    left = image_distance(films, np.broadcast_to(goal, films.shape))
    best, end = np.unravel_index(left.argmin(), left.shape)
    assert np.array_equal(film[:-1], films[best, : end + 1]) and np.array_equal(film[-1], goal)
    with pytest.raises(ValueError, match="start at 1"):
        Imagination(model, np.random.default_rng(0), films=0)


def test_an_imagined_film_is_followed_to_the_picture(trained, video_model, tmp_path, capsys):
    _, folder = trained
    agent, _ = load_agent(folder)
    model, _ = load_video_model(video_model)
    imagination = Imagination(model, np.random.default_rng(0), films=2, windows=2)
    asked, film = [], imagination.film
    imagination.film = lambda *pictures: asked.append(pictures) or film(*pictures)
    acted = act(agent, by="imagined", imagination=imagination, episodes=1)
    env = make_env(SHORT)
    seen, _ = env.reset(seed=0)
    env.close()
    ((frame, goal),) = asked  # once an episode
    assert np.array_equal(frame, seen["observation"]) and np.array_equal(goal, seen["desired_goal"])
    assert np.array_equal(frame, acted.film.frames[0])
    for wrong in (
        {"by": "imagined"},
        {"imagination": imagination},
        {"by": "imagined", "goal": "film", "imagination": imagination},
    ):
        with pytest.raises(ValueError, match="wants an imagination and a picture"):
            act(agent, **wrong)
    results = tmp_path / "results.csv"
    words = ["--agent", str(folder), "--episodes", "1", "--results", str(results)]
    main(["pvdr", "act", *words, "--by", "imagined", "--imagine", str(video_model), "--films", "2"])
    main(["pvdr", "act", *words, "--by", "imagined", "--films", "1"])  # with the agent's own model
    rows = read_results([results])
    assert sorted(row["setting"]["films"] for row in rows) == [1, 2]
    assert all(row["setting"]["imagined_after"] for row in rows) and rows[0]["method"] == "imagined"
    hashes = [
        row["setting"].get("imagining_hash") for row in rows
    ]  # another model of the same videos is another row
    assert sorted(hashes, key=str) == sorted([None, weights_hash(video_model)[:16]], key=str)
    with pytest.raises(SystemExit):
        main(["pvdr", "act", *words, "--imagine", str(video_model)])
    assert "--imagine is of --by imagined" in capsys.readouterr().err


def test_the_command_acts_and_draws(trained, tmp_path, capsys):
    online, folder = trained
    picture, results = tmp_path / "episode.png", tmp_path / "results.csv"
    words = ["--agent", str(folder), "--episodes", "1", "--plans", "1", "--picture", str(picture)]
    main(["pvdr", "act", *words, "--results", str(results)])
    assert "reach-v3: success" in capsys.readouterr().out and picture.stat().st_size > 10_000
    with pytest.raises(SystemExit):
        main(["pvdr", "act", "--agent", str(tmp_path)])
    assert "is no goal agent" in capsys.readouterr().err
    (row,) = read_results([results])
    assert row["setting"]["plans"] == 1 and row["setting"]["trained_in"] == "reach-v3" and row["seed"] == 0
    config = json.loads((folder / "config.json").read_text())
    assert config["agent"]["task"] == online.config.task
