"""Finetuning: a policy for one new context from a few demonstrations, on a frozen encoder or beside it."""

from collections.abc import Callable
from dataclasses import dataclass, field

import minari
import numpy as np
import torch
from torch import Tensor, nn

from latentctx_agents.nets import mlp
from latentctx_agents.optim import OnStep, OptimizerConfig, Training, unheard
from latentctx_datasets import (
    RECIPES,
    DatasetError,
    View,
    holds_frames,
    library,
    open_store,
    random_shift,
    replay,
)
from latentctx_datasets.replay import world_of
from latentctx_envs.encoders import ConvNet, FrozenEncoder
from latentctx_envs.encoders.stateful import refuse_memory

LEAST_SCALE = 1e-3  # added to standard deviations: what does not vary stays near zero


@dataclass(frozen=True, kw_only=True)
class FinetuneConfig:
    """How a policy head (or a whole network, from scratch) is trained by behaviour cloning.

    Raises:
        ValueError: a number is out of range.
    """

    demos: int = 3  # demonstrations of the new context; the paper has 1, 2, 5 and 10
    optimizer: OptimizerConfig = field(
        default_factory=lambda: OptimizerConfig(steps=600, batch_size=128, learning_rate=1e-3)
    )
    hidden: tuple[int, ...] = (256, 256)  # widths of the head
    dropout: float = 0.0  # after each hidden layer of the head
    lecun_heads: bool = False  # the paper's larger initial weights of the head
    # true positions before they are cloned: worlds in metres learn from them slowly
    standardise: bool = False
    pad: int = 0  # random shift of the frames when training from scratch [pixels]
    seed: int = 0  # of weights, batches and the choice of demonstrations

    def __post_init__(self) -> None:
        """Refuse impossible numbers in words."""
        if self.demos < 1 or self.pad < 0 or not 0.0 <= self.dropout < 1.0 or min(self.hidden, default=1) < 1:
            raise ValueError("demos and widths in hidden start at 1, pad at 0, dropout is in [0, 1).")


QUICK = FinetuneConfig()
PAPER = FinetuneConfig(
    demos=2,
    optimizer=OptimizerConfig(steps=10_000, batch_size=256, learning_rate=1e-3),
    dropout=0.1,
    lecun_heads=True,
    pad=8,
)


@dataclass(frozen=True, kw_only=True)
class Demonstrations:
    """Transitions of one context: what was seen and done."""

    # float32 (n, p), the "position" observation (ground truth of arXiv 2305.16985); no columns where frames are stored
    positions: np.ndarray
    actions: np.ndarray  # float32 (n, a)
    pixels: np.ndarray | None  # uint8 (n, h, w, 3)


def goals_of(dataset_id: str) -> list[list[int]]:
    """Indices of the episodes that belong to each goal: of a recipe as it says, of one's own those of equal contexts.

    Raises:
        ValueError: its recipe has episodes that stand alone, or its episodes name no contexts.
        DatasetError: it is missing or damaged.
    """
    dataset = library.load(dataset_id)
    total = int(dataset.total_episodes)
    if dataset_id in RECIPES:
        size = RECIPES[dataset_id].group
        if size is None:
            raise ValueError(
                f"{dataset_id} is no goal-by-goal dataset, such as latentctx/point-mass/finetune-v0."
            )
        return [list(range(first, first + size)) for first in range(0, total - size + 1, size)]
    found: dict[str, list[int]] = {}
    for index, extra in enumerate(dataset.storage.get_episode_metadata(range(total))):
        if "context_json" not in extra:
            raise ValueError(f"{dataset_id} names no contexts: its episodes cannot be told apart by goal.")
        found.setdefault(extra["context_json"], []).append(index)
    return list(found.values())


def episodes_of(dataset_id: str, goal: int) -> list[int]:
    """Indices of the episodes of one goal (`goals_of`).

    Raises:
        ValueError: there is no such goal.
    """
    goals = goals_of(dataset_id)
    if not 0 <= goal < len(goals):
        raise ValueError(f"{dataset_id} has goals 0 to {len(goals) - 1}; got {goal}.")
    return goals[goal]


def choose_episodes(
    dataset_id: str, goal: int, demos: int, seed: int, held_out: int = 0
) -> tuple[list[int], list[int]]:
    """Indices of `demos` episodes of one goal of a dataset, drawn without replacement, and of others.

    Args:
        dataset_id: demonstrations of some goals (`goals_of`).
        goal: index of the goal.
        demos: how many are drawn.
        seed: of the draw.
        held_out: how many of those that were not drawn are named, too; fewer if there are not so many.

    Raises:
        ValueError: the goal does not exist or has fewer demonstrations.
    """
    episodes = np.array(episodes_of(dataset_id, goal))
    if demos > len(episodes):
        raise ValueError(
            f"{dataset_id} has {len(episodes)} demonstrations of goal {goal}; asked for {demos}."
        )
    drawn = np.random.default_rng([seed, goal]).choice(len(episodes), demos, replace=False)
    others = np.setdiff1d(np.arange(len(episodes)), drawn)[:held_out]
    return episodes[np.sort(drawn)].tolist(), episodes[others].tolist()


