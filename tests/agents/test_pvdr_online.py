"""PVDR online: distances, planning, alignment, the study; both run small."""

import dataclasses
import shutil

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from PIL import Image
from tiny_pvdr import SHORT, TINY, draw_tokens

from latentctx_agents.optim import OptimizerConfig, write_weights
from latentctx_agents.pvdr import tokens
from latentctx_agents.pvdr.action_metric import ActionMetric, MetricConfig, MetricLearner
from latentctx_agents.pvdr.agent import load_agent
from latentctx_agents.pvdr.alignment import AlignmentPolicy
from latentctx_agents.pvdr.distance import ActionDistance, Distance, TokenDistance, colours_of, distance_of
from latentctx_agents.pvdr.evidence import EvidenceConfig, evidence_loss
from latentctx_agents.pvdr.folder import load_video_model
from latentctx_agents.pvdr.goal_ppo import GoalPpo
from latentctx_agents.pvdr.lapo import Lapo, LatentActionVecEnv
from latentctx_agents.pvdr.latent_actions import LatentActionConfig, LatentActions
from latentctx_agents.pvdr.model import DynamicsModel
from latentctx_agents.pvdr.online import Online, encoded
from latentctx_agents.pvdr.online_config import OnlineConfig
from latentctx_agents.pvdr.planning import Planner
from latentctx_agents.pvdr.planning_env import PlanningVecEnv, RewardConfig
from latentctx_agents.pvdr.ranking import rank, rows_of, told_of_actions
from latentctx_agents.pvdr.reading import reading_of
from latentctx_agents.pvdr.replay import Replay
from latentctx_agents.pvdr.straight import Straight, WayVecEnv
from latentctx_agents.pvdr.token_venv import TokenVecEnv
from latentctx_agents.pvdr.trunks import VectorTrunk
from latentctx_agents.pvdr.worlds import EVALUATION_SEED, make_envs, world_of
from latentctx_agents.results import read_results
from latentctx_agents.studies import pvdr as study
from latentctx_agents.studies.pvdr import METHODS, PvdrGrid, PvdrStudyConfig, run_study
from latentctx_datasets.videos import open_clips


class Nearest(Distance):
    """A distance for tests: of the first token to the goal's first."""

    def parts(self, tokens, goal):
        return (tokens[..., 0] - goal[..., 0]).abs().float()[..., None]


@pytest.mark.parametrize(("near", "kinds"), [("tokens", 2), ("actions", 1), ("both", 3)])
def test_the_distance_is_zero_at_the_goal_and_one_at_the_start(video_model, video_clips, near, kinds):
    model, _ = load_video_model(video_model)
    frames = np.array(open_clips(video_clips)[0])
    metric = ActionMetric(model.tokenizer, 4).eval()
    distance = distance_of(near, TokenDistance(model.tokenizer, colours_of(model.tokenizer, frames)), metric)
    found = torch.from_numpy(tokens.tokenize(model.tokenizer, frames).astype(np.int64))
    scale = distance.scale(found[0], found[-1])
    assert scale.shape == (kinds,) == (distance.kinds,)
    assert distance(found[0], found[-1], scale).item() == pytest.approx(1.0, rel=1e-5)
    assert distance(found[-1], found[-1], scale).item() == 0.0
    many = found[:6].view(2, 3, 64)  # plans of two environments
    each = distance(many, found[[-1, 0]][:, None], torch.stack([scale, scale])[:, None])
    assert torch.allclose(each[1, 2], distance(many[1, 2], found[0], scale))


def moved_about(episodes, steps, rng):
    """A body on the grid of tokens that goes by two actions in [-1, 1]; tokens and actions of episodes."""
    films, moves = [], []
    for _ in range(episodes):
        place, film, done = rng.uniform(0.0, 7.0, 2), [], []
        for _ in range(steps + 1):
            frame = np.zeros(64, np.int16)
            frame[int(place[0].round()) * 8 + int(place[1].round())] = 1
            film.append(frame)
            action = np.clip(rng.uniform(-1.0, 1.0, 2), -place, 7.0 - place)
            place = place + action
            done.append(action)
        films.append(np.stack(film))
        moves.append(np.stack(done[:-1]))
    return films, moves


