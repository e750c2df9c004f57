import dataclasses
import json
from dataclasses import asdict
from functools import partial

import gymnasium as gym
import numpy as np
import pytest
import torch
from torch import nn

from latentctx_agents import cells, film, finetune, pretrain
from latentctx_agents.evaluate import success_of
from latentctx_agents.finetune import (
    Demonstrations,
    FinetuneConfig,
    choose_episodes,
    encode_demonstrations,
    finetune_head,
    load_demonstrations,
)
from latentctx_agents.nets import mlp
from latentctx_agents.optim import OptimizerConfig
from latentctx_agents.policies import HeadPolicy
from latentctx_agents.policy_folder import FinetunedPolicy, PolicyCard
from latentctx_agents.representations import OBJECTIVES
from latentctx_datasets import View, collect, identity
from latentctx_datasets.demonstrators import PointMassExpert
from latentctx_envs.encoders import FrozenEncoder, load_encoder
from latentctx_envs.point_mass.context import split_goals

SMALL = "latentctx/point-mass/expert-small-v0"
FINETUNE = "latentctx/point-mass/finetune-v0"


@pytest.mark.parametrize("name", [*OBJECTIVES, "random"])
def test_every_objective_pretrains_and_saves_an_encoder(name, tiny_pretrain, tmp_path):
    config = dataclasses.replace(tiny_pretrain, objective=name, pad=2)
    pretrain.pretrain(config, tmp_path)
    record = load_encoder(tmp_path / "encoder").training_record
    assert record["family"] == "point-mass"
    assert record["objective"] == name
    assert len(record["dataset_hash"]) == 64
    assert not (tmp_path / "checkpoint.safetensors").exists()


def test_the_seed_decides_the_encoder(tiny_pretrain, tmp_path):
    runs = [(0, "a"), (0, "b"), (1, "c")]
    a, b, c = (
        pretrain.pretrain(dataclasses.replace(tiny_pretrain, seed=seed), tmp_path / name).state_dict()
        for seed, name in runs
    )
    assert all(torch.equal(a[k], b[k]) for k in a)
    assert not all(torch.equal(a[k], c[k]) for k in a)


def test_a_killed_pretraining_continues_to_the_same_encoder(tiny_pretrain, tmp_path):
    whole = pretrain.pretrain(tiny_pretrain, tmp_path / "whole").state_dict()

    def kill(step, metrics):
        if step == 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pretrain.pretrain(tiny_pretrain, tmp_path / "killed", on_step=kill)
    assert not (tmp_path / "killed" / "encoder").exists()
    steps = []
    resumed = pretrain.pretrain(
        tiny_pretrain, tmp_path / "killed", on_step=lambda step, _: steps.append(step)
    ).state_dict()
    assert steps == [12]
    assert all(torch.equal(whole[k], resumed[k]) for k in whole)