def load_demonstrations(
    dataset_id: str, episodes: list[int], view: View | None = None, *, stored: bool = False
) -> Demonstrations:
    """The transitions of some episodes; frames are rendered if a view is given.

    Args:
        dataset_id: a dataset of this project.
        episodes: indices of its episodes.
        view: how their frames are rendered; None for no frames.
        stored: take the frames from the dataset's pixel store, which is built for all its episodes if need be.

    Raises:
        DatasetError: the dataset is missing or damaged, or holds frames instead of states and no view is given.
    """
    dataset = library.load(dataset_id)
    if holds_frames(dataset) and view is None:
        raise DatasetError(
            f"{dataset_id} holds frames and no states: name an encoder to clone a policy from it."
        )
    chosen = [dataset[index] for index in episodes]
    pixels = None
    if view is not None and stored:
        store = open_store(dataset_id, view)
        parts = [slice(store.starts[index], store.starts[index] + store.lengths[index]) for index in episodes]
        pixels = np.concatenate([store.frames[part] for part in parts])
    elif view is not None:
        pixels = np.concatenate([frames[:-1] for frames in replay(dataset, view, episodes)])
    return Demonstrations(
        positions=_positions(dataset, chosen),
        actions=np.concatenate([e.actions for e in chosen]),
        pixels=pixels,
    )


def _positions(dataset: minari.MinariDataset, chosen: list[minari.EpisodeData]) -> np.ndarray:
    if holds_frames(dataset):
        return np.zeros((sum(len(episode) for episode in chosen), 0), np.float32)
    with world_of(dataset) as world:
        return world.position_of(np.concatenate([episode.observations[:-1] for episode in chosen]))


def finetune_head(
    inputs: np.ndarray, actions: np.ndarray, config: FinetuneConfig, on_step: OnStep = unheard
) -> tuple[nn.Sequential, float]:
    """Clone actions from fixed inputs (cached features or positions); the head and its last loss.

    Args:
        inputs: float32 (n, d).
        actions: float32 (n, a) in [-1, 1].
        config: the training.
        on_step: hears the training's progress.
    """
    torch.manual_seed(config.seed)
    head = _head(inputs.shape[1], actions.shape[1], config)
    x, y = torch.from_numpy(inputs), torch.from_numpy(actions)
    return head, _clone(head, lambda rows, _: x[rows], y, config, on_step)


def finetune_positions(
    positions: np.ndarray, actions: np.ndarray, config: FinetuneConfig, on_step: OnStep = unheard
) -> tuple[nn.Sequential, float]:
    """`finetune_head` on true positions, float32 (n, p), standardised first if the config says so.

    The head that is returned takes positions as they are: mean and scale went into its first layer.
    """
    if not config.standardise:
        return finetune_head(positions, actions, config, on_step)
    mean, scale = positions.mean(axis=0), positions.std(axis=0) + LEAST_SCALE
    head, loss = finetune_head((positions - mean) / scale, actions, config, on_step)
    first = head[0]
    assert isinstance(first, nn.Linear)
    with torch.no_grad():
        first.weight /= torch.from_numpy(scale)
        first.bias -= first.weight @ torch.from_numpy(mean)
    return head, loss


def finetune_scratch(
    encoder: ConvNet,
    demonstrations: Demonstrations,
    config: FinetuneConfig,
    on_step: OnStep = unheard,
) -> tuple[nn.Sequential, float]:
    """Train encoder and head together from the demonstrations' frames; the head and its last loss.

    Raises:
        ValueError: the demonstrations were loaded without frames.
    """
    pixels = demonstrations.pixels
    if pixels is None:
        raise ValueError("training from scratch needs frames: load the demonstrations with a view.")
    torch.manual_seed(config.seed)
    head = _head(encoder.features_dim, demonstrations.actions.shape[1], config)

    def frames(rows: np.ndarray, rng: np.random.Generator) -> Tensor:
        return torch.from_numpy(random_shift(pixels[rows], config.pad, rng))

    network = nn.Sequential(encoder, head)
    return head, _clone(network, frames, torch.from_numpy(demonstrations.actions), config, on_step)


def encode_demonstrations(encoder: FrozenEncoder, demonstrations: Demonstrations) -> np.ndarray:
    """Features (n, D) of the demonstrations' frames, computed once.

    Raises:
        ValueError: the demonstrations were loaded without frames, or the encoder remembers what it saw.
    """
    refuse_memory(encoder.module, "finetuning")
    if demonstrations.pixels is None:
        raise ValueError("features need frames: load the demonstrations with a view.")
    return encoder.encode(demonstrations.pixels)


def _head(inputs: int, outputs: int, config: FinetuneConfig) -> nn.Sequential:
    return mlp(
        inputs,
        outputs,
        hidden=config.hidden,
        dropout=config.dropout,
        last=nn.Tanh(),
        lecun=config.lecun_heads,
    )


def _clone(
    network: nn.Module,
    inputs: Callable[[np.ndarray, np.random.Generator], Tensor],
    actions: Tensor,
    config: FinetuneConfig,
    on_step: OnStep,
) -> float:
    rng = np.random.default_rng(config.seed)
    training = Training([network], config.optimizer, rng)

    def loss() -> tuple[Tensor, dict[str, float]]:
        rows = rng.integers(len(actions), size=config.optimizer.batch_size)
        return (network(inputs(rows, rng)) - actions[rows]).square().mean(), {}

    last = 0.0
    for step, metrics in training.run(loss):
        on_step(step, metrics)
        last = metrics["loss"]
    return last
