"""AIME on stored frames: a world model learns from V-D4RL's episodes, a policy imitates others of them, both are measured."""

import dataclasses
import json

import numpy as np
import pytest
import torch

from latentctx_agents.aime import agent as agents
from latentctx_agents.aime import baselines
from latentctx_agents.aime.imitate import ImitationConfig, imitate
from latentctx_agents.cli import main
from latentctx_agents.optim import OptimizerConfig
from latentctx_agents.returns import side_by_side
from latentctx_agents.world_models.folder import load_world_model, save_world_model
from latentctx_agents.world_models.model import WorldModel
from latentctx_agents.world_models.train import WorldModelTraining, train_world_model
from latentctx_agents.world_models.windows import open_episodes, windows_of
from latentctx_datasets import DatasetError
from latentctx_envs.encoders.latent.config import QUICK
from latentctx_envs.encoders.latent.sensors import Sensors
from latentctx_envs.locomotion.protocol import ENV_KWARGS

BODY, SHOWN = "vd4rl/walker/random-v0", "vd4rl/walker/expert-v0"
ROWS = 12
NET = dataclasses.replace(QUICK, deter=8, stoch=4, hidden=(8, 8))
FEW = OptimizerConfig(
    steps=3, batch_size=2, learning_rate=1e-3, weight_decay=0.0, schedule="constant", log_every=1
)
SEEN = {"observation": "pixels", "image_size": 64, "render_profile": "reference"}


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    """Two folders of episodes, read by the command into two datasets."""
    rng = np.random.default_rng(0)
    for name in (BODY, SHOWN):
        folder = tmp_path_factory.mktemp("64px")
        for number in range(3):
            flags = {"is_first": np.arange(ROWS) == 0, "is_last": np.arange(ROWS) == ROWS - 1}
            np.savez_compressed(
                folder / f"2022010{number}T000000-{number}-{ROWS}.npz",
                image=rng.integers(0, 256, (ROWS, 64, 64, 3), dtype=np.uint8),
                action=rng.uniform(-1, 1, (ROWS, 6)).astype(np.float32),
                reward=np.zeros(ROWS, np.float32),
                discount=np.ones(ROWS, np.float32),
                is_terminal=np.zeros(ROWS, bool),
                **flags,
            )
        main(["data", "import-vd4rl", str(folder), name])
    return BODY, SHOWN


@pytest.fixture(scope="module")
def world_model(imported, tmp_path_factory):
    config = WorldModelTraining(dataset=BODY, observed="pixels", model=NET, length=5, optimizer=FEW)
    folder = tmp_path_factory.mktemp("world_model")
    train_world_model(config, folder)
    return folder


def test_a_world_model_learns_from_stored_frames_without_probes(world_model):
    model, record = load_world_model(world_model / "model")
    assert record["dataset"] == BODY and not model.probes and set(model.decoders) == {"pixels"}
    assert json.loads((world_model / "model" / "config.json").read_text())["probed"] is False
    header = (world_model / "metrics.csv").read_text().splitlines()[0]
    assert "reconstruction" in header and "probe_loss" not in header


def test_windows_show_stored_frames(imported):
    store = open_episodes(SHOWN, "pixels", 64)
    draw = windows_of(store, np.random.default_rng(0), batch_size=3, length=4, observed="pixels", early=True)
    batch = draw()
    assert batch.observations.pixels is not None
    assert batch.observations.pixels.shape == (4, 3, 64, 64, 3)
    assert batch.observations.pixels.dtype == torch.uint8
    assert batch.observations.states.shape == (4, 3, 0)
    assert not batch.previous_actions[batch.is_first].any()


def test_a_policy_imitates_stored_frames_and_is_measured_as_they_were_drawn(world_model, tmp_path):
    config = ImitationConfig(dataset=SHOWN, demos=2, hidden=(8, 8), length=5, optimizer=FEW)
    agent = imitate(config, world_model / "model", tmp_path)
    assert agent.card.env_kwargs == {"task": "walk", **ENV_KWARGS, "reward_mode": "sum", **SEEN}
    agent.card.env_kwargs["max_episode_steps"] = 3
    returns = agent.returns(2)
    assert returns.shape == (2,) and np.isfinite(returns).all()


def test_the_command_imitates_and_measures_in_the_world_that_the_frames_are_of(
    world_model, tmp_path, capsys, monkeypatch
):
    made = []

    def three_steps(env_id, count, **kwargs):
        made.append((env_id, count, kwargs))
        return side_by_side(env_id, count, **{**kwargs, "max_episode_steps": 3})

    monkeypatch.setattr(agents, "side_by_side", three_steps)
    few = ["--demos", "2", "--hidden", "8", "8", "--length", "5", "--optimizer.steps", "2"]
    where = ["--world-model", str(world_model / "model"), "--out", str(tmp_path)]
    main(["imitate", "quick", "--dataset", SHOWN, *few, *where, "--episodes", "1"])
    assert '"world": "LatentCtx-WalkerWalk-v0"' in capsys.readouterr().out
    assert made == [
        ("LatentCtx-WalkerWalk-v0", 1, {"task": "walk", **ENV_KWARGS, "reward_mode": "sum", **SEEN})
    ]


def test_baselines_read_stored_frames(imported):
    few = dataclasses.replace(baselines.QUICK.body, least_epochs=1, least_steps=1, most_steps=4, batch_size=4)
    config = baselines.BaselineConfig(body=few, demonstrations=few)
    learned = baselines.clone_true(
        open_episodes(SHOWN, "pixels", 64), 2, Sensors.of("walker", "pixels"), config
    )
    assert np.isfinite(learned.fit.error)


def test_other_settings_and_sizes_are_refused(imported, refuses):
    with refuses("frames and no states", error=DatasetError):
        open_episodes(BODY, "state", 64)
    with refuses("stores frames of 64 px", "32 px", error=DatasetError):
        open_episodes(BODY, "pixels", 32)


def test_frames_of_our_own_export_are_read_as_well(tmp_path):
    main(["data", "export", "latentctx/point-mass/expert-small-v0", "--pixels", "16", "--profile", "turbo"])
    store = open_episodes("latentctx/point-mass/expert-small-16px-v0", "pixels", 16)
    assert store.view.render_profile == "turbo" and store.frames.shape[1:] == (16, 16, 3)


def test_the_command_refuses_in_one_line(imported, tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["data", "import-vd4rl", str(tmp_path), "vd4rl/walker/none-v0"])
    assert "holds no episodes of V-D4RL" in capsys.readouterr().err


def test_a_folder_that_does_not_say_whether_it_has_probes_has_them(tmp_path):
    torch.manual_seed(0)
    model = WorldModel(NET, Sensors.of("walker", "position"), 6)
    save_world_model(model, tmp_path / "model", {})
    file = tmp_path / "model" / "config.json"
    facts = json.loads(file.read_text())
    assert facts.pop("probed") is True
    file.write_text(json.dumps(facts))
    assert {*load_world_model(tmp_path / "model")[0].probes} == {"velocity"}
