"""PPO (Stable-Baselines3) on a body whose speeds are hidden: from positions, from a world model's filter, from states."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import gymnasium as gym
import numpy as np
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecEnv, VecFrameStack, VecNormalize

from latentctx_agents.demonstrators import DemonstratorConfig, make_model
from latentctx_agents.results import Measurement
from latentctx_datasets.demonstrators.locomotion import ENV_IDS
from latentctx_envs.encoders import Encoder, load_encoder
from latentctx_envs.locomotion.protocol import ENV_KWARGS
from latentctx_envs.wrappers import VectorEncodeObservation
from latentctx_envs.wrappers.sb3 import to_sb3

STACKED = 4  # positions, the usual remedy without any pretraining
LABELS = {  # of the methods, in the order of tables
    "positions": "positions",
    "stacked": f"the last {STACKED} positions",
    "features": "features of the filter",
    "states": "states (speeds are seen)",
}
METHODS = tuple(LABELS)
EVALUATION_SEED = 90_000  # of the first episode; training draws from `seed` on


@dataclass(frozen=True, kw_only=True)
class FilterRLConfig:
    """One training: what is seen, and PPO's settings, which are the same for every method.

    Raises:
        ValueError: the method is unknown or a number is out of range.
    """

    method: str = "features"  # "positions", "stacked" (the last four), "features" of the filter, or "states"
    encoder: str = "walker-rssm"  # a name of the zoo or a folder: a filter that reads positions
    ppo: DemonstratorConfig = field(
        default_factory=lambda: DemonstratorConfig(
            task="walker-walk", decisions=1_000_000, num_envs=64, learning_rate=1e-3, decay=1.0
        )
    )
    evaluate_every: int = 102_400  # decisions
    episodes: int = 50  # of each evaluation, with the mean action

    def __post_init__(self) -> None:
        """Refuse what cannot be learned in words."""
        if self.method not in METHODS:
            raise ValueError(f"method must be one of {', '.join(METHODS)}; got {self.method!r}.")
        if self.episodes < 1:
            raise ValueError(f"episodes start at 1; got {self.episodes}.")
        rollout = self.ppo.num_envs * self.ppo.horizon
        if self.evaluate_every < 1 or self.evaluate_every % rollout:
            raise ValueError(
                f"evaluate_every must be a multiple of num_envs x horizon, {rollout}, after which PPO updates; "
                f"got {self.evaluate_every}."
            )


def make_env(config: FilterRLConfig, encoder: Encoder, num_envs: int) -> VecEnv:
    """Bodies in SB3's form, showing what the method sees.

    Raises:
        ValueError: the encoder does not read positions of such a body.
    """
    env: Any = gym.make_vec(
        ENV_IDS[config.ppo.task],
        num_envs=num_envs,
        autoreset_mode="SameStep",
        observation="state" if config.method == "states" else "position",
        **{**ENV_KWARGS, "reward_mode": "sum", "max_episode_steps": config.ppo.episode_steps},
    )
    if config.method == "features":
        env = VectorEncodeObservation(env, encoder)
    venv: VecEnv = to_sb3(env)
    return VecFrameStack(venv, STACKED) if config.method == "stacked" else venv


def learn(
    config: FilterRLConfig, on_row: Callable[[Measurement], None] = lambda _: None
) -> list[Measurement]:
    """Train; the return of the mean action before it, after every `evaluate_every` decisions and at the end.

    Args:
        config: what is seen and how it is trained.
        on_row: called with each measurement as it is made.
    """
    encoder = load_encoder(config.encoder)
    venv = make_env(config, encoder, config.ppo.num_envs)
    venv.seed(config.ppo.seed)
    normal = VecNormalize(venv, gamma=config.ppo.gamma)
    model = make_model(config.ppo, normal)
    judge = _Judge(config, encoder, normal, on_row)
    model.learn(config.ppo.decisions, callback=judge)
    judge.measure()
    normal.close()
    judge.venv.close()
    return judge.rows


class _Judge(BaseCallback):
    """Measures the mean action between updates."""

    def __init__(
        self,
        config: FilterRLConfig,
        encoder: Encoder,
        normal: VecNormalize,
        on_row: Callable[[Measurement], None],
    ) -> None:
        super().__init__()
        self.rows: list[Measurement] = []
        self.venv = make_env(config, encoder, config.episodes)
        self._config, self._normal, self._on_row = config, normal, on_row
        self._known = {**asdict(config), "encoder_hash": encoder.content_hash()[:12]}

    def _on_step(self) -> bool:
        return True

    def _on_rollout_start(self) -> None:
        if self.num_timesteps % self._config.evaluate_every == 0:
            self.measure()

    def measure(self) -> None:
        """Add a row of now."""
        config = self._config
        assert isinstance(self.model, PPO)
        returns = returns_behind(self.model, self._normal, self.venv, config.ppo.episode_steps)
        row = Measurement(
            study="filter_rl",
            world=ENV_IDS[config.ppo.task],
            dataset="",
            method=config.method,
            setting={**self._known, "done": self.model.num_timesteps},
            seed=config.ppo.seed,
            metric="return",
            value=float(returns.mean()),
        )
        self.rows.append(row)
        self._on_row(row)


def returns_behind(model: PPO, normal: VecNormalize, venv: VecEnv, steps: int) -> np.ndarray:
    """Summed rewards of one episode of the mean action in each environment, float64 (n,); the same episodes each time.

    `returns.returns_of` measures policies on bare environments; this one sees what PPO saw, stacked or normalised.
    """
    venv.seed(EVALUATION_SEED)
    seen, total = venv.reset(), np.zeros(venv.num_envs)
    for _ in range(steps):
        action, _ = model.predict(normal.normalize_obs(seen), deterministic=True)  # type: ignore[arg-type]
        seen, rewards, _, _ = venv.step(action)
        total += rewards
    return total
