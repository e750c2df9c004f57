"""Training of the locomotion demonstrators: Stable-Baselines3's PPO on the native vector environment.

The algorithm is the library's. This module makes the environment, keeps evenly spaced snapshots of the policy for the
replay datasets, and writes a checkpoint from which a killed training goes on.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
import tyro
from safetensors import safe_open
from safetensors.torch import load_file

from latentctx_agents.demonstrator_envs import CHEETAH_ANGLE, FlipTraining, Phase
from latentctx_agents.runs import MetricsLog, RunFolder
from latentctx_datasets.demonstrators.locomotion import (
    ENV_IDS,
    LAYERS,
)
from latentctx_envs.encoders.tensors import write_tensors
from latentctx_envs.extras import require
from latentctx_envs.locomotion.protocol import ENV_KWARGS
from latentctx_envs.replacing import replacing, sha256_of
from latentctx_envs.wrappers.sb3 import to_sb3

require("stable_baselines3", "agents")

from stable_baselines3 import PPO  # noqa: E402
from stable_baselines3.common.callbacks import BaseCallback  # noqa: E402
from stable_baselines3.common.vec_env import VecEnv, VecMonitor, VecNormalize  # noqa: E402

CHECKPOINT, SNAPSHOTS = "checkpoint.safetensors", "snapshots.safetensors"
OnRollout = Callable[[int, dict[str, float]], None]


@dataclass(frozen=True, kw_only=True)
class DemonstratorConfig:
    """How a demonstrator is trained.

    Raises:
        ValueError: there is no such task, or a number is out of range.
    """

    task: tyro.conf.Positional[str]  # such as cheetah-run
    decisions: int = 10_000_000  # in all environments together
    num_envs: int = 128
    episode_steps: int = 500  # decisions of an episode in training; shorter ones begin more often
    short_share: float = 0.0  # of the environments, whose episodes have `short_steps` decisions
    short_steps: int = 60  # so that beginnings are seen more often, and what follows still is
    # run folder of a training that this one goes on from, with rates and noise of its own
    start: str | None = None
    horizon: int = 64  # decisions of each environment between two updates
    batch_size: int = 1024
    epochs: int = 8
    learning_rate: float = 5e-4  # falls to a tenth
    decay: float = 2.0  # it falls with this power of the decisions that are left
    target_kl: float = 0.03  # epochs end early beyond this divergence from the policy that acted
    gamma: float = 0.99
    gae_lambda: float = 0.95
    entropy: float = 0.003  # weight of the entropy bonus
    entropy_decay: float = 0.0  # it falls with this power of the decisions that are left; 0 keeps it
    log_std: float = 0.0  # logarithm of the first standard deviation of actions
    hidden: tuple[int, int] = (128, 128)  # of the policy; the critic has 256 twice
    wrong_way: float = 1.0  # flips: share of the right way's reward that turning back costs in training
    # flips: share of the reward that turning beyond the full rate earns in training, up to twice
    overspeed: float = 0.0
    phase: bool = False  # cheetah: sine and cosine of the trunk's angle instead of the angle, which grows with each turn
    snapshots: int = 20  # policies kept, evenly over the training
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be trained."""
        if self.task not in ENV_IDS:
            raise ValueError(f"task must be one of {', '.join(ENV_IDS)}; got {self.task!r}.")
        counts = (self.decisions, self.num_envs, self.horizon, self.batch_size, self.snapshots)
        if min(*counts, self.episode_steps) < 1:
            raise ValueError(
                "decisions, num_envs, episode_steps, horizon, batch_size and snapshots start at 1."
            )
        if not 0.0 <= self.short_share <= 1.0 or self.short_steps < 1:
            raise ValueError("short_share lies in [0, 1], short_steps starts at 1.")
        if self.phase and not self.task.startswith("cheetah"):
            raise ValueError(f"phase is of the cheetah's trunk; {self.task} has no angle that grows.")


def train(config: DemonstratorConfig, directory: Path, *, on_rollout: OnRollout = lambda *_: None) -> Path:
    """Train into a run folder and return the file of snapshots; a killed training goes on.

    Args:
        config: what to train.
        directory: run folder.
        on_rollout: called with (decisions so far, metrics) after each update.

    Raises:
        ValueError: the folder belongs to another training, its checkpoint is damaged, or there is no finished
            training of that shape to go on from.
    """
    RunFolder(directory, config, _origin(config))
    torch.set_num_threads(1)  # networks this small only wait for a second one
    venv = make_training_env(config)
    model = make_model(config, venv)
    keeper = _Keeper(config, directory, on_rollout)
    if config.start is not None:
        _begin_with(model, Path(config.start) / CHECKPOINT, config.log_std)
    keeper.restore(model)
    left = config.decisions - model.num_timesteps
    if left > 0:
        model.learn(left, callback=keeper, reset_num_timesteps=False)
    venv.close()
    keeper.close()
    return keeper.file


