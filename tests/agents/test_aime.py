"""AIME: the policy cancels, actions are inferred, trainings resume, acting filters as training did."""

import dataclasses
import json
import re
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch.distributions import Normal as TorchNormal
from torch.distributions import kl_divergence

from latentctx_agents.aime import imitate as imitation
from latentctx_agents.aime.acting import LatentPolicy
from latentctx_agents.aime.agent import load_agent, save_agent
from latentctx_agents.aime.imitate import ImitationConfig, imitate
from latentctx_agents.aime.inference import OBJECTIVES, idm_loss, imitation_loss, infer_actions
from latentctx_agents.aime.policy import TanhPolicy
from latentctx_agents.checkpoints import CHECKPOINT_FILE
from latentctx_agents.cli import main
from latentctx_agents.model_folder import weights_hash
from latentctx_agents.optim import OptimizerConfig
from latentctx_agents.world_models import train
from latentctx_agents.world_models.evidence import evidence_of
from latentctx_agents.world_models.folder import load_world_model, save_world_model
from latentctx_agents.world_models.model import Observations, WorldModel
from latentctx_agents.world_models.train import WorldModelTraining, train_world_model
from latentctx_agents.world_models.windows import windows_of
from latentctx_datasets import DatasetError
from latentctx_envs.encoders import load_encoder
from latentctx_envs.encoders.latent.config import QUICK
from latentctx_envs.encoders.latent.rssm import filter_states
from latentctx_envs.encoders.latent.sensors import Sensors

SMALL = "latentctx/point-mass/expert-small-v0"
NET = dataclasses.replace(QUICK, deter=16, stoch=4, hidden=(12, 12))
FEW = OptimizerConfig(
    steps=6, batch_size=4, learning_rate=1e-3, weight_decay=0.0, schedule="constant", clip=100.0, log_every=2
)
TINY_MODEL = WorldModelTraining(dataset=SMALL, model=NET, length=10, optimizer=FEW)
TINY = ImitationConfig(dataset=SMALL, demos=3, hidden=(8, 8), length=10, optimizer=FEW)


@pytest.fixture(scope="module")
def world_model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world_model")
    train_world_model(TINY_MODEL, folder)
    return folder / "model"


def model_and_batch(time=6, batch=4):
    torch.manual_seed(0)
    model = WorldModel(NET, Sensors.of("walker", "state"), 6)
    policy = TanhPolicy(NET.features, 6, (8, 8))
    return model, policy, Observations(torch.randn(time, batch, 24))


def infer(model, policy, observations, **kwargs):
    embeddings = model.embed(observations)
    shape = observations.states.shape[:2]
    torch.manual_seed(1)
    inferred = infer_actions(model, policy, embeddings, model.noise(*shape), torch.randn(*shape, 6), **kwargs)
    return inferred, embeddings


def test_the_policy_cancels_in_the_divergence_of_states_and_actions():
    """Eq. 5 to 8: KL(pi q || pi p) of (s_t, a_t-1), estimated by draws of the action, is KL(q || p) at these actions."""
    model, policy, observations = model_and_batch()
    inferred, _ = infer(model, policy, observations)
    states, posterior = inferred.filtered
    prior = model.rssm.prior(states.deter)
    before = torch.atanh(inferred.actions)
    chosen = TorchNormal(*inferred.policies).log_prob(before).sum(dim=-1)
    q = TorchNormal(*posterior).log_prob(states.stoch).sum(dim=-1)
    p = TorchNormal(*prior).log_prob(states.stoch).sum(dim=-1)
    joint = (chosen + q) - (chosen + p)  # log of the ratio of eq. 6 and eq. 7 at the draw
    torch.testing.assert_close(joint, q - p)
    expected = kl_divergence(TorchNormal(*posterior), TorchNormal(*prior)).sum(dim=-1)
    plain = WorldModel(dataclasses.replace(NET, reweight="none"), model.sensors, 6)
    plain.load_state_dict(model.state_dict())
    torch.testing.assert_close(evidence_of(plain, inferred.filtered, observations).divergence, expected)


def test_filtering_with_the_policys_own_actions_is_phase_ones_bound_at_these_actions():
    model, policy, observations = model_and_batch()
    inferred, embeddings = infer(model, policy, observations)
    torch.manual_seed(1)
    again = filter_states(model.rssm, embeddings, inferred.actions, model.noise(6, 4))
    torch.testing.assert_close(inferred.filtered.states.features, again.states.features)
    _, found = imitation_loss(model, inferred, observations, embeddings, "full")
    expected = evidence_of(model, again, observations)
    torch.testing.assert_close(found.loss(), expected.loss())