def test_the_metric_learns_how_many_actions_apart_frames_are(video_model):
    model, _ = load_video_model(video_model)
    torch.manual_seed(0)
    rng, replay = np.random.default_rng(0), Replay(1, context=2, future=3)
    for film, moves in zip(*moved_about(20, 60, rng), strict=True):
        replay.begin(0, film[0])
        for action, frame in zip(moves, film[1:], strict=True):
            replay.add(0, action, frame)
    metric = ActionMetric(model.tokenizer, 2)
    learner = MetricLearner(metric, MetricConfig(horizon=20, batch_size=64, noise=0.0), rng)
    untrained = learner.loss(replay).item()
    assert learner.learn(replay, 300)["metric"] < 0.2 * untrained
    frames = torch.eye(64, dtype=torch.int64)
    with torch.no_grad():
        places = metric(frames).view(8, 8, 2)
    assert torch.allclose(places[7, 3] - places[1, 3], torch.tensor([6.0, 0.0]), atol=1.2)
    assert torch.allclose(places[2, 0] - places[2, 6], torch.tensor([0.0, -6.0]), atol=1.2)
    noisy = MetricLearner(metric, MetricConfig(horizon=20, noise=1.0), rng)
    with torch.no_grad():
        assert noisy.loss(replay) > 2.0 * learner.loss(
            replay
        )  # noise is on what is learned from, and only there
        assert torch.equal(metric(frames).view(8, 8, 2), places)


def test_distances_are_judged_by_how_far_the_goal_is(video_model):
    model, record = load_video_model(video_model)
    found = rank(model, dataclasses.replace(SHORT, envs=2), held_out=2)
    ranked = found.distances
    assert list(ranked) == ["image", "tokens", "actions", "both"]
    assert all(-1.0 <= r.rank <= 1.0 and r.nearest <= r.chosen <= 1.0 for r in ranked.values())
    assert len({(r.nearest, r.average) for r in ranked.values()}) == 1
    assert list(found.actions) == ["came", "foretold", "latent"] and max(found.actions.values()) < 1.0
    rows = list(rows_of(found, video_model, record, SHORT, 2))
    assert len(rows) == 4 * len(dataclasses.fields(ranked["image"])) + 3
    longer = dataclasses.replace(SHORT, metric=MetricConfig(first_steps=99, noise=0.5))
    other = next(rows_of(found, video_model, record, longer, 2)).setting
    assert rows[0].setting["metric_steps"] == 2 and rows[0].setting["metric.batch_size"] == 8
    assert other["metric_steps"] == 99 and other["metric.noise"] == 0.5  # no row replaces one of other places
    with pytest.raises(ValueError, match="such as reach-v3"):
        rank(model, dataclasses.replace(SHORT, task="assembly-v3"), held_out=1)


def test_ways_that_came_tell_the_action_where_places_are_actions(video_model):
    model, _ = load_video_model(video_model)
    rng = np.random.default_rng(0)
    replays = Replay(1, context=2, future=3), Replay(1, context=2, future=3)
    for replay in replays:
        for film, moves in zip(*moved_about(20, 60, rng), strict=True):
            replay.begin(0, film[0])
            for action, frame in zip(moves, film[1:], strict=True):
                replay.add(0, action, frame)
    metric = ActionMetric(model.tokenizer, 2)
    MetricLearner(metric, MetricConfig(horizon=20, batch_size=64), rng).learn(replays[0], 300)
    told = told_of_actions(model, metric, replays, rng)
    assert told["came"] > 0.2  # rounding to cells hides much of an action
    assert max(told["foretold"], told["latent"]) < 0.1  # the video model knows nothing


def test_pairs_tell_what_was_done_between_them(acted):
    first, last, done = acted.pairs(np.random.default_rng(0), 300, horizon=4)
    frames = [tuple(frame) for frame in acted.episodes[0].frames]
    apart = set()
    for one, other, total in zip(first.numpy(), last.numpy(), done.numpy(), strict=True):
        start, end = frames.index(tuple(one)), frames.index(tuple(other))
        assert np.allclose(total, np.sum(acted.episodes[0].actions[start:end], axis=0))
        apart.add(end - start)
    assert apart == {1, 2, 3, 4}
    with pytest.raises(ValueError, match="no episode"):
        Replay(1, context=2, future=3).pairs(np.random.default_rng(0), 1, 4)