def make_training_env(config: DemonstratorConfig) -> VecNormalize:
    """Environments whose observations and rewards are normalised by what was seen so far."""
    short = round(config.short_share * config.num_envs)
    steps = [config.short_steps] * short + [config.episode_steps] * (config.num_envs - short)
    env = gym.make_vec(
        ENV_IDS[config.task],
        num_envs=config.num_envs,
        autoreset_mode="SameStep",
        # the reward of every control step is the smoother signal
        **{**ENV_KWARGS, "reward_mode": "sum", "max_episode_steps": steps},
    )
    venv = VecMonitor(to_sb3(env))
    venv.seed(config.seed)
    if "flip" in config.task:
        venv = FlipTraining(venv, config.task, config.wrong_way, config.overspeed)
    if config.phase:
        venv = Phase(venv)
    return VecNormalize(venv, gamma=config.gamma)


def make_model(config: DemonstratorConfig, venv: VecEnv) -> PPO:
    """The library's agent."""
    return PPO(
        "MlpPolicy",
        venv,
        n_steps=config.horizon,
        batch_size=min(config.batch_size, config.horizon * config.num_envs),
        n_epochs=config.epochs,
        learning_rate=lambda left: config.learning_rate * max(left**config.decay, 0.1),
        target_kl=config.target_kl,
        gamma=config.gamma,
        gae_lambda=config.gae_lambda,
        ent_coef=config.entropy,
        policy_kwargs={
            "net_arch": {"pi": list(config.hidden), "vf": [256, 256]},
            "log_std_init": config.log_std,
        },
        seed=config.seed,
        device="cpu",
    )


def earlier(config: DemonstratorConfig) -> list[tuple[Path, DemonstratorConfig]]:
    """The trainings that one goes on from, the first one first: their run folders and configs.

    Raises:
        ValueError: a folder holds no training.
    """
    found: list[tuple[Path, DemonstratorConfig]] = []
    while config.start is not None:
        folder = Path(config.start)
        try:
            values = json.loads((folder / "config.json").read_text())
            config = DemonstratorConfig(**{**values, "hidden": tuple(values["hidden"])})
        except (OSError, KeyError, TypeError, json.JSONDecodeError):
            raise ValueError(f"{folder} holds no training of a demonstrator to go on from.") from None
        found.insert(0, (folder, config))
    return found


def _origin(config: DemonstratorConfig) -> dict[str, str] | None:
    """What tells the training that this one goes on from; None for one that begins with nothing.

    Raises:
        ValueError: there is no such training, it is not finished, or of another task or shape.
    """
    if config.start is None:
        return None
    folder, before = earlier(config)[-1]
    checkpoint = folder / CHECKPOINT
    if not checkpoint.exists() or int(_metadata(checkpoint)["decisions"]) < before.decisions:
        raise ValueError(f"the training in {folder} is not finished: run its command again first.")
    if (before.task, before.hidden, before.phase) != (config.task, config.hidden, config.phase):
        raise ValueError(
            f"{folder} trained {before.task} with hidden={before.hidden}, phase={before.phase}: go on with the same."
        )
    return {"training": sha256_of(checkpoint)}


def _begin_with(model: PPO, checkpoint: Path, log_std: float) -> None:
    """Weights, optimiser and normalisation of another training; decisions count from 0, the noise is this one's."""
    load_checkpoint(model, checkpoint)
    model.num_timesteps = 0
    with torch.no_grad():
        model.policy.log_std.fill_(log_std)


