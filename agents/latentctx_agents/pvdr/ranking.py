"""Before anything acts: how well distances tell how far the goal really is, and what of a plan tells its first action."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import Tensor

from latentctx_agents.model_folder import weights_hash
from latentctx_agents.pvdr.action_metric import ActionMetric, MetricLearner
from latentctx_agents.pvdr.distance import TokenDistance, colours_of, distance_of
from latentctx_agents.pvdr.folder import VideoModel, videos_of
from latentctx_agents.pvdr.model import split
from latentctx_agents.pvdr.online import ENCODED, adapt_tokenizer
from latentctx_agents.pvdr.online_config import OnlineConfig
from latentctx_agents.pvdr.reading import drawn
from latentctx_agents.pvdr.replay import Replay
from latentctx_agents.pvdr.tokens import tokenize, tokens_of
from latentctx_agents.pvdr.worlds import Films, goal_distances, make_envs, random_episodes, remember, world_of
from latentctx_agents.results import Measurement
from latentctx_envs.goal_images import image_distance

TRAINED, TESTED = 2048, 1024  # windows for readings of actions
RIDGE = 10.0  # of these readings, whose inputs have deviation 1
# options that rows name where they are others
DECIDING = ("envs", "render_profile", "learning_rate", "metric")
IMAGE = "image"  # name of `image_distance`, beside those of distances of tokens


@dataclass(frozen=True, kw_only=True)
class Ranked:
    """What a distance makes of held-out episodes, means over them."""

    rank: float  # Spearman's correlation of the distance and the true one, over an episode's frames
    chosen: float  # [m] of the goal in the frame that the distance likes best
    nearest: float  # [m] in the frame that is nearest
    average: float  # [m] over all frames


class Judged(NamedTuple):
    """What held-out random episodes say."""

    distances: dict[str, Ranked]
    actions: dict[str, float]  # see `told_of_actions`


def rank(model: VideoModel, config: OnlineConfig, held_out: int = 20) -> Judged:
    """Learn the metric from `config.random_episodes` episodes as the online stage does; judge distances and plans by others.

    Args:
        model: its tokenizer is adapted, if the config says so; its dynamics are as they were pretrained.
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
    window = model.config.context, model.config.future
    replay = Replay(1, *window)
    remember(replay, tokenize(model.tokenizer, seen.frames), seen.actions)
    MetricLearner(metric, config.metric, rng).learn(replay, config.metric.first_steps)
    colours = TokenDistance(model.tokenizer, colours_of(model.tokenizer, seen.pictures(every=4)))
    tokens, goals = (
        tokens_of(model.tokenizer, frames) for frames in (tests.frames[:, :-1], tests.goals[:, None])
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
    ranked = {name: _ranked(values, tests.apart) for name, values in found.items()}
    if model.config.latent == 0 or held_out < 2:
        return Judged(ranked, {})
    # a reading that saw what the metric learned by heart would trust it too much: it has episodes of its own
    halves = Replay(1, *window), Replay(1, *window)
    shown = tokenize(model.tokenizer, tests.frames)
    for half, part in zip(halves, (slice(0, None, 2), slice(1, None, 2)), strict=True):
        remember(half, shown[part], tests.actions[part])
    return Judged(ranked, told_of_actions(model, metric, halves, rng))


@torch.no_grad()
def told_of_actions(
    model: VideoModel,
    metric: ActionMetric,
    replays: tuple[Replay, Replay],
    rng: np.random.Generator,
) -> dict[str, float]:
    """R2 of the action that followed a context, as a linear reading tells it, the mean over the action's numbers.

    Args:
        model: with a latent.
        metric: trained.
        replays: episodes that readings are trained on, and others that they are tested on; the metric saw neither.
        rng: draws windows.

    Returns:
        "came", from the ways to the frames that came; "foretold", from those to the frames that a z of the posterior
        foretells; "latent", from the context's features and that z, linearly.
    """
    posterior, prior = model.dynamics.posterior, model.dynamics.prior
    assert posterior is not None and prior is not None
    parts: dict[str, list[Tensor]] = {"came": [], "foretold": [], "latent": [], "action": []}
    for replay, count in zip(replays, (TRAINED, TESTED), strict=True):
        for first in range(0, count, ENCODED):
            window, action = replay.sample(rng, min(ENCODED, count - first))
            context, _ = split(window, model.config)
            latent = drawn(model.dynamics, window)
            here = metric(context[:, -1:])
            places = metric.foretold(model.dynamics, context, latent[:, None])[:, 0]
            parts["came"].append((metric(window[:, model.config.context :]) - here).flatten(1))
            parts["foretold"].append((places - here).flatten(1))
            parts["latent"].append(torch.cat([prior.features(context), latent], dim=1))
            parts["action"].append(action)
    values = {name: torch.cat(part).numpy() for name, part in parts.items()}
    wanted = values.pop("action")
    return {name: _linear_r2(read, wanted, TRAINED) for name, read in values.items()}


def _linear_r2(values: np.ndarray, wanted: np.ndarray, trained: int) -> float:
    """R2 on the rows after the first `trained` of a ridge regression on these, the mean over what is wanted."""
    scaled = (values - values[:trained].mean(axis=0)) / (values[:trained].std(axis=0) + 1e-6)
    mean = wanted[:trained].mean(axis=0)
    x, y = scaled[:trained].astype(np.float64), wanted[:trained] - mean
    weights = np.linalg.solve(x.T @ x + RIDGE * np.eye(x.shape[1]), x.T @ y)
    missed = np.square(scaled[trained:] @ weights + mean - wanted[trained:]).mean(axis=0)
    return float(np.mean(1.0 - missed / wanted[trained:].var(axis=0)))


def rows_of(
    found: Judged, model: Path, record: dict[str, Any], config: OnlineConfig, held_out: int
) -> Iterator[Measurement]:
    """What was found with the model of a folder, as rows of a CSV; `record` is that of its training."""
    setting = {
        "task": config.task,
        "random_episodes": config.random_episodes,
        "held_out": held_out,
        "stride": config.stride,
        "tokenizer_steps": config.tokenizer_steps,
        "metric_steps": config.metric.first_steps,
        **config.changed(DECIDING),
        "model_hash": weights_hash(model)[:16],
    }
    facts = {
        "world": world_of(config.task),
        "dataset": videos_of(record),
        "setting": setting,
        "seed": config.seed,
    }
    for method, ranked in found.distances.items():
        for metric, value in vars(ranked).items():
            yield Measurement(study="pvdr-distances", method=method, metric=metric, value=value, **facts)
    for method, r2 in found.actions.items():
        yield Measurement(study="pvdr-alignment", method=method, metric="r2_action", value=r2, **facts)


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