def test_the_planner_keeps_the_latent_whose_future_comes_nearest():
    torch.manual_seed(0)
    model = DynamicsModel(TINY)
    model.decoder.copy.data.fill_(0.0)
    context, goal, scale = draw_tokens(3, 2, 64), torch.full((3, 64), 9), torch.ones(3, 1)
    plan = Planner(model, Nearest(), count=16, rng=np.random.default_rng(3)).plan(context, goal, scale)
    noise = torch.from_numpy(np.random.default_rng(3).standard_normal((3, 16, 4), dtype=np.float32))
    _, futures = model.sample(context, 16, noise)
    least = (futures[..., 0] - 9).abs().amin(-1)
    assert torch.equal(plan.left.amin(1), least.amin(1).float())
    assert torch.equal(plan.future[..., 0].sub(9).abs().float(), plan.left)
    assert (least.amin(1) < least.amax(1)).any()


def test_what_is_expected_of_a_plan_is_its_tokens_where_these_are_certain(video_model):
    model, _ = load_video_model(video_model)
    metric, decoder = ActionMetric(model.tokenizer, 4).eval(), model.dynamics.decoder
    context, latent, table = draw_tokens(3, 2, 64), torch.randn(3, TINY.latent), metric.vectors
    with torch.no_grad():
        shares = decoder(context, latent).softmax(-1)
        expected = decoder.expected(context, latent, table)
        assert torch.allclose(expected[1, 2, 5], (shares[1, 2, 5, :, None] * table).sum(0), atol=1e-5)
        decoder.copy.fill_(100.0)
        assert torch.allclose(
            decoder.expected(context, latent, table)[:, 2], table[context[:, -1]], atol=1e-4
        )


def test_places_of_plans_are_told_from_what_is_usual(video_model):
    model, _ = load_video_model(video_model)
    metric, dynamics = ActionMetric(model.tokenizer, 4).eval(), model.dynamics
    context, goal, scale = draw_tokens(3, 2, 64), draw_tokens(3, 64), torch.tensor([[2.0], [1.0], [4.0]])
    assert dynamics.prior is not None
    with torch.no_grad():
        usual = dynamics.prior(context).mean
        latents = torch.stack([usual, torch.randn_like(usual), torch.randn_like(usual)], dim=1)
        places = metric.foretold(dynamics, context, latents)
        here = metric(context[:, 1])
        # with the usual z the body stays where it is, however blurred what is foretold may be
        assert torch.allclose(places[:, 0], here[:, None].expand(-1, TINY.future, -1), atol=1e-5)
        soft = [dynamics.decoder.expected(context, z, metric.vectors) for z in (usual, latents[:, 2])]
        way = metric.of_vectors(soft[1]) - metric.of_vectors(soft[0])
        assert torch.allclose(places[:, 2], here[:, None] + way, atol=1e-5) and way.abs().max() > 1e-3
        distance = ActionDistance(metric)
        left = distance.of_plans(dynamics, context, latents, goal, scale)
        assert left.shape == (3, 3, TINY.future)
        wanted = (places - metric(goal)[:, None, None]).norm(dim=-1) / scale[:, None]
        assert torch.allclose(left, wanted, atol=1e-5)
        future = dynamics.plans(context, latents[:, 2])
        missed = distance.missed(dynamics, context, latents[:, 2], future, goal)
        assert torch.allclose(missed[:, 0], (metric(goal) - places[:, 2, 0]).norm(dim=-1), atol=1e-5)


def test_distances_side_by_side_count_each_kind_once(video_model):
    model, _ = load_video_model(video_model)
    metric = ActionMetric(model.tokenizer, 4).eval()
    colours = TokenDistance(
        model.tokenizer,
        colours_of(model.tokenizer, np.random.default_rng(0).integers(0, 256, (8, 64, 64, 3), np.uint8)),
    )
    actions, both = ActionDistance(metric), distance_of("both", colours, metric)
    context, goal, scale = draw_tokens(3, 2, 64), draw_tokens(3, 64), torch.rand(3, 3) + 0.5
    latents = torch.randn(3, 2, TINY.latent)
    with torch.no_grad():
        one = actions.of_plans(model.dynamics, context, latents, goal, scale[:, :1])
        two = colours.of_plans(model.dynamics, context, latents, goal, scale[:, 1:])
        joint = both.of_plans(model.dynamics, context, latents, goal, scale)
        assert torch.allclose(joint, (one + 2 * two) / 3, atol=1e-5)
        future = model.dynamics.plans(context, latents[:, 0])
        assert both.missed(model.dynamics, context, latents[:, 0], future, goal).shape == (3, both.kinds)


