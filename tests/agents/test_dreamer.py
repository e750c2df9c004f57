"""Dreamer and Plan2Explore: returns, gradients that go where they should, windows of the buffer, resuming."""

import dataclasses

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from latentctx_agents.aime.agent import load_agent
from latentctx_agents.aime.policy import TanhPolicy
from latentctx_agents.cli import main
from latentctx_agents.dreamer import dataset
from latentctx_agents.dreamer import train as module
from latentctx_agents.dreamer.agent import Dreamer
from latentctx_agents.dreamer.buffer import EpisodeBuffer, Episodes
from latentctx_agents.dreamer.config import PAPER, DreamerConfig
from latentctx_agents.dreamer.heads import Ensemble
from latentctx_agents.dreamer.imagination import imagine, lambda_returns, policy_terms
from latentctx_agents.dreamer.train import train, updates_after
from latentctx_agents.runs import MetricsLog, read_metrics
from latentctx_datasets import identity, library
from latentctx_envs.encoders import load_encoder
from latentctx_envs.encoders.latent.config import QUICK
from latentctx_envs.encoders.latent.rssm import RSSM, State

NET = dataclasses.replace(QUICK, deter=8, stoch=3, hidden=(8, 8))
TINY = DreamerConfig(
    model=NET, rounds=3, episodes=2, first_updates=2, updates=2, batch_size=3, length=6, starts=5, horizon=4,
    ensemble=2, ensemble_hidden=8, snapshots=2,
)  # fmt: skip


def numbered(episodes=2, steps=9):
    """Row t of episode e holds 100 e + t everywhere."""
    numbers = (100 * np.arange(episodes) + np.arange(steps)[:, None]).astype(np.float32)
    return Episodes(np.repeat(numbers[..., None], 24, -1), np.repeat(numbers[..., None], 6, -1), numbers)


def batch_of(buffer_dir, config=TINY):
    buffer = EpisodeBuffer(buffer_dir)
    rng = np.random.default_rng(0)
    shape = (9, 2)
    buffer.add(
        Episodes(
            rng.normal(size=(*shape, 24)).astype(np.float32),
            rng.uniform(-1, 1, (*shape, 6)).astype(np.float32),
            rng.uniform(size=shape).astype(np.float32),
        )
    )
    return buffer.sample(rng, config.batch_size, config.length)


def test_lambda_returns_are_those_of_the_sum():
    rewards, values = torch.rand(5, 3), torch.rand(5, 3)
    found = lambda_returns(rewards, values, 0.9, 0.8)
    assert found.shape == (4, 3)
    expected = values[4]
    for t in (3, 2, 1, 0):
        expected = rewards[t] + 0.9 * (0.2 * values[t + 1] + 0.8 * expected)
        torch.testing.assert_close(found[t], expected)
    one_step = lambda_returns(rewards, values, 0.9, 0.0)
    torch.testing.assert_close(one_step, rewards[:-1] + 0.9 * values[1:])


def test_the_policy_is_moved_by_what_its_actions_lead_to_not_by_being_led_there():
    torch.manual_seed(0)
    rssm, policy = RSSM(NET, 24, 6), TanhPolicy(NET.features, 6, (8, 8))
    start = State(torch.randn(4, 8), torch.randn(4, 3))
    noise, action_noise = torch.randn(3, 4, 3), torch.randn(3, 4, 6)
    imagined = imagine(rssm, policy, start, noise, action_noise)
    chosen = torch.autograd.grad(imagined.policies.mean[-1].sum(), [*policy.parameters()], retain_graph=True)
    alone = torch.autograd.grad(
        policy(imagined.before[-1].detach()).mean.sum(), [*policy.parameters()], allow_unused=True
    )
    for through, direct in zip(chosen, alone, strict=True):
        torch.testing.assert_close(through, torch.zeros_like(through) if direct is None else direct)
    states = torch.autograd.grad(imagined.states[-1].sum(), [*policy.parameters()])
    assert all(grad.abs().sum() > 0 for grad in states)
    torch.testing.assert_close(imagined.before[1:], imagined.states[:-1])