def test_gradients_reach_the_policy_through_time_and_never_the_model():
    model, policy, observations = model_and_batch()
    model.requires_grad_(False)
    inferred, embeddings = infer(model, policy, observations)
    loss, _ = imitation_loss(model, inferred, observations, embeddings, "full")
    loss.backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in policy.parameters())
    assert all(p.grad is None for p in model.parameters())


def test_the_terms_of_the_bound_add_up_to_it():
    model, policy, observations = model_and_batch()
    inferred, embeddings = infer(model, policy, observations)
    losses = {
        name: imitation_loss(model, inferred, observations, embeddings, name)[0]
        for name in ("full", "divergence", "reconstruction")
    }
    torch.testing.assert_close(losses["divergence"] + losses["reconstruction"], losses["full"])


def test_the_divergence_from_the_inverse_dynamics_has_its_closed_form_and_shapes_only_the_policy():
    model, policy, observations = model_and_batch()
    inferred, embeddings = infer(model, policy, observations, by_idm=True)
    loss = idm_loss(model, inferred, embeddings)
    states = inferred.filtered.states.features
    before = torch.cat([torch.zeros_like(states[:1]), states[:-1]])
    target = TorchNormal(*model.idm(torch.cat([before, embeddings], dim=-1)))
    expected = kl_divergence(target, TorchNormal(*inferred.policies)).sum(dim=(0, 2)).mean()
    torch.testing.assert_close(loss, expected)
    assert not inferred.actions.requires_grad
    loss.backward()
    assert all(p.grad is not None for p in policy.parameters())
    assert all(p.grad is None for p in model.idm.parameters())


def test_a_burn_in_leaves_the_first_steps_out():
    model, policy, observations = model_and_batch()
    inferred, embeddings = infer(model, policy, observations)
    whole = evidence_of(model, inferred.filtered, observations)
    _, found = imitation_loss(model, inferred, observations, embeddings, "full", burn_in=2)
    torch.testing.assert_close(found.reconstruction, whole.reconstruction[2:])


def test_a_world_model_comes_back_from_disk_as_it_was(tmp_path):
    model, _, observations = model_and_batch()
    save_world_model(model, tmp_path / "model", {"seed": 0})
    loaded, record = load_world_model(tmp_path / "model")
    assert record == {"seed": 0} and loaded.sensors == model.sensors and loaded.config == model.config
    torch.testing.assert_close(loaded.embed(observations), model.embed(observations))


def test_a_damaged_or_missing_world_model_is_refused(tmp_path, refuses):
    with refuses("is no world model"):
        load_world_model(tmp_path)
    model, _, _ = model_and_batch()
    save_world_model(model, tmp_path / "model", {})
    (tmp_path / "model" / "model.safetensors").write_bytes(b"nothing")
    with refuses("is damaged", "train the world model again"):
        load_world_model(tmp_path / "model")


def test_a_trained_models_filter_is_saved_as_an_encoder(world_model):
    model, _ = load_world_model(world_model)
    encoder = load_encoder(world_model.parent / "encoder")
    observations, actions = torch.randn(5, 3, 4), torch.rand(5, 3, 2) * 2 - 1
    filtered = filter_states(
        model.rssm, model.embed(Observations(observations)), actions, torch.zeros(5, 3, NET.stoch)
    )
    state = encoder.rssm.initial(3)
    for seen, action in zip(observations, actions, strict=True):
        state = encoder.follow(state, seen, action)
    torch.testing.assert_close(state.features, filtered.states.features[-1])
    assert encoder.training_record["dataset"] == SMALL


class KilledError(Exception):
    """A kill in the middle of a training."""


def kill(step, metrics):
    if step >= 4:
        raise KilledError