def test_replay_gives_the_action_that_followed_the_context():
    replay = Replay(1, context=2, future=3)
    replay.begin(0, np.zeros(64, np.int16))
    for time in range(6):
        replay.add(0, np.full(4, time, np.float32), np.full(64, time + 1, np.int16))
    windows, actions = replay.sample(np.random.default_rng(0), 200)
    now = windows[:, 1, 0]
    assert torch.equal(actions[:, 0], now.float())
    assert torch.equal(windows[:, 0, 0], (now - 1).clamp_min(0))
    assert torch.equal(windows[:, 4, 0], now + 3)
    assert set(now.tolist()) == {0, 1, 2, 3}


@pytest.fixture(scope="module")
def planned(video_model):
    model, _ = load_video_model(video_model)
    venv = make_envs(SHORT, 0)
    distance = TokenDistance(model.tokenizer, colours_of(model.tokenizer, venv.reset()["observation"]))
    planner = Planner(model.dynamics, distance, count=2, rng=np.random.default_rng(0))
    env = PlanningVecEnv(
        venv,
        model,
        planner,
        reading_of(model, "latent", ActionMetric(model.tokenizer, 4)),
        RewardConfig(plan=0.0, nearer="image"),
    )
    yield env
    env.close()


def test_the_goals_reward_telescopes_over_an_episode(planned):
    observation = planned.reset()
    assert observation.shape == (1, TINY.width + TINY.latent + TINY.future)
    rng, total, done = np.random.default_rng(0), 0.0, False
    first = planned._frames.copy(), planned._goals.copy()
    while not done:
        _, rewards, dones, infos = planned.step(rng.uniform(-1.0, 1.0, (1, 4)))
        total, done = total + float(rewards[0]), bool(dones[0])
        assert -1.0 <= infos[0]["reward_plan"] <= 0.0
    from latentctx_envs.goal_images import image_distance

    assert infos[0]["terminal_observation"].shape == observation.shape[1:]
    assert len(planned.replay.episodes[0].actions) == 100
    start = image_distance(*first)[0]
    last = 1.0 - total  # share of the distance that is left
    assert np.isfinite(last) and start > 0.0
    assert last == pytest.approx(_left(planned, rng, first), rel=1e-3)


def _left(planned, rng, first):
    """Share of the distance left after the same actions, from the frames alone."""
    from latentctx_envs.goal_images import image_distance

    venv = make_envs(SHORT, 0)
    venv.reset()
    seen, rng = venv.reset(), np.random.default_rng(0)
    assert np.array_equal(seen["observation"], first[0])
    for _ in range(100):
        _, _, _, infos = venv.step(rng.uniform(-1.0, 1.0, (1, 4)))
    end = infos[0]["terminal_observation"]
    venv.close()
    return (image_distance(end["observation"], first[1][0]) / image_distance(*first)[0]).item()


def test_worlds_without_pictures_are_refused(video_model):
    from stable_baselines3.common.env_util import make_vec_env

    model, _ = load_video_model(video_model)
    venv = make_vec_env("LatentCtx-PointMass-v0")
    planner = Planner(model.dynamics, Nearest(), count=2, rng=np.random.default_rng(0))
    with pytest.raises(ValueError, match="goal='pixels'"):
        PlanningVecEnv(venv, model, planner, reading_of(model, "plan", ActionMetric(model.tokenizer, 4)))
    venv.close()


@pytest.mark.parametrize("reads", ["plan", "latent", "way"])
def test_online_training_leaves_the_frozen_posterior_as_it_was(video_model, reads):
    model, _ = load_video_model(video_model)
    before = {name: tensor.clone() for name, tensor in model.dynamics.state_dict().items()}
    online = Online(model, dataclasses.replace(SHORT, reads=reads))
    curve = list(online.run())
    assert [done for done, _ in curve] == [0, 8]
    assert {"success", "distance_left", "cross_entropy"} <= curve[-1][1].keys()
    assert ("alignment" in curve[-1][1]) == (reads != "way")  # a way is an action already
    moved = {name for name, t in model.dynamics.state_dict().items() if not torch.equal(t, before[name])}
    posterior = {name for name in moved if name.startswith("posterior.")}
    assert posterior == {"posterior.head.last.weight", "posterior.head.last.bias"}
    assert any(name.startswith("decoder.") for name in moved)
    nets, size = online._policy.mlp_extractor, online._reading.size
    shapes = [[p.shape for p in side.parameters()] for side in (nets.actor, nets.critic)]
    differing = [pair for pair in zip(*shapes, strict=True) if pair[0] != pair[1]]
    assert all(more[-1] - less[-1] == TINY.future for less, more in differing)  # the distances, nothing else
    assert len(differing) == (3 if reads == "latent" else 1)
    seen = torch.randn(3, size + TINY.future)
    blind = seen.clone()
    blind[:, size:] = 0.0
    assert torch.equal(nets.forward_actor(seen), nets.forward_actor(blind))
    assert not torch.equal(nets.forward_critic(seen), nets.forward_critic(blind))


