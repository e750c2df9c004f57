"""How well distances to a goal's picture tell how far the goal really is, before anything acts by them."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import spearmanr

from latentctx_agents.model_folder import weights_hash
from latentctx_agents.pvdr.action_metric import ActionMetric, MetricLearner
from latentctx_agents.pvdr.distance import TokenDistance, distance_of
from latentctx_agents.pvdr.folder import VideoModel
from latentctx_agents.pvdr.online import adapt_tokenizer
from latentctx_agents.pvdr.online_config import OnlineConfig
from latentctx_agents.pvdr.replay import Replay
from latentctx_agents.pvdr.tokens import tokenize
from latentctx_agents.pvdr.worlds import Films, goal_distances, make_envs, random_episodes, remember, world_of
from latentctx_agents.results import Measurement
from latentctx_envs.goal_images import image_distance

IMAGE = "image"  # name of `image_distance`, beside those of distances of tokens


@dataclass(frozen=True, kw_only=True)
class Ranked:
    """What a distance makes of held-out episodes, means over them."""

    rank: float  # Spearman's correlation of the distance and the true one, over an episode's frames
    chosen: float  # [m] of the goal in the frame that the distance likes best
    nearest: float  # [m] in the frame that is nearest
    average: float  # [m] over all frames


def rank(model: VideoModel, config: OnlineConfig, held_out: int = 20) -> dict[str, Ranked]:
    """Learn the metric from `config.random_episodes` episodes as the online stage does, and judge distances by others.

    Args:
        model: whose tokenizer; it is adapted, if the config says so.
        config: task, random episodes, the metric's settings and seed.
        held_out: episodes that distances are judged by.

    Raises:
        ValueError: the world does not tell how far the goal is, or nothing is held out.
    """
    if held_out < 1:
        raise ValueError(f"held_out starts at 1; got {held_out}.")
    _check_world(config)
    torch.manual_seed(config.seed)
    rng = np.random.default_rng(config.seed)
    venv = make_envs(config, config.first_seed)
    films = random_episodes(venv, config.random_episodes + held_out, rng)
    venv.close()
    spans = slice(config.random_episodes), slice(config.random_episodes, None)
    seen, tests = (Films(*(part[span] for part in films)) for span in spans)
    adapt_tokenizer(model.tokenizer, seen.pictures(), config, rng)
    metric = ActionMetric(model.tokenizer, seen.actions.shape[-1])
    replay = Replay(1, model.config.context, model.config.future)
    remember(replay, tokenize(model.tokenizer, seen.frames), seen.actions)
    MetricLearner(metric, config.metric, rng).learn(replay, config.metric.first_steps)
    colours = TokenDistance(model.tokenizer, seen.pictures(every=4))
    tokens, goals = (
        torch.from_numpy(tokenize(model.tokenizer, frames).astype(np.int64))
        for frames in (tests.frames[:, :-1], tests.goals[:, None])
    )
    found = {
        IMAGE: np.stack(
            [
                image_distance(f[:-1], np.broadcast_to(g, f[:-1].shape))
                for f, g in zip(tests.frames, tests.goals, strict=True)
            ]
        )
    }
    with torch.inference_mode():
        for near in ("tokens", "actions", "both"):
            distance = distance_of(near, colours, metric)
            found[near] = distance(tokens, goals, distance.scale(tokens[:, :1], goals)).numpy()
    return {name: _ranked(values, tests.apart) for name, values in found.items()}


def rows_of(
    found: dict[str, Ranked], model: Path, record: dict[str, Any], config: OnlineConfig, held_out: int
) -> Iterator[Measurement]:
    """What was found with the model of a folder, as rows of a CSV; `record` is that of its training."""
    setting = {
        "task": config.task,
        "random_episodes": config.random_episodes,
        "held_out": held_out,
        "stride": config.stride,
        "model_hash": weights_hash(model)[:16],
    }
    for method, ranked in found.items():
        for metric, value in vars(ranked).items():
            yield Measurement(
                study="pvdr-distances",
                world=world_of(config.task),
                dataset=str(record["dataset"]),
                method=method,
                setting=setting,
                seed=config.seed,
                metric=metric,
                value=value,
            )


def _check_world(config: OnlineConfig) -> None:
    """Refuse a world that does not tell how far its goal is, before anything is played."""
    venv = make_envs(dataclasses.replace(config, envs=1), config.first_seed)
    venv.reset()
    told = not np.isnan(goal_distances(venv)).any()
    venv.close()
    if not told:
        raise ValueError(
            f"{config.task} does not say how far its goal is: choose a task with a place as its goal, such as reach-v3."
        )


def _ranked(values: np.ndarray, apart: np.ndarray) -> Ranked:
    """Of distances and true ones, both (e, t)."""
    each = [float(spearmanr(one, true).statistic) for one, true in zip(values, apart, strict=True)]
    return Ranked(
        rank=float(np.mean(each)),
        chosen=float(np.take_along_axis(apart, values.argmin(axis=1)[:, None], axis=1).mean()),
        nearest=float(apart.min(axis=1).mean()),
        average=float(apart.mean()),
    )
