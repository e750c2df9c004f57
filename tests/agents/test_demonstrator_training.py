"""Training of locomotion demonstrators: snapshots, resume, publication, the numpy twin of the trained policy."""

import dataclasses
import json

import gymnasium as gym
import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from latentctx_agents import demonstrator_envs, demonstrator_publishing, demonstrators
from latentctx_agents.cli import main
from latentctx_agents.demonstrators import DemonstratorConfig
from latentctx_agents.results import read_results
from latentctx_datasets.demonstrators.locomotion import (
    ENV_IDS,
    TrainedPolicy,
    snapshot_count,
    with_phase,
)
from latentctx_envs.registration import ids

TINY = DemonstratorConfig(
    task="cheetah-run",
    decisions=256,
    num_envs=4,
    horizon=16,
    batch_size=32,
    epochs=1,
    hidden=(8, 8),
    snapshots=2,
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demonstrator")
    return demonstrators.train(TINY, folder), folder


def test_every_world_of_one_locomotion_task_has_a_name():
    families = {"LatentCtx-Cheetah-v0", "LatentCtx-Walker-v0"}
    locomotion = {name for name in ids() if name.startswith(("LatentCtx-Cheetah", "LatentCtx-Walker"))}
    assert set(ENV_IDS.values()) == locomotion - families


def test_snapshots_are_evenly_spaced_and_small(trained):
    file, folder = trained
    assert snapshot_count(file) == 2
    tensors = load_file(file)
    assert tensors["hidden0.weight"].dtype == np.float16
    assert tensors["hidden0.weight"].shape == (2, 8, 17)
    assert not np.array_equal(tensors["action.weight"][0], tensors["action.weight"][1])
    assert (folder / "metrics.csv").read_text().count("\n") == 1 + 256 // (4 * 16)


def test_numpy_policy_acts_as_the_trained_network(trained, tmp_path):
    venv = demonstrators.make_training_env(TINY)
    model = demonstrators.make_model(TINY, venv)
    demonstrators.load_checkpoint(model, trained[1] / "checkpoint.safetensors")
    state = np.random.default_rng(0).normal(size=(5, 17)).astype(np.float32)
    normalizer = model.get_vec_normalize_env()
    assert normalizer is not None
    theirs, _ = model.predict(normalizer.normalize_obs(state), deterministic=True)
    policy = TrainedPolicy(trained[0])
    np.testing.assert_allclose(policy(state, {}), theirs, atol=3e-3)  # weights were rounded to float16
    assert np.array_equal(policy(state, {})[2], policy(state[2], {}))
    venv.close()


def test_killed_training_goes_on_from_its_checkpoint(trained, tmp_path):
    class KilledError(Exception):
        pass

    seen = []

    def kill(done, metrics):
        seen.append(done)
        if done >= 192:
            raise KilledError

    with pytest.raises(KilledError):
        demonstrators.train(TINY, tmp_path / "run", on_rollout=kill)
    assert snapshot_count(tmp_path / "run" / "snapshots.safetensors") == 1
    seen.clear()
    file = demonstrators.train(TINY, tmp_path / "run", on_rollout=lambda done, _: seen.append(done))
    assert seen == [192, 256]
    first, whole = load_file(file), load_file(trained[0])
    assert np.array_equal(first["mean"][0], whole["mean"][0])  # the first half is the same training
    weights = [path.stat().st_mtime_ns for path in (tmp_path / "run").glob("*.safetensors")]
    demonstrators.train(TINY, tmp_path / "run")
    assert weights == [path.stat().st_mtime_ns for path in (tmp_path / "run").glob("*.safetensors")]


def test_damaged_checkpoint_is_refused(trained, tmp_path, refuses):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "checkpoint.safetensors").write_bytes(b"no checkpoint")
    with refuses("checkpoint.safetensors", "remove it"):
        demonstrators.train(dataclasses.replace(TINY), folder)


def test_optimizer_survives_the_checkpoint(trained):
    venv = demonstrators.make_training_env(TINY)
    model = demonstrators.make_model(TINY, venv)
    demonstrators.load_checkpoint(model, trained[1] / "checkpoint.safetensors")
    state = model.policy.optimizer.state_dict()["state"]
    assert len(state) == len(list(model.policy.parameters()))
    assert all(torch.isfinite(part["exp_avg"]).all() for part in state.values())
    assert model.num_timesteps == 256
    venv.close()