def test_an_action_that_is_read_is_done_until_something_is_learned():
    torch.manual_seed(0)
    policy = AlignmentPolicy(
        spaces.Box(-np.inf, np.inf, (7,), np.float32),
        spaces.Box(-1.0, 1.0, (2,), np.float32),
        lambda _: 1e-2,
        actor_inputs=5,
        outright=2,
        trunk=lambda more: VectorTrunk(5 + more, norm=False),
    )
    seen = np.random.default_rng(0).uniform(-1.0, 1.0, (6, 7)).astype(np.float32)
    acted, _ = policy.predict(seen, deterministic=True)
    assert np.allclose(acted, seen[:, 3:5], atol=1e-6)
    policy.optimizer.zero_grad()
    policy.aligned(torch.from_numpy(seen[:, :5])).square().sum().backward()
    policy.optimizer.step()
    assert policy.action_net.weight[:, :-2].abs().max() > 0.0  # of the trunk
    assert (policy.action_net.weight[:, -2:].diagonal() < 1.0).all()  # how much of it is taken


@pytest.fixture
def acted():
    """A replay of one episode of random tokens and actions."""
    rng, replay = np.random.default_rng(0), Replay(1, context=2, future=3)
    replay.begin(0, rng.integers(0, 32, 64).astype(np.int16))
    for _ in range(12):
        replay.add(0, rng.uniform(-1.0, 1.0, 4), rng.integers(0, 32, 64).astype(np.int16))
    return replay


@pytest.mark.parametrize("reads", ["plan", "latent", "way"])
def test_supervision_reads_windows_as_acting_reads_plans(video_model, acted, reads):
    model, _ = load_video_model(video_model)
    metric = ActionMetric(model.tokenizer, 4).eval()
    reading = reading_of(model, reads, metric)
    torch.manual_seed(5)
    inputs, actions = encoded(reading, acted, np.random.default_rng(7), 40)
    window, wanted = acted.sample(np.random.default_rng(7), 40)
    assert torch.equal(actions, wanted) and inputs.shape == (40, reading.size)
    torch.manual_seed(5)
    with torch.no_grad():
        posterior = model.dynamics.posterior(window)
        latent = posterior.sample(torch.randn_like(posterior.mean))
        future = model.dynamics.plans(window[:, :2], latent)
        assert torch.allclose(inputs, reading.of_plan(window[:, :2], latent, future), atol=1e-6)
        if reads == "latent":
            assert torch.equal(inputs[:, -TINY.latent :], latent)
            return
        if reads == "way":
            places = metric.foretold(model.dynamics, window[:, :2], latent[:, None])[:, 0]
            way = places[:, -1] - metric(window[:, 1])
            assert torch.allclose(inputs[:, -8:-4], way / TINY.future, atol=1e-5)
            assert torch.allclose(inputs[:, -4:], way.clamp(-1.0, 1.0), atol=1e-5)
            return
        codes = model.tokenizer.encoder.codebook
        planes = inputs.view(40, 2, TINY.tokenizer.code_dim, 8, 8) * codes.std(0)[:, None, None]
        planes = planes + codes.mean(0)[:, None, None]
        assert torch.allclose(planes[3, 0, :, 2, 5], codes[window[3, 1, 2 * 8 + 5]], atol=1e-5)
        assert torch.allclose(planes[3, 1, :, 2, 5], codes[future[3, -1, 2 * 8 + 5]], atol=1e-5)


def test_the_baseline_without_plans_sees_frames_and_goal(video_model):
    model, _ = load_video_model(video_model)
    env = TokenVecEnv(make_envs(SHORT, 0), model.tokenizer)
    first = env.reset()
    assert first.shape == (1, 3 * 64 * TINY.tokenizer.code_dim)
    before, now, goal = first.reshape(3, -1)  # planes of each picture
    assert np.array_equal(before, now) and not np.array_equal(now, goal)
    observation, rewards, _, infos = env.step(np.ones((1, 4)))
    after = observation.reshape(3, -1)
    assert np.array_equal(after[0], now) and np.array_equal(after[2], goal)
    assert rewards[0] == pytest.approx(infos[0]["reward_goal"])
    env.close()
    curve = list(GoalPpo(model, SHORT).run())
    assert [done for done, _ in curve] == [0, 8]
    assert {"success", "distance_left"} <= curve[-1][1].keys()


