"""AIME online as a run: what it draws, what is never read, resuming, the command, refusals."""

import dataclasses
import math

import gymnasium as gym
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tiny_online import NET, OLD, SHOWN, TINY, Stored, a_model

from latentctx_agents.aime import imitate as imitation
from latentctx_agents.aime.acting import LatentPolicy
from latentctx_agents.aime.agent import AgentCard, AimeAgent, load_agent, save_agent
from latentctx_agents.aime.policy import TanhPolicy
from latentctx_agents.aime_online import train as module
from latentctx_agents.aime_online.agent import Own, own_batch
from latentctx_agents.aime_online.config import PAPER, QUICK
from latentctx_agents.aime_online.train import fine_tune, open_all
from latentctx_agents.cli.main import main
from latentctx_agents.dreamer.buffer import EpisodeBuffer, Episodes
from latentctx_agents.results import read_results
from latentctx_agents.runs import read_metrics
from latentctx_agents.world_models.folder import load_world_model, save_world_model
from latentctx_datasets import collect, library
from latentctx_envs.encoders import load_encoder


@pytest.fixture
def stores(monkeypatch):
    """Demonstrations and old data without files, and episodes of 8 decisions."""
    found = {SHOWN: Stored(SHOWN), OLD: Stored(OLD, at=50.0)}
    monkeypatch.setattr(imitation, "open_episodes", lambda name, observed, size: found[name])
    played_in = library.played_in

    def briefly(name):
        world = played_in(name)
        return library.PlayedIn(world.env_id, {**world.env_kwargs, "max_episode_steps": 8})

    monkeypatch.setattr(library, "played_in", briefly)
    return found


@pytest.fixture
def world_model(tmp_path):
    save_world_model(a_model(), tmp_path / "world" / "model", {"dataset": OLD})
    return tmp_path / "world" / "model"


def test_half_of_the_worlds_batch_is_old_data_and_the_rest_new(stores, world_model, tmp_path):
    config = dataclasses.replace(TINY, old_share=0.5)
    given = open_all(config, world_model, None)
    buffer = EpisodeBuffer(tmp_path / "episodes")
    buffer.add(Episodes(np.full((9, 2, 24), 900.0, np.float32), *np.zeros((2, 9, 2, 6), np.float32)[:1], np.zeros((9, 2), np.float32)))  # fmt: skip
    own, shown = module._batches(given, buffer, config, np.random.default_rng(0), "cpu")()
    means = own.observations.states.mean(dim=(0, 2))
    assert (means == 900.0).sum() == 2 and ((means - 50.0).abs() < 1.0).sum() == 2
    assert shown.observations.states.mean().abs() < 1.0
    assert (config.old_windows, PAPER.old_windows, QUICK.old_windows) == (2, 25, 8)
    alone = own_batch(Own(own.observations, own.previous_actions), None)
    assert alone.previous_actions.shape == (5, 4, 6)


# -- the loop


def weights_of(folder):
    return {
        **load_file(folder / "model" / "model.safetensors"),
        **load_file(folder / "agent" / "model.safetensors"),
        **load_file(folder / "checkpoint.safetensors"),
    }


class NoReward(gym.vector.VectorWrapper):
    """A world whose reward is no number."""

    def step(self, actions):
        seen, reward, *rest = self.env.step(actions)
        return (seen, np.full_like(reward, np.nan), *rest)


@pytest.mark.slow
def test_the_worlds_reward_is_never_learned_from(stores, world_model, tmp_path, monkeypatch):
    fine_tune(TINY, tmp_path / "as it is", world_model=world_model)
    make = gym.make_vec
    monkeypatch.setattr(gym, "make_vec", lambda *args, **kwargs: NoReward(make(*args, **kwargs)))
    fine_tune(TINY, tmp_path / "without", world_model=world_model)
    one, other = weights_of(tmp_path / "as it is"), weights_of(tmp_path / "without")
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert all(math.isnan(row["return"]) for row in read_metrics(tmp_path / "without"))


def an_agent(folder, model=None, record=None):
    """One that imitated, written into a folder."""
    model = a_model() if model is None else model
    card = AgentCard.of(SHOWN, model)
    agent = AimeAgent(model, TanhPolicy(NET.features, model.action_dim, (8, 8)), card)
    save_agent(agent, folder, {"world_model": {"dataset": OLD} if record is None else record})
    return folder


class KilledError(Exception):
    """A kill between two rounds."""


