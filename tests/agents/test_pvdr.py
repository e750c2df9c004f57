"""PVDR: tokens, the evidence bound, planning, alignment, and both stages run small."""

import dataclasses

import gymnasium as gym
import numpy as np
import pytest
import torch

from latentctx_agents.cli.main import main
from latentctx_agents.optim import OptimizerConfig, in_precision
from latentctx_agents.pvdr import tokens
from latentctx_agents.pvdr.distance import TokenDistance
from latentctx_agents.pvdr.evidence import EvidenceConfig, evidence_loss
from latentctx_agents.pvdr.folder import VideoModel, load_video_model
from latentctx_agents.pvdr.goal_ppo import GoalPpo, TokenGoalVecEnv
from latentctx_agents.pvdr.model import DynamicsModel
from latentctx_agents.pvdr.online import Online, OnlineConfig, encoded, make_envs, world_of
from latentctx_agents.pvdr.planning import Planner
from latentctx_agents.pvdr.planning_env import PlanningVecEnv, RewardConfig
from latentctx_agents.pvdr.pretrain import VideoTraining, pretrain
from latentctx_agents.pvdr.reading import reading_of
from latentctx_agents.pvdr.replay import Replay
from latentctx_agents.results import read_results
from latentctx_agents.studies.pvdr import PvdrGrid, PvdrStudyConfig, run_study
from latentctx_datasets.library import DatasetError
from latentctx_datasets.videos import open_clips
from latentctx_datasets.videos.push import build_push
from latentctx_envs.encoders import load_encoder
from latentctx_envs.encoders.dynamics.blocks import attend, merged, split_up
from latentctx_envs.encoders.dynamics.config import DynamicsConfig, TokenizerConfig
from latentctx_envs.encoders.dynamics.tokenizer import FrameEncoder
from latentctx_envs.wrappers import VectorEncodeObservation

TINY = DynamicsConfig(
    tokenizer=TokenizerConfig(codes=32, code_dim=4, hidden=16, residuals=1, decoder=(8, 4)),
    future=3, width=16, heads=2, posterior_blocks=1, prior_blocks=1, decoder_blocks=1, latent=4,
)  # fmt: skip
FEW = OptimizerConfig(steps=12, batch_size=8, learning_rate=2e-3, weight_decay=0.0, log_every=4)
SHORT = OnlineConfig(
    envs=1, decisions=8, rollout=4, random_episodes=1, plans=3, tokenizer_steps=2, first_steps=(2, 2),
    steps=(1, 1), batch_size=(4, 8), evaluate_every=8, episodes=1,
)  # fmt: skip


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return build_push(tmp_path_factory.mktemp("videos") / "push", clips=8, workers=1).folder


@pytest.fixture(scope="module")
def training(clips):
    return VideoTraining(videos=str(clips), model=TINY, tokenizer=FEW, optimizer=FEW)