def test_the_baseline_that_goes_straight_sees_the_way_and_does_it(video_model):
    model, _ = load_video_model(video_model)
    metric = ActionMetric(model.tokenizer, 4).eval()
    env = WayVecEnv(make_envs(SHORT, 0), model, metric)
    way = env.reset()
    seen = tokens.tokenize(model.tokenizer, np.concatenate([env._frames, env._goals])).astype(np.int64)
    with torch.no_grad():
        here, goal = metric(torch.from_numpy(seen))
    assert np.allclose(way[0], (goal - here).numpy(), atol=1e-5)
    env.step(np.full((1, 4), 3.0))
    assert np.array_equal(env.replay.episodes[0].actions[0], np.ones(4))
    env.close()
    curve = list(Straight(model, SHORT).run())
    assert [done for done, _ in curve] == [0, 8]
    assert {"success", "distance_left", "metric"} <= curve[-1][1].keys()


def test_the_baseline_of_latent_actions_does_what_videos_and_random_actions_taught(video_model):
    model, record = load_video_model(video_model)
    torch.manual_seed(0)
    learner = LatentActions(model, LatentActionConfig(numbers=3, ahead=2), 4).eval()
    env = LatentActionVecEnv(make_envs(SHORT, 0), model.tokenizer, learner)
    first = env.reset()
    seen = torch.from_numpy(env.seen.astype(np.int64))
    with torch.no_grad():
        wanted = learner.actions(seen[:, :2], learner.wanted(seen)).clamp(-1.0, 1.0)
    assert np.allclose(first[0, -4:], wanted.numpy(), atol=1e-5)
    assert np.array_equal(first[0, :-4], TokenVecEnv.observe(env)[0])
    env.close()
    curve = list(Lapo(model, SHORT, record).run())
    assert [done for done, _ in curve] == [0, 8]
    assert {"success", "distance_left", "code_accuracy_changed", "latent_policy", "decoded"} <= curve[0][
        1
    ].keys()
    with pytest.raises(ValueError, match="holds other clips than the model was pretrained on"):
        Lapo(model, SHORT, {**record, "dataset_hash": "0" * 64})


def test_runs_of_different_seeds_share_no_episode():
    starts = []
    for seed in (0, 1):
        config = dataclasses.replace(SHORT, seed=seed, envs=3)
        venv = make_envs(config, config.first_seed)
        starts += list(venv.reset()["observation"].reshape(3, -1))
        venv.close()
    assert len({start.tobytes() for start in starts}) == 6
    for seed in range(1000):
        first = dataclasses.replace(SHORT, seed=seed).first_seed
        assert abs(first - EVALUATION_SEED) > 100  # none meets the goals that it is judged by


def test_longer_decisions_make_shorter_episodes_of_the_same_world():
    short, long = (make_envs(dataclasses.replace(SHORT, stride=stride), 0) for stride in (1, 3))
    action = np.array([[1.0, 0.2, 0.5, 0.0]], np.float32)
    for venv, times in ((short, 3), (long, 1)):
        venv.reset()
        for _ in range(times):
            seen, *_ = venv.step(action)
        venv.seen = seen["observation"]
    assert np.array_equal(short.seen, long.seen)
    steps = 1
    while not long.step(action)[2].any():
        steps += 1
    assert steps + 1 == 34
    with pytest.raises(ValueError, match="stride 1"):
        make_envs(dataclasses.replace(SHORT, task="visual-scene", stride=2), 0)


@pytest.mark.slow
def test_the_method_acts_in_the_second_simulator(video_model):
    pytest.importorskip("ogbench")
    model, _ = load_video_model(video_model)
    config = dataclasses.replace(SHORT, task="visual-cube-single")
    curve = list(Online(model, config).run())
    assert world_of(config.task) == "LatentCtx-OGBench-v0"
    assert [done for done, _ in curve] == [0, 8]