@pytest.mark.slow
def test_a_killed_run_ends_as_one_that_was_not(stores, world_model, tmp_path, monkeypatch):
    def kill(done, metrics):
        if done == 2:
            raise KilledError

    fine_tune(TINY, tmp_path / "whole", world_model=world_model)
    with pytest.raises(KilledError):
        fine_tune(TINY, tmp_path / "killed", world_model=world_model, on_round=kill)
    EpisodeBuffer(tmp_path / "killed" / "episodes").add(Episodes(*np.zeros((3, 9, 2, 1), np.float32)))
    torch.manual_seed(99)
    fine_tune(TINY, tmp_path / "killed", world_model=world_model)
    whole, killed = weights_of(tmp_path / "whole"), weights_of(tmp_path / "killed")
    assert whole.keys() == killed.keys()
    assert all(torch.equal(whole[name], killed[name]) for name in whole)
    rows = [read_metrics(tmp_path / name) for name in ("whole", "killed")]
    for one, other in zip(*rows, strict=True):
        assert one.keys() == other.keys()
        np.testing.assert_array_equal(
            [v for k, v in one.items() if k != "seconds"], [v for k, v in other.items() if k != "seconds"]
        )
    assert [math.isnan(row["evaluation"]) for row in rows[0]] == [True, False, False]
    kept = EpisodeBuffer(tmp_path / "whole" / "episodes")
    assert len(kept) == 6  # evaluations are not among them
    np.testing.assert_allclose(rows[0][-1]["return"], kept._rounds[-1].rewards.sum(axis=0).mean(), rtol=1e-5)
    assert load_encoder(tmp_path / "whole" / "encoder").features_dim == NET.features
    model, record = load_world_model(tmp_path / "whole" / "model")
    assert record["dataset"] == OLD and record["demonstrations"] == SHOWN
    fine_tune(TINY, tmp_path / "whole", world_model=world_model)  # finished: nothing is done again
    agent, record = load_agent(tmp_path / "whole" / "agent")
    assert record["world_model"]["dataset"] == OLD and agent.card.env_id == "LatentCtx-WalkerWalk-v0"
    assert all(
        torch.equal(agent.model.state_dict()[name], value) for name, value in model.state_dict().items()
    )


@pytest.mark.slow
def test_the_command_writes_metrics_and_results_before_and_after(
    stores, world_model, tmp_path, monkeypatch, capsys
):
    for store in stores.values():
        store.rewards[:] = 0.5
    monkeypatch.setattr(collect, "ensure", lambda dataset: None)
    start = an_agent(tmp_path / "start")
    words = f"""aime-online quick --agent {start} --out {tmp_path / "out"}
        --imitation.dataset {SHOWN} --imitation.demos 3 --imitation.length 5 --imitation.optimizer.batch-size 4
        --rounds 1 --updates 1 --starts 4 --horizon 3 --evaluation-episodes 2 --measured 3"""
    main(words.split())
    assert '"aime_online"' in capsys.readouterr().out
    rows = read_results([tmp_path / "out" / "results.csv"])
    assert {(row["method"], row["metric"]) for row in rows} == {
        (method, metric)
        for method in ("aime", "aime_online")
        for metric in ("return", "return_std", "shown_share")
    }
    share = {row["metric"]: row["value"] for row in rows if row["method"] == "aime"}
    assert share["shown_share"] == pytest.approx(share["return"] / 4.5, rel=1e-4)
    assert {row["setting"]["rounds"] for row in rows} == {0, 1}
    assert all(
        row["setting"]["horizon"] == 3 and row["setting"].keys() >= {"agent_hash", "gamma"} for row in rows
    )
    assert not any("imitation_steps" in row["setting"] for row in rows)  # they were the agent's
    assert not (tmp_path / "out" / "offline").exists()


# -- what it stands on


def test_early_windows_show_the_beginning_of_an_episode_as_often_as_the_rest(tmp_path):
    buffer = EpisodeBuffer(tmp_path)
    numbers = np.repeat(np.arange(9, dtype=np.float32)[:, None], 2, axis=1)
    buffer.add(Episodes(numbers[..., None], numbers[..., None], numbers))
    rng = np.random.default_rng(0)
    firsts = {early: buffer.sample(rng, 4000, 4, early=early).rewards[0] for early in (False, True)}
    assert (firsts[False] == 0).float().mean().item() == pytest.approx(1 / 6, abs=0.03)
    assert (firsts[True] == 0).float().mean().item() == pytest.approx(4 / 9, abs=0.03)
    assert firsts[True].max() == 5