@pytest.mark.parametrize("what", ["world model", "imitation"])
def test_an_interrupted_training_ends_as_an_uninterrupted_one(what, world_model, tmp_path):
    def run(folder, **kwargs):
        if what == "world model":
            train_world_model(TINY_MODEL, folder, **kwargs)
            return load_file(folder / "model" / "model.safetensors")
        imitate(TINY, world_model, folder, **kwargs)
        return load_file(folder / "agent" / "model.safetensors")

    whole = run(tmp_path / "whole")
    with pytest.raises(KilledError):
        run(tmp_path / "killed", on_step=kill)
    torch.manual_seed(99)
    resumed = run(tmp_path / "killed")
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_a_world_model_of_another_body_or_action_size_is_refused(world_model, tmp_path, refuses):
    model, _, _ = model_and_batch()
    save_world_model(model, tmp_path / "walker", {})
    with refuses("is of the walker", "shows the point-mass"):
        imitate(TINY, tmp_path / "walker", tmp_path / "run")
    other = WorldModel(NET, Sensors.of("point-mass", "state"), 6)
    save_world_model(other, tmp_path / "six", {})
    with refuses("actions of 6 numbers", "have 2"):
        imitate(TINY, tmp_path / "six", tmp_path / "run")
    with refuses("has 20 episodes; demos=30"):
        imitate(dataclasses.replace(TINY, demos=30), world_model, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_policy_is_not_taken_for_one_of_another_world_model(world_model, tmp_path, refuses):
    imitate(TINY, world_model, tmp_path / "run")
    model, _ = load_world_model(world_model)
    with torch.no_grad():
        next(model.parameters()).add_(1.0)
    save_world_model(model, tmp_path / "other", {})
    with refuses("begun from another world model"):
        imitate(TINY, tmp_path / "other", tmp_path / "run")
    imitate(TINY, world_model, tmp_path / "run")


def test_numbers_that_are_none_are_refused_before_training(tmp_path, monkeypatch):
    from latentctx_agents.world_models import windows

    store = windows.open_states(SMALL)
    monkeypatch.setattr(store, "observations", np.full_like(store.observations, np.nan))
    monkeypatch.setattr(windows, "open_states", lambda dataset_id: store)
    with pytest.raises(DatasetError, match="observations hold nan or infinity"):
        train_world_model(TINY_MODEL, tmp_path / "run")


def test_acting_filters_what_training_filtered():
    model, policy, observations = model_and_batch()
    acting = LatentPolicy(model, policy, sample_state=False)
    actions = [torch.zeros(4, 6)]
    for seen in observations.states:
        actions.append(torch.from_numpy(acting(seen.numpy(), {})))
    filtered = filter_states(
        model.rssm, model.embed(observations), torch.stack(actions[:-1]), torch.zeros(6, 4, 4)
    )
    torch.testing.assert_close(policy.mode(filtered.states.features[-1]), actions[-1])
    acting.reset()
    first = torch.from_numpy(acting(observations.states[0].numpy(), {}))
    torch.testing.assert_close(first, actions[1])
    acting.reset()
    one = acting(observations.states[0, 2].numpy(), {})
    np.testing.assert_allclose(one, actions[1][2], atol=1e-6)


def test_the_bound_of_true_actions_is_that_of_filtering_with_them(world_model):
    model, _ = load_world_model(world_model)
    found = imitation.true_evidence(dataclasses.replace(TINY, burn_in=2), model, batches=200)
    assert found["true_elbo"] != found["true_evidence"]  # the model weights its dimensions
    store = train.open_episodes(SMALL, "state", 64)
    draw = windows_of(
        store, np.random.default_rng(5), batch_size=800, length=10, observed="state", episodes=np.arange(3)
    )
    batch = draw()
    with torch.no_grad():
        noise = model.noise(10, 800)
        filtered = filter_states(model.rssm, model.embed(batch.observations), batch.previous_actions, noise)
        terms = evidence_of(model, filtered, batch.observations)
    expected = (terms.reconstruction - terms.divergence)[2:].sum(dim=0)
    assert found["true_evidence"] == pytest.approx(
        expected.mean().item(), abs=4 * float(expected.std()) / 800**0.5
    )
    nats = terms.nats[2:].sum(dim=0)
    assert found["true_elbo"] == pytest.approx(nats.mean().item(), abs=4 * float(nats.std()) / 800**0.5)


def test_an_agent_acts_as_what_was_trained_and_is_measured_and_filmed_by_a_command(
    world_model, tmp_path, capsys
):
    trained = imitate(TINY, world_model, tmp_path / "run")
    folder = tmp_path / "run" / "agent"
    loaded, record = load_agent(folder)
    assert record["dataset"] == SMALL and record["world_model"]["dataset"] == SMALL
    assert record["world_model_hash"] == weights_hash(world_model)
    env = loaded.make_env()
    seen, info = env.reset(seed=3)
    np.testing.assert_array_equal(trained.acting(5)(seen, info), loaded.acting(5)(seen, info))
    env.close()
    returns = loaded.returns(4, seed=7)
    np.testing.assert_array_equal(returns, trained.returns(4, seed=7))
    assert (returns > 0).any()
    main(
        [
            "evaluate",
            str(folder),
            "--episodes",
            "4",
            "--seed",
            "7",
            "--gif",
            str(tmp_path / "films" / "one.gif"),
        ]
    )
    said = json.loads(capsys.readouterr().out.splitlines()[0])
    assert said == {
        "world": "LatentCtx-PointMass-v0",
        "return": pytest.approx(returns.mean(), abs=0.05),
        "std": pytest.approx(returns.std(), abs=0.05),
        "episodes": 4,
    }
    with Image.open(tmp_path / "films" / "one.gif") as film:
        assert film.n_frames > 10 and film.size == (160, 178)


@pytest.mark.parametrize("what", ["world model", "imitation"])
def test_a_training_killed_just_after_its_result_leaves_no_checkpoint(
    what, world_model, tmp_path, monkeypatch
):
    module, save = (train, "save_world_model") if what == "world model" else (imitation, "save_agent")
    write = getattr(module, save)

    def killed_behind(*arguments, **options):
        write(*arguments, **options)
        raise KilledError

    def run():
        if what == "world model":
            train_world_model(TINY_MODEL, tmp_path)
        else:
            imitate(TINY, world_model, tmp_path)

    monkeypatch.setattr(module, save, killed_behind)
    with pytest.raises(KilledError):
        run()
    assert (tmp_path / CHECKPOINT_FILE).exists()
    monkeypatch.undo()
    run()
    assert not (tmp_path / CHECKPOINT_FILE).exists()


def test_an_agent_shares_the_weights_of_its_world_model_and_stands_alone(world_model, tmp_path):
    trained = imitate(TINY, world_model, tmp_path / "run")
    folder, own = tmp_path / "run" / "agent", "world_model.safetensors"
    assert (folder / own).samefile(world_model / "model.safetensors")
    assert not any(name.startswith("model.") for name in load_file(folder / "model.safetensors"))
    shutil.copytree(folder, tmp_path / "copy")
    assert not (tmp_path / "copy" / own).samefile(folder / own)
    again, _ = load_agent(tmp_path / "copy")
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in trained.state_dict().items())
    assert weights_hash(tmp_path / "copy") == weights_hash(folder)
    save_agent(trained, tmp_path / "elsewhere", {}, world_model=tmp_path / "gone")  # its own file
    assert weights_hash(tmp_path / "elsewhere") == weights_hash(folder)
    with torch.no_grad():
        next(trained.model.parameters()).add_(1.0)  # it has learned on
    save_agent(trained, tmp_path / "elsewhere", {}, world_model=world_model)
    assert not (tmp_path / "elsewhere" / own).samefile(world_model / "model.safetensors")
    assert weights_hash(tmp_path / "elsewhere") != weights_hash(folder)
    save_file(dict(trained.state_dict()), tmp_path / "copy" / "model.safetensors")
    (tmp_path / "copy" / own).unlink()  # as agents were written before
    whole, _ = load_agent(tmp_path / "copy")
    assert all(torch.equal(value, whole.state_dict()[name]) for name, value in trained.state_dict().items())