def test_a_run_may_do_without_supervision(video_model):
    model, _ = load_video_model(video_model)
    bare = dataclasses.replace(SHORT, first_steps=(2, 0), steps=(1, 0))
    curve = list(Online(model, bare).run())
    assert all("alignment" not in metrics for _, metrics in curve)


def test_what_random_actions_taught_is_measured_alone(video_model, tmp_path):
    config = PvdrStudyConfig(online=dataclasses.replace(SHORT, decisions=0))
    rows = read_results([run_study(config, PvdrGrid(methods=("pvdr",), seeds=(3,)), video_model, tmp_path)])
    found = {row["metric"]: row["setting"]["decisions"] for row in rows}
    assert "success" in found and "success_area" not in found and set(found.values()) == {0}
    with pytest.raises(ValueError, match="decisions start at 0"):
        dataclasses.replace(SHORT, decisions=-1)


def test_scratch_does_not_look_through_an_untrained_tokenizer(video_model, tmp_path, monkeypatch):
    monkeypatch.setattr(OnlineConfig, "tokenizer_steps", 1)
    for steps, trained in ((0, 1), (2, 2)):
        config = PvdrStudyConfig(online=dataclasses.replace(SHORT, decisions=0, tokenizer_steps=steps))
        run_study(config, PvdrGrid(methods=("scratch",), seeds=(3,)), video_model, tmp_path / str(steps))
        _, record = load_agent(tmp_path / str(steps) / "cells" / "reach-v3-scratch-seed3" / "agent")
        assert record["online"]["tokenizer_steps"] == trained and "dataset" not in record


def test_the_study_runs_its_cells_once(video_model, tmp_path, monkeypatch):
    config, grid = PvdrStudyConfig(online=SHORT), PvdrGrid(methods=("supervised",), seeds=(3,))
    file = run_study(config, grid, video_model, tmp_path)
    rows = read_results([file])
    assert {row["metric"] for row in rows} >= {"success", "success_area", "distance_left"}
    assert {row["method"] for row in rows} == {"supervised"}
    agent, trained = load_agent(tmp_path / "cells" / "reach-v3-supervised-seed3" / "agent")
    assert (
        agent.config.task == "reach-v3"
        and trained["dataset_hash"] == load_video_model(video_model)[1]["dataset_hash"]
    )
    with Image.open(tmp_path / "cells" / "reach-v3-supervised-seed3" / "episode.png") as picture:
        shown = np.asarray(picture)
    assert shown.shape[0] >= 3 * 128 and len(np.unique(shown[: 2 * 128, -1280:].reshape(-1, 3), axis=0)) > 20
    monkeypatch.setattr(Online, "run", lambda self: pytest.fail("run again"))
    assert run_study(config, grid, video_model, tmp_path) == file
    other, _ = load_video_model(video_model)
    with torch.no_grad():
        next(other.parameters()).add_(1e-3)
    shutil.copytree(video_model, tmp_path / "other")
    write_weights(tmp_path / "other" / "model.safetensors", other)
    with pytest.raises(ValueError, match="was begun from another video model"):
        run_study(config, grid, tmp_path / "other", tmp_path)
    with pytest.raises(ValueError, match="methods are"):
        PvdrGrid(methods=("other",))
    curve = tmp_path / "cells" / "reach-v3-supervised-seed3" / "curve.json"
    curve.write_text(curve.read_text()[:20])
    with pytest.raises(ValueError, match=r"curve\.json is damaged: remove it"):
        run_study(config, grid, video_model, tmp_path)


