"""A cell: one method finetuned and evaluated on one hidden context. Cells are independent processes' work."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import gymnasium as gym
import numpy as np
import torch

from latentctx_agents import finetune
from latentctx_agents.evaluate import steps_together, success_of
from latentctx_agents.finetune import FinetuneConfig
from latentctx_agents.optim import OnStep, unheard
from latentctx_agents.policy_folder import FinetunedPolicy, PolicyCard, as_head
from latentctx_agents.runs import kept_json
from latentctx_datasets import View, library
from latentctx_datasets.demonstrators import make_demonstrator
from latentctx_datasets.recipes import RECIPES
from latentctx_envs.encoders import ConvNet, Encoder, FrozenEncoder, load_encoder

AnyEncoder = TypeVar("AnyEncoder", bound=Encoder)
EXPERT = "expert"
STATES = "states"
SCRATCH = "scratch"


@dataclass(frozen=True, kw_only=True)
class Cell:
    """What to finetune and to evaluate; `encoder` is None for states and the expert."""

    method: str  # name in the tables
    encoder: str | None  # directory, zoo name or hub id; "scratch" takes only its shape and mean image
    dataset: str  # demonstrations of some goals
    goal: int  # index of the context in the dataset
    view: View
    finetune: FinetuneConfig
    episodes: int  # evaluation episodes
    directory: str  # where the policy and the result go
    held_out: int = 0  # other demonstrations of the goal on which the cloning loss is measured
    stored: bool = False  # frames come from the dataset's pixel store instead of being rendered
    keep_policy: bool = True  # save it beside the result


def run_cell(cell: Cell, encoder: Encoder | None = None) -> dict[str, Any]:
    """Finetune and evaluate one cell, or read its result if it is already there.

    Args:
        cell: which.
        encoder: the cell's, by whoever has loaded it.

    Returns:
        {"method", "goal", "context", "success": list of bool, "loss": last training loss, "held_out_loss": or None}.
    """

    def measured() -> dict[str, Any]:
        success, losses = _expert(cell) if cell.method == EXPERT else _learner(cell, encoder)
        return {
            "method": cell.method,
            "goal": cell.goal,
            "context": task_of(cell.dataset, cell.goal).context,
            "success": [bool(value) for value in success],
            **losses,
        }

    return kept_json(Path(cell.directory) / "result.json", measured)


class FinetuneTask(NamedTuple):
    """What a finetuned policy is for."""

    env_id: str
    env_kwargs: dict[str, Any]  # of the environment, besides what is seen
    context: dict[str, Any] | None  # None where every episode draws its own


def task_of(dataset_id: str, goal: int) -> FinetuneTask:
    """The task of one goal of a dataset: one context, or one of Meta-World's tasks with any vector.

    Raises:
        ValueError: there is no such goal, or its episodes have neither in common.
    """
    episodes = finetune.episodes_of(dataset_id, goal)
    extras = library.load(dataset_id).storage.get_episode_metadata(episodes)
    contexts = [json.loads(extra["context_json"]) for extra in extras]
    if all(context == contexts[0] for context in contexts):
        return FinetuneTask(*library.measured_in(dataset_id), contexts[0])
    tasks = {context.get("task") for context in contexts}
    if len(tasks) > 1 or None in tasks:
        raise ValueError(f"{dataset_id}: the episodes of goal {goal} share neither a context nor a task.")
    return FinetuneTask("LatentCtx-MetaWorld-v0", {"task": tasks.pop()}, None)


def _expert(cell: Cell) -> tuple[np.ndarray, dict[str, float | None]]:
    task = task_of(cell.dataset, cell.goal)
    together = steps_together(task.env_id)
    make = {"observation": "state", **task.env_kwargs}
    env = (
        gym.make_vec(task.env_id, num_envs=cell.episodes, **make)
        if together
        else gym.make(task.env_id, **make)
    )
    policy = make_demonstrator(RECIPES[cell.dataset].demonstrator)
    success = success_of(policy, env, task.context, episodes=None if together else cell.episodes)
    env.close()
    return success, {"loss": 0.0, "held_out_loss": None}


def _learner(cell: Cell, encoder: Encoder | None) -> tuple[np.ndarray, dict[str, float | None]]:
    trained, loss = finetune_policy(cell, encoder=encoder)
    if cell.keep_policy:
        trained.save(Path(cell.directory) / "policy")
    losses = {"loss": loss, "held_out_loss": _held_out_loss(cell, trained)}
    return trained.success(cell.episodes, num_workers=0), losses  # cells run side by side, one a core


def _held_out_loss(cell: Cell, trained: FinetunedPolicy) -> float | None:
    """Mean squared error of the actions on other demonstrations of the goal."""
    _, others = _episodes_of(cell)
    if not others:
        return None
    view = None if cell.encoder is None else cell.view
    demonstrations = finetune.load_demonstrations(cell.dataset, others, view, stored=cell.stored)
    inputs = demonstrations.positions
    if trained.encoder is not None:
        inputs = finetune.encode_demonstrations(FrozenEncoder(trained.encoder), demonstrations)
    with torch.inference_mode():
        predicted = trained.head(torch.from_numpy(inputs)).numpy()
    return float(np.square(predicted - demonstrations.actions).mean())


def _episodes_of(cell: Cell) -> tuple[list[int], list[int]]:
    config = cell.finetune
    return finetune.choose_episodes(
        cell.dataset, cell.goal, config.demos, config.seed, held_out=cell.held_out
    )


def finetune_policy(
    cell: Cell, on_step: OnStep = unheard, *, encoder: Encoder | None = None
) -> tuple[FinetunedPolicy, float]:
    """Finetune the cell's policy; returns it with its last training loss. `encoder` is the cell's, if it was loaded."""
    config = cell.finetune
    task = task_of(cell.dataset, cell.goal)
    episodes, _ = _episodes_of(cell)
    view = None if cell.encoder is None else cell.view
    demonstrations = finetune.load_demonstrations(cell.dataset, episodes, view, stored=cell.stored)
    if cell.encoder is None:
        head, loss = finetune.finetune_positions(
            demonstrations.positions, demonstrations.actions, config, on_step
        )
    elif cell.method == SCRATCH:
        encoder = fresh_encoder(cell.encoder, config.seed, encoder)
        head, loss = finetune.finetune_scratch(encoder, demonstrations, config, on_step)
    else:
        encoder = encoder if encoder is not None else load_encoder(cell.encoder)
        features = finetune.encode_demonstrations(FrozenEncoder(encoder), demonstrations)
        head, loss = finetune.finetune_head(features, demonstrations.actions, config, on_step)
    card = PolicyCard(
        env_id=task.env_id,
        method=cell.method,
        context=task.context,
        inputs=encoder.features_dim if encoder is not None else demonstrations.positions.shape[1],
        outputs=demonstrations.actions.shape[1],
        hidden=config.hidden,
        view=view,
        training={"dataset": cell.dataset, "episodes": episodes, "config": asdict(config)},
        env_kwargs=task.env_kwargs,
    )
    return FinetunedPolicy(card, as_head(head), encoder), loss


def fresh_encoder(like: str, seed: int, trained: Encoder | None = None) -> ConvNet:
    """An untrained encoder of the same architecture and mean image (the scratch baseline), decided by the seed.

    Args:
        like: directory, zoo name or hub id of the trained one.
        seed: decides the weights.
        trained: that one, if it was loaded.

    Raises:
        ValueError: `like` is no ConvNet.
    """
    trained = trained if trained is not None else load_encoder(like)
    if not isinstance(trained, ConvNet):
        raise ValueError(
            f"a network to train from scratch takes a ConvNet's shape; {like} is a {type(trained).__name__}."
        )
    return untrained(trained, seed)


def untrained(like: AnyEncoder, seed: int) -> AnyEncoder:
    """An encoder of the same architecture and mean image with fresh weights, decided by the seed."""
    torch.manual_seed(seed)
    encoder = type(like)(like.config)
    if isinstance(like, ConvNet) and isinstance(encoder, ConvNet) and like.config.centred:
        encoder.center.copy_(like.center)
    return encoder