@pytest.mark.parametrize(("task", "way"), [("cheetah-flip", 1.0), ("walker-flip-backward", -1.0)])
def test_in_the_training_of_flips_an_angle_lost_costs_what_it_earned_and_haste_pays(task, way):
    seen = []
    for wrong_way, overspeed in ((0.0, 0.0), (1.0, 0.5)):
        config = dataclasses.replace(TINY, task=task, wrong_way=wrong_way, overspeed=overspeed)
        venv = demonstrators.make_training_env(config)
        venv.reset()
        rng = np.random.default_rng(0)
        steps = []
        for step in range(60):
            if step % 5 == 0:
                actions = rng.choice([-1.0, 1.0], (4, 6)).astype(np.float32)
            venv.step(actions)
            steps.append((venv.get_original_reward(), venv.get_original_obs()))
        seen.append(steps)
        venv.close()
    for (free, state), (costly, same) in zip(*seen, strict=True):
        np.testing.assert_array_equal(state, same)
        rate = way * state[:, demonstrator_envs.TURNING_RATE[task.partition("-")[0]]]
        change = np.clip(rate / 5 - 1, 0, 1) - 2 * np.maximum(-rate / 5, 0)
        np.testing.assert_allclose(costly - free, change, atol=1e-5)
    costs = [(free - costly).max() for (free, _), (costly, _) in zip(*seen, strict=True)]
    gains = [(costly - free).max() for (free, _), (costly, _) in zip(*seen, strict=True)]
    assert max(costs) > 2, max(costs)
    assert max(gains) > 0.1, max(gains)


def test_a_policy_of_the_phase_acts_as_it_was_trained_and_does_not_see_whole_turns(tmp_path):
    config = dataclasses.replace(TINY, task="cheetah-flip", phase=True)
    policy = TrainedPolicy(demonstrators.train(config, tmp_path))
    venv = demonstrators.make_training_env(config)
    model = demonstrators.make_model(config, venv)
    demonstrators.load_checkpoint(model, tmp_path / "checkpoint.safetensors")
    state = np.random.default_rng(0).normal(size=(5, 17)).astype(np.float32)
    seen = venv.normalize_obs(with_phase(state, demonstrator_envs.CHEETAH_ANGLE))
    trained, _ = model.predict(seen, deterministic=True)
    np.testing.assert_allclose(policy(state, {}), trained, atol=2e-3)  # weights are kept as float16
    turned = state.astype(np.float64)
    turned[:, demonstrator_envs.CHEETAH_ANGLE] += 14 * np.pi
    np.testing.assert_allclose(policy(turned, {}), policy(state, {}), atol=1e-6)
    venv.close()


def test_the_angle_of_the_phase_is_the_trunks():
    with gym.make("LatentCtx-CheetahFlip-v0") as env:
        state, _ = env.reset(seed=0)
        assert state.shape == (demonstrator_envs.CHEETAH_STATE,)
        assert state[demonstrator_envs.CHEETAH_ANGLE] == pytest.approx(env.unwrapped._data.qpos[2])


def test_the_last_observation_of_an_episode_has_its_phase_too():
    config = dataclasses.replace(TINY, task="cheetah-flip", phase=True)
    venv = demonstrators.make_training_env(config)
    venv.reset()
    for _ in range(500):
        _, _, dones, infos = venv.step(np.zeros((venv.num_envs, 6), np.float32))
    assert dones.all()
    assert infos[0]["terminal_observation"].shape == (18,)
    venv.close()


def test_shorter_episodes_begin_more_often_and_are_cut_off_not_over():
    venv = demonstrators.make_training_env(dataclasses.replace(TINY, episode_steps=5))
    venv.reset()
    for step in range(5):
        _, _, dones, infos = venv.step(np.zeros((venv.num_envs, 6), np.float32))
        assert dones.all() == (step == 4)
    assert all(info["TimeLimit.truncated"] for info in infos)
    venv.close()


def test_some_environments_may_have_short_episodes():
    venv = demonstrators.make_training_env(
        dataclasses.replace(TINY, short_share=0.5, short_steps=3, episode_steps=5)
    )
    venv.reset()
    ended = np.array([venv.step(np.zeros((4, 6), np.float32))[2] for _ in range(15)])
    assert ended[:, :2].sum(axis=0).tolist() == [5, 5]
    assert ended[:, 2:].sum(axis=0).tolist() == [3, 3]
    venv.close()