def test_rows_name_what_ran_and_nothing_that_did_not():
    record = {
        "config": {"stride": 1, "clips": None, "model": {"future": 4}},
        "dataset": "x",
        "dataset_hash": "0" * 64,
    }
    curve = [{"decisions": 0.0, "success": 0.5}]
    config = PvdrStudyConfig(online=dataclasses.replace(SHORT, tokenizer_steps=0, render_profile="fast"))
    found = {
        method: next(study.rows_of(config, "reach-v3", method, 0, curve, record, "1" * 64)).setting
        for method in METHODS
    }
    assert all(setting["render_profile"] == "fast" for setting in found.values())
    assert {name for name, setting in found.items() if setting["plans"] == 0} == {
        "goal-ppo",
        "straight",
        "lapo",
    }
    assert found["one-sample"]["plans"] == 1
    assert not any("episode_decisions" in setting for setting in found.values())  # the stride tells
    cube = next(study.rows_of(config, "visual-cube-single", "pvdr", 0, curve, record, "1" * 64)).setting
    assert cube["episode_decisions"] == gym.spec("LatentCtx-OGBench-v0").max_episode_steps == 200
    told_otherwise = {"decisions", "reinforce", "seed"}  # as "budget", by the method, by the row
    named = {*study.PLANS, *study.METHODS["lapo"].decided_by, *found["pvdr"], *told_otherwise}
    assert {option.name for option in dataclasses.fields(OnlineConfig)} <= named  # no option decides unnamed
    for name in ("goal-ppo", "straight", "lapo"):
        assert not {"reads", "near", "future"} & found[name].keys()
    assert (found["pvdr"]["batch_size"], found["pvdr"]["metric.batch_size"]) == ("4, 8", 8)
    assert "metric_steps" not in found["lapo"] and found["lapo"]["latent_actions.first_steps"] == 2
    assert not any(
        name.startswith("latent_actions") for name in found["pvdr"].keys() | found["straight"].keys()
    )
    assert "batch_size" not in found["straight"] and "metric.batch_size" not in found["goal-ppo"]
    assert found["goal-ppo"]["rollout"] == 4 and "spread" not in found["pvdr"]  # the default is not named
    frozen = PvdrStudyConfig(online=OnlineConfig(freeze="none", rewards=RewardConfig(nearer="image")))
    told = {
        method: next(study.rows_of(frozen, "reach-v3", method, 0, curve, record, "1" * 64)).setting
        for method in ("pvdr", "scratch", "straight")
    }
    assert {name: setting.get("freeze") for name, setting in told.items()} == {
        **dict.fromkeys(told),
        "pvdr": "none",
    }
    assert told["scratch"]["rewards.nearer"] == "image" and "rewards.nearer" not in told["straight"]
    trained = {name: setting["tokenizer_steps"] for name, setting in found.items()}
    assert trained.pop("scratch") == OnlineConfig.tokenizer_steps and set(trained.values()) == {0}


@pytest.mark.parametrize(
    "make",
    [
        lambda nan: EvidenceConfig(beta=nan),
        lambda nan: RewardConfig(goal=nan),
        lambda nan: MetricConfig(noise=nan),
        lambda nan: OptimizerConfig(steps=1, batch_size=1, learning_rate=nan),
        lambda nan: OptimizerConfig(steps=1, batch_size=1, learning_rate=1e-3, clip=nan),
    ],
)
def test_what_is_no_number_is_refused_before_it_becomes_weights(make):
    with pytest.raises(ValueError, match=r"start at 0|at least 0|must be above 0"):
        make(float("nan"))


def test_beta_rises_over_the_online_stages_own_steps(video_model, acted, monkeypatch):
    warm = EvidenceConfig(beta=0.01, warm_up=(1, 3))
    online = Online(load_video_model(video_model)[0], dataclasses.replace(SHORT, evidence=warm))
    betas = []

    def told(*arguments):
        betas.append(arguments[3])
        return evidence_loss(*arguments)

    monkeypatch.setattr("latentctx_agents.pvdr.online.evidence_loss", told)
    for steps in (2, 3):
        online._learn(acted, steps, 0, weight=1.0)
    online._venv.close()
    assert betas == pytest.approx([0.0, 0.0, 0.005, 0.01, 0.01])


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"rollout": 1}, "rollout starts at 2"),
        ({"batch_size": (0, 8)}, "batch_size start at 1"),
        ({"supervision": (1.0, -1.0)}, "supervision start at 0"),
        ({"spread": (0.1, float("nan"))}, "spread must be above 0"),
        ({"learning_rate": (-1.0, 1e-3, 1e-3)}, "learning_rate must be above 0"),
        ({"astray": 2.0}, "astray lies in"),
        ({"seed": -1}, "seed lies in 0 to 430659"),
        ({"seed": 500_000}, "seed lies in 0 to 430659"),
    ],
)
def test_online_settings_are_refused_before_anything_is_played(wrong, words):
    with pytest.raises(ValueError, match=words):
        dataclasses.replace(SHORT, **wrong)
    if "seed" in wrong:
        with pytest.raises(ValueError, match=words):
            PvdrGrid(seeds=(0, wrong["seed"]))


def test_a_stride_that_is_not_the_models_is_refused():
    assert SHORT.with_stride(3).stride == 3
    with pytest.raises(ValueError, match="pretrained with stride 1; got stride=7"):
        dataclasses.replace(SHORT, stride=7).with_stride(1)