def test_later_returns_weigh_less_and_a_wide_policy_costs_nothing():
    torch.manual_seed(0)
    rssm, policy = RSSM(NET, 24, 6), TanhPolicy(NET.features, 6, (8, 8))
    start = State(torch.zeros(4, 8), torch.zeros(4, 3))
    imagined = imagine(rssm, policy, start, torch.randn(3, 4, 3), torch.randn(3, 4, 6))
    wide = imagined._replace(
        policies=type(imagined.policies)(
            torch.zeros_like(imagined.actions), torch.full_like(imagined.actions, 0.88)
        )
    )
    rewards, values = torch.rand(3, 4), torch.rand(3, 4)
    found = policy_terms(wide, rewards, values, gamma=0.9, lambda_=0.5, regularisation=1.0)
    returns = lambda_returns(rewards, values, 0.9, 0.5)
    expected = -(torch.tensor([[0.9], [0.81]]) * returns).mean()
    torch.testing.assert_close(found.loss, expected)
    torch.testing.assert_close(found.metrics["policy_drift"], torch.zeros(()))


@pytest.mark.parametrize("explore", [False, True])
def test_an_update_moves_every_part_and_each_only_by_its_own_loss(explore, tmp_path, monkeypatch):
    torch.manual_seed(0)
    agent = Dreamer(dataclasses.replace(TINY, explore=explore), 6)
    batch = batch_of(tmp_path)
    parts = {"model": agent.model, "goal": agent.goal, "policy": agent.policy, "value": agent.value}

    def moved(run):
        before = {k: [p.detach().clone() for p in part.parameters()] for k, part in parts.items()}
        run()
        return {
            k for k, part in parts.items()
            if any(not torch.equal(a, b) for a, b in zip(before[k], part.parameters(), strict=True))
        }  # fmt: skip

    start = State(torch.randn(5, 8), torch.randn(5, 3))
    assert moved(lambda: agent._behave(start)) == {"policy", "value"}
    assert all(p.requires_grad for part in parts.values() for p in part.parameters())
    monkeypatch.setattr(agent, "_behave", lambda start: {})
    assert moved(lambda: agent.update(batch)) == {"model", "goal"}


def test_members_of_an_ensemble_come_to_agree_on_what_they_have_seen_and_move_nothing_else():
    torch.manual_seed(0)
    ensemble = Ensemble(4, 2, 3, members=3, hidden=32)
    states, actions = torch.randn(64, 4, requires_grad=True), torch.randn(64, 2)
    targets = torch.randn(64, 3, requires_grad=True)
    spread = ensemble(states, actions).var(dim=0).mean().item()
    optimizer = torch.optim.Adam(ensemble.parameters(), lr=3e-3)
    for _ in range(300):
        optimizer.zero_grad()
        ensemble.loss(states, actions, targets).mean().backward()
        optimizer.step()
    assert states.grad is None and targets.grad is None
    assert ensemble(states, actions).var(dim=0).mean().item() < 0.5 * spread
    far = ensemble(5 * torch.randn(64, 4), 5 * torch.randn(64, 2)).var(dim=0).mean().item()
    assert far > 10 * ensemble(states, actions).var(dim=0).mean().item()


