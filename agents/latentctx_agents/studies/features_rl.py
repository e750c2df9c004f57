"""PPO (Stable-Baselines3) on one hidden goal of the point mass: from frozen features, raw pixels or true positions."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import gymnasium as gym
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecNormalize

from latentctx_agents.cells import fresh_encoder
from latentctx_agents.evaluate import success_of
from latentctx_agents.policies import SB3Policy
from latentctx_agents.results import Measurement
from latentctx_envs.encoders import Encoder, load_encoder
from latentctx_envs.point_mass.context import PointMassContext, split_goals
from latentctx_envs.wrappers import PinContext, VectorEncodeObservation
from latentctx_envs.wrappers.sb3 import EncoderExtractor, VecEncodeObservation

WORLD = "LatentCtx-PointMass-v0"
LABELS = {  # of the methods, in the order of tables
    "states": "true positions",
    "features": "frozen features",
    "pixels": "pixels, CnnPolicy",
    "scratch": "pixels, the encoder's network",
}
METHODS = tuple(LABELS)
EVALUATION_SEED = 80_000  # first environment seed; training draws from `seed` on


@dataclass(frozen=True, kw_only=True)
class FeaturesRLConfig:
    """One training: what is seen, how long, and PPO's settings, which are the same for every method.

    Raises:
        ValueError: the method is unknown or a number is out of range.
    """

    method: str = "features"  # "states" (true positions), "features" of the frozen encoder, or "pixels"
    # a name of the zoo or a folder; of "pixels" only the size of its frames counts
    encoder: str = "point-mass-id"
    goal: int = 0  # index of the hidden goal in the split "test", which no pretraining has seen
    action_repeat: int = 5  # control steps of 0.05 s a decision
    horizon: int = 20  # decisions of an episode
    decisions: int = 30_720  # in all environments together
    evaluate_every: int = 3072  # decisions
    episodes: int = 50  # of each evaluation, with the mean action
    num_envs: int = 16
    n_steps: int = 64  # decisions of each environment between two updates
    batch_size: int = 128
    epochs: int = 10
    learning_rate: float = 1e-3
    gamma: float = 0.95
    hidden: tuple[int, int] = (64, 64)  # units of policy and value
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be learned in words."""
        if self.method not in METHODS:
            raise ValueError(f"method must be one of {', '.join(METHODS)}; got {self.method!r}.")
        for name in (
            "action_repeat",
            "horizon",
            "decisions",
            "evaluate_every",
            "episodes",
            "num_envs",
            "epochs",
        ):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1; got {getattr(self, name)}.")
        if self.evaluate_every % (self.num_envs * self.n_steps):
            raise ValueError(
                f"evaluate_every must be a multiple of num_envs x n_steps, {self.num_envs * self.n_steps}, after which "
                f"PPO updates; got {self.evaluate_every}."
            )
        goals = len(split_goals("test"))
        if not 0 <= self.goal < goals:
            raise ValueError(f"goal must be an index from 0 to {goals - 1}; got {self.goal}.")

    @property
    def context(self) -> PointMassContext:
        """The hidden goal of every episode."""
        return PointMassContext(goal=split_goals("test")[self.goal])


def arguments(config: FeaturesRLConfig, encoder: Encoder) -> dict[str, Any]:
    """Keyword arguments of the world; frames are those of the encoder's pretraining."""
    common = {"action_repeat": config.action_repeat, "max_episode_steps": config.horizon}
    if config.method == "states":
        return {"observation": "position", **common}
    frames = {"image_size": encoder.input_shape[:2], "render_profile": encoder.render_profile or "fast"}
    return {"observation": "pixels", **frames, **common}


def make_training_env(config: FeaturesRLConfig, encoder: Encoder) -> VecEnv:
    """SB3's vector environment of N worlds with the one goal, encoded in one pass if the method wants features."""
    settings = arguments(config, encoder)
    venv: VecEnv = DummyVecEnv(
        [lambda: PinContext(gym.make(WORLD, **settings), config.context)] * config.num_envs
    )
    if config.method == "features":
        venv = VecEncodeObservation(venv, encoder)
    venv.seed(config.seed)
    return VecNormalize(
        venv, norm_obs=config.method == "states", gamma=config.gamma
    )  # rewards: a goal gives up to 5 a decision


def make_evaluation_env(config: FeaturesRLConfig, encoder: Encoder) -> gym.vector.VectorEnv[Any, Any, Any]:
    """All evaluation episodes at once."""
    settings = arguments(config, encoder)
    if config.method != "states":
        settings["num_workers"] = 0  # trainings run side by side, one a core
    env = gym.make_vec(WORLD, num_envs=config.episodes, **settings)
    return VectorEncodeObservation(env, encoder) if config.method == "features" else env


def make_model(config: FeaturesRLConfig, venv: VecEnv, encoder: Encoder) -> PPO:
    """PPO with SB3's own policies and one set of settings."""
    policy: dict[str, Any] = {"net_arch": list(config.hidden)}
    if config.method == "scratch":
        network = fresh_encoder(config.encoder, config.seed, encoder)
        policy |= {
            "features_extractor_class": EncoderExtractor,
            "features_extractor_kwargs": {"encoder": network, "freeze": False},
        }
    return PPO(
        "CnnPolicy" if config.method in ("pixels", "scratch") else "MlpPolicy",
        venv,
        n_steps=config.n_steps,
        batch_size=config.batch_size,
        n_epochs=config.epochs,
        learning_rate=config.learning_rate,
        gamma=config.gamma,
        policy_kwargs=policy,
        seed=config.seed,
        device="cpu",
    )


def learn(config: FeaturesRLConfig) -> Iterator[Measurement]:
    """Train, and yield the success of the mean action before the first and after every `evaluate_every` decisions."""
    encoder = load_encoder(config.encoder)
    venv, judged = make_training_env(config, encoder), make_evaluation_env(config, encoder)
    model = make_model(config, venv, encoder)
    known = {
        **asdict(config),
        "encoder_hash": encoder.content_hash()[:12],
    }  # a name of the zoo may get new weights
    yield _measured(config, known, model, judged)
    while model.num_timesteps < config.decisions:
        model.learn(config.evaluate_every, reset_num_timesteps=False)
        yield _measured(config, known, model, judged)
    venv.close()
    judged.close()


def _measured(
    config: FeaturesRLConfig, known: dict[str, Any], model: PPO, env: gym.vector.VectorEnv[Any, Any, Any]
) -> Measurement:
    success = success_of(SB3Policy(model), env, config.context, seed=EVALUATION_SEED)
    return Measurement(
        study="features_rl",
        world=WORLD,
        dataset="",
        method=config.method,
        setting={**known, "done": model.num_timesteps},
        seed=config.seed,
        metric="success",
        value=float(success.mean()),
    )