def test_a_training_goes_on_from_another_and_both_are_published(trained, tmp_path):
    file, folder = trained
    config = dataclasses.replace(
        TINY, start=str(folder), log_std=-1.0, learning_rate=1e-6, decisions=128, seed=1
    )
    later = demonstrators.train(config, tmp_path / "later")
    before, after = (
        load_file(folder / "checkpoint.safetensors"),
        load_file(later.parent / "checkpoint.safetensors"),
    )
    np.testing.assert_allclose(
        after["policy/action_net.weight"], before["policy/action_net.weight"], atol=1e-4
    )
    np.testing.assert_allclose(after["policy/log_std"], -1.0, atol=1e-3)
    assert after["obs/count"] > before["obs/count"]
    weights = demonstrator_publishing.publish(config, later, tmp_path / "shipped.safetensors")
    found, first, second = load_file(weights), load_file(file), load_file(later)
    # there are some after 128, 256, 320 and 384 decisions in all; two are kept: the first from 192 on, and the last
    assert np.array_equal(found["action.weight"][1], second["action.weight"][-1])
    assert np.array_equal(found["action.weight"][0], first["action.weight"][1])
    card = json.loads(weights.with_suffix(".json").read_text())
    assert card["decisions"] == 384
    first_command, second_command = card["command"].split(" && ")
    assert first_command.endswith(f"--out {folder}")
    assert f"--start {folder}" in second_command
    assert "--publish" in second_command
    assert "--publish" not in first_command


def test_what_cannot_be_gone_on_from_is_refused(trained, tmp_path, refuses):
    with refuses("holds no training", "nowhere"):
        demonstrators.train(dataclasses.replace(TINY, start=str(tmp_path / "nowhere")), tmp_path / "a")
    with refuses("hidden=(8, 8)", "go on with the same"):
        config = dataclasses.replace(TINY, start=str(trained[1]), hidden=(4, 4))
        demonstrators.train(config, tmp_path / "b")


def test_a_switch_stands_in_the_command_without_a_value():
    config = DemonstratorConfig(task="cheetah-flip", phase=True, overspeed=1.0)
    assert demonstrator_publishing.command(config) == (
        "latentctx demonstrator train cheetah-flip --publish --overspeed 1.0 --phase"
    )


def test_the_phase_is_the_cheetahs_alone():
    with pytest.raises(ValueError, match="phase is of the cheetah"):
        dataclasses.replace(TINY, task="walker-flip", phase=True)


@pytest.mark.parametrize("body", ["Cheetah", "Walker"])
def test_the_turning_rate_stands_where_the_cost_looks_for_it(body):
    with gym.make(f"LatentCtx-{body}Flip-v0") as env:
        env.reset(seed=0)
        state, *_ = env.step(np.ones(6, np.float32))
        assert state[demonstrator_envs.TURNING_RATE[body.lower()]] == pytest.approx(
            env.unwrapped._data.qvel[2]
        )


@pytest.mark.slow
def test_published_demonstrator_has_its_command_and_is_measured_to_a_csv(trained, tmp_path, capsys):
    target = demonstrator_publishing.publish(TINY, trained[0], tmp_path / "cheetah-run-ppo.safetensors")
    card = json.loads(target.with_suffix(".json").read_text())
    assert card["command"] == (
        "latentctx demonstrator train cheetah-run --publish --decisions 256 --num-envs 4 --horizon 16 "
        "--batch-size 32 --epochs 1 --hidden 8 8 --snapshots 2"
    )
    assert card["config"]["task"] == "cheetah-run" and card["training_seconds"] > 0
    results = tmp_path / "results.csv"
    words = [str(target), "--task", "cheetah-run", "--episodes", "4", "--results", str(results)]
    main(["demonstrator", "evaluate", *words])
    printed = json.loads(capsys.readouterr().out)
    assert printed["return (sum)"] == printed["return (last_substep)"]  # dm_control's own task
    (row,) = [
        row for row in read_results([results]) if row["metric"] == "return" and "sum" in str(row["setting"])
    ]
    assert row["value"] == pytest.approx(printed["return (sum)"], abs=0.1)


def test_unknown_tasks_and_missing_weights_are_refused(tmp_path, refuses):
    with refuses("cheetah-run", "swim"):
        DemonstratorConfig(task="swim")
    with refuses("demonstrator train"):
        TrainedPolicy(tmp_path / "nothing.safetensors")
    (tmp_path / "bad.safetensors").write_bytes(b"bad")
    with refuses("is no demonstrator"):
        TrainedPolicy(tmp_path / "bad.safetensors")


def test_snapshot_out_of_range_is_refused(trained, refuses):
    with refuses("2 snapshots", "snapshot=2"):
        TrainedPolicy(trained[0], 2)