@pytest.fixture(scope="module")
def trained(training, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pvdr")
    pretrain(training, folder)
    return folder / "model"


def draw_tokens(*shape):
    return torch.from_numpy(np.random.default_rng(0).integers(0, 32, shape))


def test_a_video_models_encoder_remembers_each_environments_frames(trained):
    model, _ = load_video_model(trained)
    envs = gym.make_vec(
        "LatentCtx-PointMass-v0", num_envs=2, observation="pixels", image_size=64, autoreset_mode="SameStep"
    )
    seen = gym.make_vec(
        "LatentCtx-PointMass-v0", num_envs=2, observation="pixels", image_size=64, autoreset_mode="SameStep"
    )
    wrapped = VectorEncodeObservation(envs, trained.parent / "encoder")
    features, _ = wrapped.reset(seed=0)
    frames, _ = seen.reset(seed=0)
    assert features.shape == (2, TINY.width)
    rng = np.random.default_rng(0)
    for _ in range(3):
        before = frames
        actions = rng.uniform(-1.0, 1.0, seen.action_space.shape).astype(np.float32)
        features = wrapped.step(actions)[0]
        frames = seen.step(actions)[0]
    context = np.stack([before, frames], axis=1)
    found = torch.from_numpy(tokens.tokenize(model.tokenizer, context).astype(np.int64))
    with torch.inference_mode():
        assert np.allclose(features, model.dynamics.prior.features(found).numpy(), atol=1e-5)
        alone = model.dynamics.prior.features(found[:, 1:].expand(-1, 2, -1)).numpy()
    fresh = load_encoder(trained.parent / "encoder")
    with torch.inference_mode():
        assert np.allclose(fresh(torch.from_numpy(frames)).numpy(), alone, atol=1e-5)
    wrapped.close()
    seen.close()


@pytest.mark.parametrize(
    "wrong",
    [
        {"width": 18, "heads": 4},
        {"merge": 3},
        {"context": 0},
        {"tokenizer": {"codes": 40_000}},
        {"latent": -1},
    ],
)
def test_sizes_that_cannot_be_built_are_refused(wrong):
    with pytest.raises(ValueError):
        DynamicsConfig(**wrong)


def test_a_patch_changes_its_own_token_and_no_other():
    torch.manual_seed(0)
    encoder = FrameEncoder(TINY.tokenizer)
    frame = torch.full((1, 64, 64, 3), 80, dtype=torch.uint8)
    codes = encoder.codes(frame)
    frame[:, 16:24, 40:48] = 200  # patch (2, 5)
    moved = (encoder.codes(frame) != codes).any(-1)[0]
    assert moved.nonzero().flatten().tolist() == [2 * 8 + 5]


@pytest.mark.parametrize("merge", [1, 2, 4])
def test_squares_of_tokens_are_split_up_as_they_were_merged(merge):
    values = torch.arange(2 * 3 * 64 * 5.0).view(2, 3, 64, 5)
    assert torch.equal(split_up(merged(values, merge), merge), values)
    first = merged(values, merge)[0, 0, 0]
    assert torch.equal(first[-5:], values[0, 0, (merge - 1) * 8 + merge - 1])


@pytest.mark.parametrize("merge", [1, 2])
@pytest.mark.parametrize("copy", [0.0, 0.6, 30.0])
def test_the_likeliest_tokens_are_those_of_the_largest_logits(merge, copy):
    torch.manual_seed(0)
    model = DynamicsModel(dataclasses.replace(TINY, merge=merge))
    model.decoder.copy.data.fill_(copy)
    context, latent = draw_tokens(4, 2, 64), torch.randn(4, 4)
    plans = model.plans(context, latent)
    assert torch.equal(plans, model.decoder(context, latent).argmax(-1))
    if copy == 30.0:
        assert torch.equal(plans, context[:, -1:].expand(-1, 3, -1))


def test_the_divergence_is_that_of_torchs_distributions():
    torch.manual_seed(0)
    model, window = DynamicsModel(TINY), draw_tokens(6, 5, 64)
    noise = torch.randn(6, 4)
    loss, metrics = evidence_loss(model, window, noise, 0.7, EvidenceConfig(changed_weight=0.0, retell=0.0))
    posterior, prior = model.posterior(window), model.prior(window[:, :2])
    normal = torch.distributions.Normal
    wanted = torch.distributions.kl_divergence(normal(*posterior), normal(*prior)).sum(-1).mean()
    assert metrics["divergence"] == pytest.approx(wanted.item(), rel=1e-4)
    logits = model.decoder(window[:, :2], posterior.sample(noise))
    picked = torch.distributions.Categorical(logits=logits).log_prob(window[:, 2:])
    assert loss.item() == pytest.approx((-picked.mean() + 0.7 * wanted).item(), rel=1e-4)


@pytest.mark.parametrize(("balance", "still"), [(1.0, "posterior"), (0.0, "prior")])
def test_balance_says_whom_the_divergence_moves(balance, still):
    torch.manual_seed(0)
    model, window = DynamicsModel(TINY), draw_tokens(6, 5, 64)
    config = EvidenceConfig(balance=balance)
    with_it = evidence_loss(model, window, torch.zeros(6, 4), 1.0, config)[0]
    without = evidence_loss(model, window, torch.zeros(6, 4), 0.0, config)[0]
    last = getattr(model, still).head.last.weight
    other = (model.prior if still == "posterior" else model.posterior).head.last.weight
    (unmoved, moved) = torch.autograd.grad(with_it - without, [last, other], allow_unused=True)
    assert unmoved is None or unmoved.abs().max() < 1e-7
    assert moved.abs().max() > 0.0


def test_retelling_teaches_the_features_and_nothing_else():
    torch.manual_seed(0)
    model, window, noise = DynamicsModel(TINY), draw_tokens(6, 5, 64), torch.randn(6, 4)
    with_it, metrics = evidence_loss(
        model, window, noise, 0.7, EvidenceConfig(changed_weight=0.0, retell=0.5)
    )
    without, _ = evidence_loss(model, window, noise, 0.7, EvidenceConfig(changed_weight=0.0, retell=0.0))
    added = with_it - without
    told = model.retelling(model.prior.features(window[:, :2]))
    picked = torch.distributions.Categorical(logits=told).log_prob(window[:, :2])
    assert added.item() == pytest.approx(-0.5 * picked.mean().item(), rel=1e-4)
    assert metrics["retold"] == pytest.approx(-picked.mean().item(), rel=1e-4)
    added.backward()
    moved = {name for name, p in model.named_parameters() if p.grad is not None and p.grad.abs().max() > 1e-7}
    assert moved == {
        name for name, _ in model.named_parameters() if name.startswith(("retelling", "prior.features"))
    }


def test_beta_rises_between_its_two_steps():
    config = EvidenceConfig(beta=0.01, warm_up=(10, 20))
    assert [config.beta_at(step) for step in (0, 10, 15, 20, 99)] == pytest.approx([0, 0, 0.005, 0.01, 0.01])


def test_a_model_without_a_latent_has_no_divergence():
    model = DynamicsModel(dataclasses.replace(TINY, latent=0))
    _, metrics = evidence_loss(model, draw_tokens(4, 5, 64), torch.zeros(4, 0), 1.0, EvidenceConfig())
    assert metrics["divergence"] == 0.0
    with pytest.raises(ValueError, match="latent"):
        Online(VideoModel(dataclasses.replace(TINY, latent=0)), SHORT)


def test_pretraining_lowers_the_loss(trained, training):
    again, record = load_video_model(trained)
    assert record["config"]["videos"] == training.videos
    rows = (trained.parent / "dynamics" / "metrics.csv").read_text().splitlines()
    column = rows[0].split(",").index("loss")
    losses = [float(row.split(",")[column]) for row in rows[1:]]
    assert losses[-1] < losses[0]
    assert not again.training


def test_a_killed_pretraining_ends_as_an_uninterrupted_one(training, trained, tmp_path):
    def kill(step, _):
        if step == FEW.steps + 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pretrain(training, tmp_path, on_step=kill)
    pretrain(training, tmp_path)
    whole, resumed = (load_video_model(p)[0].state_dict() for p in (trained, tmp_path / "model"))
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_clips_that_are_too_short_are_refused(training, tmp_path):
    long = dataclasses.replace(training, stride=20)
    with pytest.raises(DatasetError, match="at least 81 frames"):
        pretrain(long, tmp_path)
    with pytest.raises(ValueError, match="build more"):
        pretrain(dataclasses.replace(training, clips=99), tmp_path / "many")


def test_tokens_of_another_tokenizer_are_refused(trained, clips):
    model, _ = load_video_model(trained)
    seen = open_clips(clips)
    store = tokens.open_tokens(model.tokenizer, seen)
    assert np.array_equal(store.tokens[3], tokens.tokenize(model.tokenizer, seen[3]))
    key = {"tokenizer": tokens.tokenizer_hash(model.tokenizer), "clips": tokens.content_hash(seen)}
    path = tokens.mapped.cache_root() / "tokens" / tokens.mapped.digest_of({"format": 1, **key})
    torch.manual_seed(1)
    with pytest.raises(DatasetError, match="another tokenizer"):
        tokens.TokenStore(path, VideoModel(TINY).tokenizer, seen)


def test_the_distance_is_zero_at_the_goal_and_one_at_the_start(trained, clips):
    model, _ = load_video_model(trained)
    frames = np.array(open_clips(clips)[0])
    distance = TokenDistance(model.tokenizer, frames)
    found = torch.from_numpy(tokens.tokenize(model.tokenizer, frames).astype(np.int64))
    scale = distance.scale(found[0], found[-1])
    assert distance(found[0], found[-1], scale).item() == pytest.approx(1.0, rel=1e-5)
    assert distance(found[-1], found[-1], scale).item() == 0.0


class Nearest:
    """A distance for tests: of the first token to the goal's first."""

    def __call__(self, found, goal, scale):
        return (found[..., 0] - goal[..., 0]).abs().float() + 0.0 * scale[..., 0]


def test_the_planner_keeps_the_latent_whose_future_comes_nearest():
    torch.manual_seed(0)
    model = DynamicsModel(TINY)
    model.decoder.copy.data.fill_(0.0)
    context, goal, scale = draw_tokens(3, 2, 64), torch.full((3, 64), 9), torch.ones(3, 2)
    plan = Planner(model, Nearest(), count=16, rng=np.random.default_rng(3)).plan(context, goal, scale)
    noise = torch.from_numpy(np.random.default_rng(3).standard_normal((3, 16, 4), dtype=np.float32))
    _, futures = model.sample(context, 16, noise)
    least = (futures[..., 0] - 9).abs().amin(-1)
    assert torch.equal(plan.distance, least.amin(1).float())
    assert torch.equal(plan.future[..., 0].sub(9).abs().amin(-1).float(), plan.distance)
    assert (least.amin(1) < least.amax(1)).any()


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
def planned(trained):
    model, _ = load_video_model(trained)
    venv = make_envs(SHORT, 0)
    distance = TokenDistance(model.tokenizer, np.array(venv.reset()["observation"]))
    planner = Planner(model.dynamics, distance, count=2, rng=np.random.default_rng(0))
    env = PlanningVecEnv(venv, model, planner, reading_of(model, "latent"), RewardConfig(plan=0.0))
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


def test_worlds_without_pictures_are_refused(trained):
    from stable_baselines3.common.env_util import make_vec_env

    model, _ = load_video_model(trained)
    venv = make_vec_env("LatentCtx-PointMass-v0")
    planner = Planner(model.dynamics, Nearest(), count=2, rng=np.random.default_rng(0))
    with pytest.raises(ValueError, match="goal='pixels'"):
        PlanningVecEnv(venv, model, planner, reading_of(model, "plan"))
    venv.close()


@pytest.mark.parametrize("reads", ["plan", "latent"])
def test_online_training_leaves_the_frozen_posterior_as_it_was(trained, reads):
    model, _ = load_video_model(trained)
    before = {name: tensor.clone() for name, tensor in model.dynamics.state_dict().items()}
    online = Online(model, dataclasses.replace(SHORT, reads=reads))
    curve = list(online.run())
    assert [done for done, _ in curve] == [0, 8]
    assert {"success", "distance_left", "alignment", "cross_entropy"} <= curve[-1][1].keys()
    moved = {name for name, t in model.dynamics.state_dict().items() if not torch.equal(t, before[name])}
    posterior = {name for name in moved if name.startswith("posterior.")}
    assert posterior == {"posterior.head.last.weight", "posterior.head.last.bias"}
    assert any(name.startswith("decoder.") for name in moved)
    nets, size = online._policy.mlp_extractor, online._reading.size
    shapes = [[p.shape for p in side.parameters()] for side in (nets.actor, nets.critic)]
    differing = [pair for pair in zip(*shapes, strict=True) if pair[0] != pair[1]]
    assert all(more[-1] - less[-1] == TINY.future for less, more in differing)  # the distances, nothing else
    assert len(differing) == (1 if reads == "plan" else 3)
    seen = torch.randn(3, size + TINY.future)
    blind = seen.clone()
    blind[:, size:] = 0.0
    assert torch.equal(nets.forward_actor(seen), nets.forward_actor(blind))
    assert not torch.equal(nets.forward_critic(seen), nets.forward_critic(blind))


@pytest.fixture
def acted():
    """A replay of one episode of random tokens and actions."""
    rng, replay = np.random.default_rng(0), Replay(1, context=2, future=3)
    replay.begin(0, rng.integers(0, 32, 64).astype(np.int16))
    for _ in range(12):
        replay.add(0, rng.uniform(-1.0, 1.0, 4), rng.integers(0, 32, 64).astype(np.int16))
    return replay


@pytest.mark.parametrize("reads", ["plan", "latent"])
def test_supervision_reads_windows_as_acting_reads_plans(trained, acted, reads):
    model, _ = load_video_model(trained)
    reading = reading_of(model, reads)
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
        codes = model.tokenizer.encoder.codebook
        planes = inputs.view(40, 2, TINY.tokenizer.code_dim, 8, 8) * codes.std(0)[:, None, None]
        planes = planes + codes.mean(0)[:, None, None]
        assert torch.allclose(planes[3, 0, :, 2, 5], codes[window[3, 1, 2 * 8 + 5]], atol=1e-5)
        assert torch.allclose(planes[3, 1, :, 2, 5], codes[future[3, -1, 2 * 8 + 5]], atol=1e-5)


def test_the_baseline_without_plans_sees_frames_and_goal(trained):
    model, _ = load_video_model(trained)
    env = TokenGoalVecEnv(make_envs(SHORT, 0), model.tokenizer)
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


@pytest.mark.slow
def test_the_method_acts_in_the_second_simulator(trained):
    pytest.importorskip("ogbench")
    model, _ = load_video_model(trained)
    config = dataclasses.replace(SHORT, task="visual-cube-single")
    curve = list(Online(model, config).run())
    assert world_of(config.task) == "LatentCtx-OGBench-v0"
    assert [done for done, _ in curve] == [0, 8]


def test_a_run_may_do_without_supervision(trained):
    model, _ = load_video_model(trained)
    bare = dataclasses.replace(SHORT, first_steps=(2, 0), steps=(1, 0))
    curve = list(Online(model, bare).run())
    assert all("alignment" not in metrics for _, metrics in curve)


def test_the_study_runs_its_cells_once(trained, tmp_path, monkeypatch):
    config, grid = PvdrStudyConfig(online=SHORT), PvdrGrid(methods=("supervised",), seeds=(3,))
    file = run_study(config, grid, trained, tmp_path)
    rows = read_results([file])
    assert {row["metric"] for row in rows} >= {"success", "success_area", "distance_left"}
    assert {row["method"] for row in rows} == {"supervised"}
    monkeypatch.setattr(Online, "run", lambda self: pytest.fail("run again"))
    assert run_study(config, grid, trained, tmp_path) == file
    with pytest.raises(ValueError, match="methods are"):
        PvdrGrid(methods=("other",))


def test_the_command_judges_a_model_and_draws_samples(trained, capsys, tmp_path):
    results = tmp_path / "judged.csv"
    few = ["--windows", "4", "--samples", "3", "--probe-windows", "64"]
    main(["pvdr", "judge", "--model", str(trained), *few, "--results", str(results)])
    said = capsys.readouterr().out
    assert {row["metric"] for row in read_results([results])} >= {"error_best", "r2_both"}
    assert "error_best" in said and "r2_both" in said
    assert (trained.parent / "samples.png").stat().st_size > 1000
    with pytest.raises(SystemExit):
        main(["pvdr", "judge", "--model", "nowhere"])
    assert "is no video model" in capsys.readouterr().err


def test_bfloat16_products_change_the_bound_and_its_gradient_only_a_little():
    torch.manual_seed(0)
    model = DynamicsModel(TINY)
    window, noise = draw_tokens(4, TINY.window, 64), torch.randn(4, TINY.latent)
    found = {}
    for precision in ("float32", "bfloat16"):
        model.zero_grad()
        with in_precision("cpu", precision):
            loss, _ = evidence_loss(model, window, noise, 1e-3, EvidenceConfig())
        loss.backward()
        found[precision] = (
            loss.detach(),
            torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]),
        )
    (exact, gradient), (rounded, other) = found["float32"], found["bfloat16"]
    assert rounded.dtype == torch.float32
    assert not torch.equal(gradient, other)  # it was taken in another precision
    torch.testing.assert_close(rounded, exact, rtol=5e-3, atol=0.0)
    assert torch.nn.functional.cosine_similarity(gradient, other, dim=0) > 0.999


def test_attention_in_bfloat16_is_taken_in_float32():
    queries, keys, contents = torch.randn(3, 2, 2, 5, 4).unbind(0)
    with in_precision("cpu", "bfloat16"):
        found = attend(queries, keys, contents)
    torch.testing.assert_close(found, attend(queries, keys, contents), rtol=1e-5, atol=1e-6)