def test_a_finished_pretraining_is_not_done_again(tiny_pretrain, tmp_path):
    pretrain.pretrain(tiny_pretrain, tmp_path)
    pretrain.pretrain(tiny_pretrain, tmp_path, on_step=lambda *_: pytest.fail("trained again"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"objective": "inverse"}, "objective must be one of"),
        ({"contexts": 0}, "contexts must be"),
        ({"n_step": 0}, "n_step starts at 1"),
        ({"decoder_width": 0.0}, "decoder_width lies above 0"),
        ({"pad": 1000}, "pad in"),
    ],
)
def test_impossible_pretraining_is_refused(tiny_pretrain, change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(tiny_pretrain, **change)


def test_more_contexts_than_the_dataset_has_are_refused(tiny_pretrain, tmp_path, monkeypatch):
    monkeypatch.setattr(pretrain, "open_pixels", lambda *_: pytest.fail("rendered for nothing"))
    with pytest.raises(ValueError, match="has 20 episodes"):
        pretrain.pretrain(dataclasses.replace(tiny_pretrain, contexts=21), tmp_path)


def test_a_device_that_is_not_there_and_steps_beyond_an_episode_are_refused(
    tiny_pretrain, tmp_path, monkeypatch
):
    monkeypatch.setattr(pretrain, "open_pixels", lambda *_: pytest.fail("frames were rendered first"))
    with pytest.raises(ValueError, match="device='warp' cannot be used here"):
        pretrain.pretrain(tiny_pretrain, tmp_path / "device", device="warp")
    with pytest.raises(ValueError, match="an episode of 100 steps; n_step=101"):
        pretrain.pretrain(dataclasses.replace(tiny_pretrain, n_step=101), tmp_path / "steps")


def test_demonstrations_hold_positions_actions_and_the_frames_before_each_action():
    got = load_demonstrations(SMALL, [0, 3], View(image_size=32, render_profile="turbo"))
    assert got.positions.shape == (200, 2)
    assert got.actions.shape == (200, 2)
    assert got.pixels is not None
    assert got.pixels.shape == (200, 32, 32, 3)


def test_demonstrations_are_chosen_by_seed_within_the_goal():
    collect.build(FINETUNE)
    chosen = [choose_episodes(FINETUNE, 3, 5, seed)[0] for seed in range(4)]
    assert all(60 <= index < 80 for episodes in chosen for index in episodes)
    again, others = choose_episodes(FINETUNE, 3, 5, 0, held_out=30)
    assert chosen[0] == again
    assert sorted(again + others) == list(range(60, 80))
    assert len({tuple(episodes) for episodes in chosen}) > 1
    with pytest.raises(ValueError, match="20 demonstrations of goal 3; asked for 21"):
        choose_episodes(FINETUNE, 3, 21, 0)


def test_the_expert_succeeds_on_the_authors_goals_about_as_often_as_measured():
    env = gym.make_vec("LatentCtx-PointMass-v0", num_envs=100)
    rates = [success_of(PointMassExpert(), env, {"goal": goal}).mean() for goal in split_goals("test")[:5]]
    assert np.mean(rates) == pytest.approx(0.88, abs=0.04)


@pytest.mark.slow
def test_cloning_true_positions_reaches_an_unseen_goal_from_five_demonstrations():
    collect.build(FINETUNE)
    goal = 4
    got = load_demonstrations(FINETUNE, choose_episodes(FINETUNE, goal, 5, 0)[0])
    config = FinetuneConfig(optimizer=OptimizerConfig(steps=1000, batch_size=128, learning_rate=1e-3))
    head, _ = finetune_head(got.positions, got.actions, config)
    env = gym.make_vec("LatentCtx-PointMass-v0", num_envs=40, observation="position")
    success = success_of(HeadPolicy(head), env, {"goal": split_goals("test")[goal]})
    untrained, _ = finetune_head(
        got.positions,
        got.actions,
        FinetuneConfig(optimizer=OptimizerConfig(steps=1, batch_size=8, learning_rate=1e-9)),
    )
    assert success.mean() > 0.6
    assert success_of(HeadPolicy(untrained), env, {"goal": split_goals("test")[goal]}).mean() < 0.3


def test_standardised_positions_give_a_head_that_takes_them_as_they_are():
    rng = np.random.default_rng(0)
    positions = (5.0 + 0.01 * rng.normal(size=(200, 3))).astype(np.float32)
    positions[:, 2] = 7.0  # never varies
    actions = np.tanh(100.0 * (positions[:, :2] - 5.0))
    losses = {}
    for standardise in (False, True):
        config = FinetuneConfig(
            standardise=standardise,
            optimizer=OptimizerConfig(steps=300, batch_size=64, learning_rate=1e-3),
        )
        head, _ = finetune.finetune_positions(positions, actions, config)
        with torch.inference_mode():
            predicted = head.eval()(torch.from_numpy(positions)).numpy()
        losses[standardise] = np.square(predicted - actions).mean()
    assert losses[True] < 0.02 < 0.1 < losses[False]


def test_features_are_those_of_the_wrapped_environment(pretrained):
    encoder, _ = pretrained
    view = View(image_size=32, render_profile="turbo")
    features = encode_demonstrations(FrozenEncoder(encoder), load_demonstrations(SMALL, [0], view))
    assert features.shape == (100, 8)
    assert np.isfinite(features).all()


@pytest.mark.parametrize("method", ["inverse_dynamics", cells.SCRATCH, cells.STATES])
def test_a_policy_folder_gives_back_the_same_policy(method, pretrained, tmp_path):
    collect.build(FINETUNE)
    cell = cells.Cell(
        method=method,
        encoder=None if method == cells.STATES else str(pretrained[1]),
        dataset=FINETUNE,
        goal=1,
        view=View(image_size=32, render_profile="turbo"),
        finetune=FinetuneConfig(
            demos=1, dropout=0.1, optimizer=OptimizerConfig(steps=5, batch_size=8, learning_rate=1e-3)
        ),
        episodes=2,
        directory=str(tmp_path),
    )
    policy, _ = cells.finetune_policy(cell)
    policy.save(tmp_path / "policy")
    loaded = FinetunedPolicy.load(tmp_path / "policy")
    assert json.dumps(asdict(loaded.card)) == json.dumps(asdict(policy.card))
    env = loaded.make_vec(2)
    observation, info = env.reset(seed=0)
    np.testing.assert_array_equal(loaded.policy(observation, info), policy.policy(observation, info))
    env.close()
    result = cells.run_cell(cell)
    assert len(result["success"]) == 2
    assert cells.run_cell(cell) == result


def test_a_damaged_policy_folder_is_refused_in_one_line(tmp_path):
    with pytest.raises(ValueError, match=r"config\.json is missing"):
        FinetunedPolicy.load(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ValueError, match="damaged") as error:
        FinetunedPolicy.load(tmp_path)
    assert "\n" not in str(error.value)


def test_a_policy_is_never_saved_over_anything_else(tmp_path, refuses):
    head = mlp(2, 2, hidden=(4,), last=nn.Tanh())
    card = PolicyCard(
        env_id="LatentCtx-PointMass-v0", method="states", context=None, inputs=2, outputs=2, hidden=(4,), view=None,
        training={},
    )  # fmt: skip
    policy = FinetunedPolicy(card, head, None)
    for _ in range(2):
        policy.save(tmp_path / "policy")  # over itself
    (tmp_path / "policy" / "notes.txt").write_text("keep")
    with refuses("holds more than a policy (notes.txt)", "choose a new folder"):
        policy.save(tmp_path / "policy")
    assert (tmp_path / "policy" / "notes.txt").read_text() == "keep"
    assert [path.name for path in tmp_path.iterdir()] == ["policy"]
    (tmp_path / "policy" / "head.safetensors").unlink()
    with refuses("is no policy: head.safetensors is missing"):
        FinetunedPolicy.load(tmp_path / "policy")


def test_a_policy_of_a_foreign_world_imports_nothing(tmp_path, refuses):
    (tmp_path / "evil_module.py").write_text(f"open({str(tmp_path / 'called')!r}, 'w')")
    config = {
        "format_version": 1, "env_id": "evil_module:Foo-v0", "method": "x", "context": None, "inputs": 2, "outputs": 2,
        "hidden": [4], "view": None, "training": {},
    }  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(config))
    with refuses("'evil_module:Foo-v0' is no world of this project"):
        FinetunedPolicy.load(tmp_path)
    assert not (tmp_path / "called").exists()


