"""A cell: one method finetuned and evaluated on one hidden context. Cells are independent processes' work."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch

from latentctx_agents import finetune
from latentctx_agents.evaluate import success_of
from latentctx_agents.finetune import FinetuneConfig
from latentctx_agents.optim import OnStep, unheard
from latentctx_agents.policy_folder import FinetunedPolicy, PolicyCard, as_head
from latentctx_datasets import View, library
from latentctx_datasets.demonstrators import make_demonstrator
from latentctx_datasets.recipes import FINETUNE_EPISODES, RECIPES
from latentctx_envs.encoders import ConvNet, Encoder, FrozenEncoder, load_encoder

EXPERT = "expert"
STATES = "states"
SCRATCH = "scratch"


@dataclass(frozen=True, kw_only=True)
class Cell:
    """What to finetune and to evaluate; `encoder` is None for states and the expert."""

    method: str  # name in the tables
    encoder: str | None  # directory, zoo name or hub id; "scratch" takes only its shape and mean image
    dataset: str  # goal-by-goal demonstrations
    goal: int  # index of the context in the dataset
    view: View
    finetune: FinetuneConfig
    episodes: int  # evaluation episodes
    directory: str  # where the policy and the result go


def run_cell(cell: Cell) -> dict[str, Any]:
    """Finetune and evaluate one cell, or read its result if it is already there.

    Returns:
        {"method", "goal", "success": list of bool, "loss": last training loss}.
    """
    file = Path(cell.directory) / "result.json"
    if file.exists():
        return json.loads(file.read_text())
    Path(cell.directory).mkdir(parents=True, exist_ok=True)
    success, loss = _expert(cell) if cell.method == EXPERT else _learner(cell)
    result = {
        "method": cell.method,
        "goal": cell.goal,
        "context": context_of(cell.dataset, cell.goal),
        "success": [bool(value) for value in success],
        "loss": loss,
    }
    partial = file.with_suffix(".partial")
    partial.write_text(json.dumps(result) + "\n")
    os.replace(partial, file)
    return result


def context_of(dataset_id: str, goal: int) -> dict[str, Any]:
    """The context of one goal of a goal-by-goal dataset."""
    storage = library.load(dataset_id).storage
    (extra,) = storage.get_episode_metadata([goal * FINETUNE_EPISODES])
    return json.loads(extra["context_json"])


def _expert(cell: Cell) -> tuple[np.ndarray, float]:
    recipe = RECIPES[cell.dataset]
    env = gym.make_vec(recipe.env_id, num_envs=cell.episodes, observation="state")
    context = context_of(cell.dataset, cell.goal)
    success = success_of(make_demonstrator(recipe.demonstrator), env, context)
    env.close()
    return success, 0.0


def _learner(cell: Cell) -> tuple[np.ndarray, float]:
    trained, loss = finetune_policy(cell)
    trained.save(Path(cell.directory) / "policy")
    env = trained.make_vec(cell.episodes, num_workers=0)  # cells run side by side, one a core
    success = success_of(trained.policy, env, trained.card.context)
    env.close()
    return success, loss


def finetune_policy(cell: Cell, on_step: OnStep = unheard) -> tuple[FinetunedPolicy, float]:
    """Finetune the cell's policy; returns it with its last training loss."""
    config = cell.finetune
    episodes = finetune.choose_episodes(cell.dataset, cell.goal, FINETUNE_EPISODES, config.demos, config.seed)
    view = None if cell.encoder is None else cell.view
    demonstrations = finetune.load_demonstrations(cell.dataset, episodes, view)
    encoder: Encoder | None = None
    if cell.encoder is None:
        head, loss = finetune.finetune_head(demonstrations.positions, demonstrations.actions, config, on_step)
    elif cell.method == SCRATCH:
        encoder = fresh_encoder(cell.encoder, config.seed)
        head, loss = finetune.finetune_scratch(encoder, demonstrations, config, on_step)
    else:
        encoder = load_encoder(cell.encoder)
        features = finetune.encode_demonstrations(FrozenEncoder(encoder), demonstrations)
        head, loss = finetune.finetune_head(features, demonstrations.actions, config, on_step)
    card = PolicyCard(
        env_id=RECIPES[cell.dataset].env_id,
        method=cell.method,
        context=context_of(cell.dataset, cell.goal),
        inputs=encoder.features_dim if encoder is not None else demonstrations.positions.shape[1],
        outputs=demonstrations.actions.shape[1],
        hidden=config.hidden,
        view=view,
        training={"dataset": cell.dataset, "episodes": episodes, "config": asdict(config)},
    )
    return FinetunedPolicy(card, as_head(head), encoder), loss


def fresh_encoder(like: str, seed: int) -> ConvNet:
    """An untrained encoder of the same architecture and mean image (the scratch baseline), decided by the seed."""
    trained = load_encoder(like)
    assert isinstance(trained, ConvNet)
    torch.manual_seed(seed)
    encoder = ConvNet(trained.config)
    if trained.config.centred:
        encoder.center.copy_(trained.center)
    return encoder