def test_windows_of_the_buffer_are_consecutive_rows_of_one_episode(tmp_path):
    buffer = EpisodeBuffer(tmp_path)
    buffer.add(numbered())
    buffer.add(Episodes(*(array + 1000 for array in numbered(3))))
    assert (len(buffer), buffer.rounds) == (5, 2)
    batch = buffer.sample(np.random.default_rng(0), 200, 4)
    rows = batch.rewards
    assert rows.shape == (4, 200) and batch.observations.states.shape == (4, 200, 24)
    torch.testing.assert_close(rows.diff(dim=0), torch.ones(3, 200))
    torch.testing.assert_close(batch.observations.states[..., 0], rows)
    torch.testing.assert_close(batch.previous_actions[..., 0], rows)
    assert {int(row) // 100 for row in rows[0]} == {0, 1, 10, 11, 12}
    again = EpisodeBuffer(tmp_path)
    again.keep(1)
    assert (len(again), len(EpisodeBuffer(tmp_path))) == (2, 2)
    with pytest.raises(ValueError, match="9 observations; windows want 10"):
        buffer.sample(np.random.default_rng(0), 1, 10)


def test_a_damaged_file_of_episodes_is_named(tmp_path):
    (tmp_path / "round-00000.npz").write_bytes(b"PK torn")
    with pytest.raises(ValueError, match=r"round-00000\.npz is damaged"):
        EpisodeBuffer(tmp_path)


def test_random_rounds_come_before_learning():
    assert [updates_after(i, PAPER) for i in range(7)] == [0, 0, 0, 0, 100, 100, 100]
    assert [updates_after(i, TINY) for i in range(3)] == [2, 2, 2]


class KilledError(Exception):
    """A kill between two rounds."""


@pytest.mark.slow
@pytest.mark.parametrize("explore", [False, True])
def test_a_killed_training_ends_as_one_that_was_not(explore, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "ENV_KWARGS", {**module.ENV_KWARGS, "max_episode_steps": 8})
    config = dataclasses.replace(TINY, explore=explore, random_rounds=1 + explore)

    def kill(done, metrics):
        if done == 2:
            raise KilledError

    train(config, tmp_path / "whole")
    with pytest.raises(KilledError):
        train(config, tmp_path / "killed", on_round=kill)
    torch.manual_seed(99)
    train(config, tmp_path / "killed")
    whole, killed = (load_file(tmp_path / name / "checkpoint.safetensors") for name in ("whole", "killed"))
    assert all(torch.equal(whole[name], killed[name]) for name in whole)
    snapshots = sorted(path.name for path in (tmp_path / "whole" / "snapshots").iterdir())
    assert snapshots == ["00002", "00003"]
    assert load_encoder(tmp_path / "whole" / "snapshots" / "00003" / "encoder").features_dim == 11
    assert len(EpisodeBuffer(tmp_path / "whole" / "episodes")) == 6
    whole, killed = (read_metrics(tmp_path / name) for name in ("whole", "killed"))
    assert [row["step"] for row in killed] == [1, 2, 3]
    for one, other in zip(killed, whole, strict=True):
        assert one.keys() == other.keys()
        for name in one.keys() - {"seconds"}:  # a round without updates has nan but for its return
            np.testing.assert_equal(one[name], other[name])


def test_a_stop_before_a_rounds_checkpoint_loses_no_row(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "ENV_KWARGS", {**module.ENV_KWARGS, "max_episode_steps": 8})
    write = MetricsLog.write

    def stopped(log, step, metrics):
        if step == 2:
            raise KilledError
        write(log, step, metrics)

    with monkeypatch.context() as patch, pytest.raises(KilledError):
        patch.setattr(MetricsLog, "write", stopped)
        train(TINY, tmp_path)
    train(TINY, tmp_path)
    assert [row["step"] for row in read_metrics(tmp_path)] == [1, 2, 3]


def test_what_was_collected_becomes_a_dataset_and_snapshots_act(tmp_path, monkeypatch, capsys):
    few = {**module.ENV_KWARGS, "max_episode_steps": 8}
    for place in (module, dataset):
        monkeypatch.setattr(place, "ENV_KWARGS", few)
    config = dataclasses.replace(TINY, explore=True)
    train(config, tmp_path)
    made = dataset.make_dataset(config, tmp_path, "mine/plan2explore-v0")
    buffer = EpisodeBuffer(tmp_path / "episodes")
    for number, episode in enumerate(made.iterate_episodes()):
        seen, actions, rewards = buffer.episode(number)
        np.testing.assert_array_equal(episode.observations, seen)
        np.testing.assert_array_equal(episode.actions, actions[1:])
        np.testing.assert_array_equal(np.float32(episode.rewards), rewards[1:])
        assert episode.infos["physics_state"].shape[0] == 9
    assert made.total_episodes == len(buffer) == 6
    assert library.played_in("mine/plan2explore-v0") == ("LatentCtx-WalkerWalk-v0", {"task": "walk", **few})
    with pytest.raises(IndexError):
        buffer.episode(6)
    acting, _ = load_agent(tmp_path / "snapshots" / "00003" / "agent")
    assert acting.returns(2).shape == (2,)
    with pytest.raises(SystemExit):
        main(["dreamer", "explore", "--out", str(tmp_path / "run"), "--dataset", "mine/plan2explore-v0"])
    assert "is already in" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_an_episode_that_does_not_repeat_is_not_recorded(tmp_path, monkeypatch):
    for place in (module, dataset):
        monkeypatch.setattr(place, "ENV_KWARGS", {**module.ENV_KWARGS, "max_episode_steps": 8})
    train(TINY, tmp_path)
    file = tmp_path / "episodes" / "round-00001.npz"
    with np.load(file) as arrays:
        right = dict(arrays)
    for name, row in (("previous_actions", 4), ("observations", 8)):  # midway, and where it has ended
        changed = {**right, name: right[name].copy()}
        changed[name][row, 1] *= 0.5
        np.savez(file, **changed)
        with pytest.raises(ValueError, match="episode 3 does not repeat"):
            dataset.make_dataset(TINY, tmp_path, "mine/changed-v0")
    np.savez(file, **right)
    other = dataclasses.replace(TINY, seed=1)
    train(other, tmp_path / "other")
    with pytest.raises(ValueError, match="another run's episodes are being recorded under mine/changed-v0"):
        dataset.make_dataset(other, tmp_path / "other", "mine/changed-v0")
    made = dataset.make_dataset(TINY, tmp_path, "mine/changed-v0")  # goes on
    assert [len(episode) for episode in made.iterate_episodes()] == [8] * 6


def test_a_finished_dreamer_with_its_dataset_is_only_told_again(tmp_path, monkeypatch, capsys):
    for place in (module, dataset):
        monkeypatch.setattr(place, "ENV_KWARGS", {**module.ENV_KWARGS, "max_episode_steps": 8})
    command = ["dreamer", "quick", "--out", str(tmp_path), "--dataset", "mine/own-v0"]
    few = {"rounds": 2, "episodes": 2, "first-updates": 1, "updates": 1, "length": 6, "snapshots": 2}
    options = [word for name, number in few.items() for word in (f"--{name}", str(number))]
    main([*command, *options])
    first, digest = capsys.readouterr().out, identity.verify("mine/own-v0")
    main([*command, *options])
    assert capsys.readouterr().out == first
    assert identity.verify("mine/own-v0") == digest
    file = tmp_path / "episodes" / "round-00001.npz"
    with np.load(file) as arrays:
        changed = {**arrays, "previous_actions": 0.5 * arrays["previous_actions"]}
    np.savez(file, **changed)
    with pytest.raises(library.ExistsError, match="is already in"):  # of other episodes
        dataset.make_dataset(dataclasses.replace(TINY, rounds=2), tmp_path, "mine/own-v0")


@pytest.mark.parametrize(
    "wrong", [{"task": "hopper-hop"}, {"horizon": 1}, {"rounds": 1}, {"ensemble": 1}, {"random_rounds": 0}]
)
def test_what_cannot_be_trained_is_refused(wrong):
    with pytest.raises(ValueError, match=r"task must be|start at 1"):
        dataclasses.replace(TINY, **wrong)