def test_encoders_that_remember_are_not_cloned_on_frames_out_of_their_order(refuses, tmp_path):
    cell = cells.Cell(
        method="x", encoder="walker-rssm", dataset="latentctx/point-mass/finetune-v0", goal=0, view=View(), episodes=1,
        finetune=FinetuneConfig(), directory=str(tmp_path),
    )  # fmt: skip
    frozen = FrozenEncoder("walker-rssm")
    seen = Demonstrations(
        positions=np.zeros((3, 2), np.float32),
        actions=np.zeros((3, 2), np.float32),
        pixels=np.zeros((3, 15), np.uint8),
    )
    with refuses("follows whole episodes, finetuning takes frames one by one"):
        encode_demonstrations(frozen, seen)
    with refuses("takes a ConvNet's shape; walker-rssm is a LatentEncoder"):
        cells.fresh_encoder(str(cell.encoder), 0)


def test_scratch_shares_shape_and_mean_image_but_not_weights(pretrained):
    encoder, folder = pretrained
    fresh = cells.fresh_encoder(str(folder), 0)
    assert fresh.config == encoder.config
    assert torch.equal(fresh.center, encoder.center)
    assert fresh.center.abs().sum() > 0
    assert not torch.equal(fresh.dense.weight, encoder.dense.weight)


def test_the_seed_decides_the_weights_that_scratch_starts_from(pretrained):
    _, folder = pretrained
    torch.manual_seed(77)  # whatever the process did before
    one = cells.fresh_encoder(str(folder), 3).dense.weight
    torch.manual_seed(78)
    assert torch.equal(one, cells.fresh_encoder(str(folder), 3).dense.weight)
    assert not torch.equal(one, cells.fresh_encoder(str(folder), 4).dense.weight)


@pytest.mark.parametrize(("contrast", "scale"), [(10, 1.5), (3, 4.5), (0, 500.0)])
def test_input_scale_follows_the_contrast_of_the_frames(tiny_pretrain, contrast, scale):
    rng = np.random.default_rng(0)
    frames = (128 + contrast * rng.choice([-1, 1], (500, 32, 32, 3))).astype(np.uint8)
    if contrast == 0:
        frames[0, 0, 0, 0] = 129  # nothing to see: the scale is large, but finite
    config = dataclasses.replace(tiny_pretrain, input_rms=0.0545)
    found = pretrain._scaled(config, frames).input_scale
    assert found == scale if contrast else np.isfinite(found)
    assert pretrain._scaled(dataclasses.replace(config, input_rms=None), frames) == config.encoder


def test_impossible_input_rms_is_refused(tiny_pretrain, refuses):
    with refuses("input_rms", "None"):
        dataclasses.replace(tiny_pretrain, input_rms=0.0)


def test_a_run_knows_its_dataset_and_refuses_another_of_the_same_name(
    tiny_pretrain, tmp_path, monkeypatch, refuses
):
    pretrain.pretrain(tiny_pretrain, tmp_path / "run")
    pretrain.pretrain(tiny_pretrain, tmp_path / "run")
    monkeypatch.setattr(identity, "recorded_hash", lambda dataset: "0" * 64)
    with refuses("begun from another dataset", "another folder"):
        pretrain.pretrain(tiny_pretrain, tmp_path / "run")


@pytest.mark.parametrize(
    "world", ["LatentCtx-PointMass-v0", "LatentCtx-PickPlace-v0", "LatentCtx-WalkerRun-v0"]
)
def test_films_show_the_context_where_it_has_a_place(world):
    with film.viewed(partial(gym.make, world)) as shown, gym.make(world, render_mode="rgb_array") as plain:
        pictures = []
        for env in (shown, plain):
            env.reset(seed=0)
            pictures.append(env.render())
        assert np.array_equal(*pictures) == (world == "LatentCtx-WalkerRun-v0")