class _Keeper(BaseCallback):
    """After each update: metrics, a snapshot when one is due, a checkpoint with it."""

    model: PPO

    def __init__(self, config: DemonstratorConfig, directory: Path, on_rollout: OnRollout) -> None:
        super().__init__()
        self.file = directory / SNAPSHOTS
        self._checkpoint = directory / CHECKPOINT
        self._config, self._directory, self._on_rollout = config, directory, on_rollout
        self._snapshots: list[dict[str, torch.Tensor]] = []
        self._log: MetricsLog | None = None

    def restore(self, model: PPO) -> None:
        """Continue from the checkpoint, if there is one."""
        if self._checkpoint.exists():
            load_checkpoint(model, self._checkpoint)
            stacked, count = load_file(self.file), int(_metadata(self._checkpoint)["snapshots"])
            self._snapshots = [{k: t[i] for k, t in stacked.items()} for i in range(count)]
        self._log = MetricsLog(self._directory, start=model.num_timesteps)

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        infos = list(self.model.ep_info_buffer or ())
        metrics = {"return": float(np.mean([info["r"] for info in infos])) if infos else float("nan")}
        metrics["std"] = float(self.model.policy.log_std.detach().exp().mean())
        assert self._log is not None
        self._log.write(self.num_timesteps, metrics)
        self._on_rollout(self.num_timesteps, metrics)
        left = 1.0 - self.num_timesteps / self._config.decisions
        self.model.ent_coef = self._config.entropy * max(left, 0.0) ** self._config.entropy_decay
        due = (len(self._snapshots) + 1) * self._config.decisions / self._config.snapshots
        if self.num_timesteps >= due:  # with the weights that played this rollout
            self._snapshots.append(snapshot(self.model, phase=self._config.phase))
            self._write()

    def _write(self) -> None:
        stacked = {k: torch.stack([one[k] for one in self._snapshots]) for k in self._snapshots[0]}
        with replacing(
            self.file
        ) as fresh:  # first: a snapshot that the checkpoint does not know of is taken again
            write_tensors(fresh, stacked)
        save_checkpoint(self.model, self._checkpoint, snapshots=len(self._snapshots))

    def close(self) -> None:
        """Flush the metrics."""
        if self._log is not None:
            self._log.close()


def snapshot(model: PPO, *, phase: bool = False) -> dict[str, torch.Tensor]:
    """The policy and its normalisation, weights as float16; `phase` if it reads the angle as sine and cosine."""
    normalizer = _normalizer(model).obs_rms
    net = model.policy.mlp_extractor.policy_net
    linears = [net[0], net[2], model.policy.action_net]
    tensors = {
        "mean": torch.from_numpy(np.float32(normalizer.mean)),
        "std": torch.from_numpy(np.float32(np.sqrt(normalizer.var + _normalizer(model).epsilon))),
    }
    if phase:
        tensors["angle"] = torch.tensor([CHEETAH_ANGLE])
    for name, linear in zip(LAYERS, linears, strict=True):
        tensors[f"{name}.weight"] = linear.weight.detach().to(torch.float16).clone()
        tensors[f"{name}.bias"] = linear.bias.detach().to(torch.float16).clone()
    return tensors


def _normalizer(model: PPO) -> Any:
    env = model.get_vec_normalize_env()
    assert env is not None
    return env


def save_checkpoint(model: PPO, path: Path, *, snapshots: int) -> None:
    """Weights, optimizer, normalisation and progress, in one move; environments start anew after a kill."""
    tensors = {f"policy/{name}": tensor for name, tensor in model.policy.state_dict().items()}
    for index, state in model.policy.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{index}/{name}": value for name, value in state.items()}
    env = _normalizer(model)
    for name, statistics in (("obs", env.obs_rms), ("ret", env.ret_rms)):
        parts = {"mean": statistics.mean, "var": statistics.var, "count": statistics.count}
        tensors |= {f"{name}/{key}": torch.as_tensor(np.float64(value)) for key, value in parts.items()}
    metadata = {"decisions": str(model.num_timesteps), "snapshots": str(snapshots)}
    with replacing(path) as fresh:
        write_tensors(fresh, tensors, metadata=metadata)


def load_checkpoint(model: PPO, path: Path) -> None:
    """Continue from `save_checkpoint`'s file.

    Raises:
        ValueError: the file is damaged or of another training.
    """
    try:
        tensors = load_file(path)
        model.num_timesteps = int(_metadata(path)["decisions"])
        model.policy.load_state_dict({k[7:]: t for k, t in tensors.items() if k.startswith("policy/")})
        whole = model.policy.optimizer.state_dict()
        for key, tensor in tensors.items():
            if key.startswith("optimizer/"):
                _, index, name = key.split("/")
                whole["state"].setdefault(int(index), {})[name] = tensor
        model.policy.optimizer.load_state_dict(whole)
        env = _normalizer(model)
        for name, statistics in (("obs", env.obs_rms), ("ret", env.ret_rms)):
            for part in ("mean", "var", "count"):
                value = tensors[f"{name}/{part}"].numpy()
                setattr(statistics, part, float(value) if part == "count" else value)
    except Exception as error:  # safetensors and torch raise many types on damaged files
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(f"{path} does not fit this training ({reason}): remove it to start over.") from None


def _metadata(path: Path) -> dict[str, str]:
    with safe_open(path, framework="pt") as file:
        return file.metadata()