def test_what_evaluate_cannot_measure_is_told(world_model, tmp_path, capsys):
    def refused(*words):
        with pytest.raises(SystemExit):
            main(["evaluate", *map(str, words)])
        return capsys.readouterr().err

    with pytest.raises(SystemExit):
        main(["evaluate", "--help"])
    assert "agent of `latentctx imitate`" in re.sub(r"[\s│]+", " ", capsys.readouterr().out)
    imitate(TINY, world_model, tmp_path / "run")
    assert f"name {tmp_path / 'run' / 'agent'}" in refused(tmp_path / "run")
    assert "written as a .gif" in refused(tmp_path / "run" / "agent", "--gif", tmp_path / "film.mp4")
    assert "at least 1" in refused(tmp_path / "run" / "agent", "--episodes", 0)
    (tmp_path / "pvdr").mkdir()
    (tmp_path / "pvdr" / "config.json").write_text('{"format_version": 1, "agent": {}}')
    assert "latentctx pvdr act" in refused(tmp_path / "pvdr")
    file = tmp_path / "run" / "agent" / "config.json"
    file.write_text(file.read_text().replace("LatentCtx-PointMass-v0", "os:Env-v0"))
    assert "no world of this project" in refused(tmp_path / "run" / "agent")


def test_all_objectives_train(world_model, tmp_path):
    for name in OBJECTIVES:
        imitate(dataclasses.replace(TINY, objective=name), world_model, tmp_path / name)
        agent, record = load_agent(tmp_path / name / "agent")
        assert record["objective"] == f"aime {name}" and agent.card.env_id == "LatentCtx-PointMass-v0"


@pytest.mark.slow
def test_actions_are_inferred_better_than_by_nothing(tmp_path):
    optimizer = dataclasses.replace(FEW, steps=200, batch_size=16, learning_rate=1e-2, log_every=100)
    net = dataclasses.replace(QUICK, deter=32, stoch=8, hidden=(32, 32))
    config = WorldModelTraining(dataset=SMALL, model=net, length=10, optimizer=optimizer)
    train_world_model(config, tmp_path / "world")
    errors = {}
    imitate(
        dataclasses.replace(TINY, demos=1, length=10, hidden=(32, 32), optimizer=optimizer),
        tmp_path / "world" / "model",
        tmp_path / "policy",
        on_step=lambda step, metrics: errors.update({step: metrics["action_error"]}),
    )
    store = train.open_episodes(SMALL, "state", 64)
    nothing = float(np.square(store.actions[: store.lengths[0]]).mean())
    assert errors[200] < 0.5 * nothing, (errors, nothing)