def test_drawn_actions_have_the_policys_spread_and_repeat_with_the_seed():
    model, policy = a_model(), TanhPolicy(NET.features, 6, (8, 8))
    seen = np.zeros((5000, 15), np.float32)

    def act(**kwargs):
        return LatentPolicy(model, policy, sample_state=False, **kwargs)(seen, {})

    drawn, mode = act(sample_action=True, seed=1), act()
    state = model.rssm.observe(
        model.rssm.initial(1),
        model.rssm.action_part(torch.zeros(1, 6)),
        model.rssm.embedding_part(torch.zeros(1, 15)),
        torch.zeros(1, 3),
    )
    mean, std = policy(state.features)
    before = np.arctanh(drawn.astype(np.float64))
    np.testing.assert_allclose(before.mean(axis=0), mean[0].detach().numpy(), atol=0.05)
    np.testing.assert_allclose(before.std(axis=0), std[0].detach().numpy(), rtol=0.05)
    np.testing.assert_allclose(mode, mean.tanh().detach().expand(mode.shape).numpy(), atol=1e-6)
    np.testing.assert_array_equal(drawn, act(sample_action=True, seed=1))
    assert not np.array_equal(drawn, act(sample_action=True, seed=2))


def test_an_agent_comes_back_from_disk_whatever_the_widths_of_its_policy(tmp_path):
    policy = TanhPolicy(NET.features, 6, (7, 9, 8))
    save_agent(
        AimeAgent(a_model(), policy, AgentCard(env_id="LatentCtx-WalkerRun-v0")), tmp_path / "agent", {}
    )
    loaded, _ = load_agent(tmp_path / "agent")
    states = torch.randn(4, NET.features)
    torch.testing.assert_close(loaded.policy(states), policy(states))


# -- refusals


def test_what_does_not_belong_together_is_refused_before_anything_is_written(
    stores, world_model, tmp_path, refuses
):
    run = tmp_path / "run"

    def start(config=TINY, model=world_model, agent=None):
        fine_tune(config, run, world_model=model, agent=agent)

    def saved(name, model, record=None):
        save_world_model(model, tmp_path / name / "model", {"dataset": OLD} if record is None else record)
        return tmp_path / name / "model"

    def shown(**kwargs):
        return dataclasses.replace(TINY, imitation=dataclasses.replace(TINY.imitation, **kwargs))

    with refuses("is no world model"):
        start(model=tmp_path / "nowhere")
    with refuses("is of the cheetah", "shows the walker"):
        start(model=saved("cheetah", a_model(family="cheetah")))
    with refuses("actions of 4 numbers", "have 6"):
        start(model=saved("four", a_model(actions=4)))
    with refuses("sees pixels", "train one on state or position"):
        start(model=saved("pixels", a_model("pixels")))
    with refuses("has 4 episodes; demos=5"):
        start(shown(demos=5))
    with refuses("does not say what its world model learned from"):
        start(model=saved("unsaid", a_model(), {}))
    with refuses("is of the walker", "shows the cheetah"):
        start(dataclasses.replace(TINY, experience="latentctx/cheetah/random-v0"))
    stores["latentctx/walker/random-v0"] = Stored("latentctx/walker/random-v0", actions=5)
    with refuses("actions of 6 numbers", "random-v0 have 5"):
        start(dataclasses.replace(TINY, experience="latentctx/walker/random-v0"))
    with refuses("is no AIME agent"):
        start(model=None, agent=tmp_path / "nowhere")
    with refuses("its own world model", "one of the two"):
        start(agent=an_agent(tmp_path / "agent"))
    with refuses("name a world model"):
        start(model=None)
    with refuses("actions of 4 numbers", "have 6"):
        start(model=None, agent=an_agent(tmp_path / "of four", a_model(actions=4)))
    with refuses("does not say what its world model learned from"):
        start(model=None, agent=an_agent(tmp_path / "unsaid start", record={}))
    (tmp_path / "agent" / "model.safetensors").write_bytes(b"nothing")
    with refuses("is damaged", "train the AIME agent again"):
        start(model=None, agent=tmp_path / "agent")
    assert not run.exists()


def test_without_old_data_nobody_asks_where_it_is(stores, tmp_path):
    save_world_model(a_model(), tmp_path / "model", {})
    assert open_all(dataclasses.replace(TINY, old_share=0.0), tmp_path / "model", None).old is None


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"rounds": 0}, "rounds starts at 1; got 0"),
        ({"horizon": 1}, "horizon starts at 2; got 1"),
        ({"old_share": 1.0}, "old_share lies in"),
        ({"surrogate_weight": -0.1}, "start at 0"),
        ({"wide_std": 0.0}, "start at 0"),
        ({"target_rate": 0.0}, "target_rate lies in"),
        ({"discriminator_hidden": ()}, "at least one width"),
    ],
)
def test_what_cannot_be_trained_is_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(TINY, **wrong)
