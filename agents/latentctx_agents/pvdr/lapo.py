"""A baseline that plans nothing: a policy of latent actions, learned from videos, and what these are as actions."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.vec_env import VecEnv

from latentctx_agents.optim import Metrics, Stepper
from latentctx_agents.pvdr.folder import VideoModel
from latentctx_agents.pvdr.goal_ppo import GoalPpo
from latentctx_agents.pvdr.latent_actions import LatentActions, learn_from_videos
from latentctx_agents.pvdr.online_config import OnlineConfig
from latentctx_agents.pvdr.pretrain import training_clips
from latentctx_agents.pvdr.replay import Replay
from latentctx_agents.pvdr.token_venv import SEEN, TokenVecEnv
from latentctx_agents.pvdr.tokenizer import Tokenizer
from latentctx_agents.pvdr.tokens import content_hash, open_tokens, tokenize
from latentctx_agents.pvdr.worlds import Films, remember
from latentctx_datasets.videos import Clips, open_clips
from latentctx_envs.encoders.dynamics.config import DynamicsConfig


class LatentActionVecEnv(TokenVecEnv):
    """Observations float32 (3 c * 64 + a): the planes of `TokenVecEnv`, then the action that the latent policy wants.

    Args:
        venv: worlds whose observations are a Dict of frames "observation" and "desired_goal".
        tokenizer: whose tokens.
        learner: in use; what it learns meanwhile counts from the step after on.
    """

    def __init__(self, venv: VecEnv, tokenizer: Tokenizer, learner: LatentActions) -> None:
        self._learner = learner
        size = SEEN * 64 * tokenizer.config.code_dim + learner.action_dim
        windows = (learner.sizes.context, learner.sizes.future)
        super().__init__(venv, tokenizer, windows, size)

    def observe(self) -> np.ndarray:
        """The vectors and the action, as far as actions go."""
        with torch.inference_mode():
            seen = torch.from_numpy(self.seen.astype(np.int64))
            wanted = self._learner.actions(seen[:, :2], self._learner.wanted(seen))
        return np.concatenate([super().observe(), wanted.clamp(-1.0, 1.0).numpy()], axis=1)


class Lapo(GoalPpo):
    """One training of the baseline; `run` yields measurements as `Online` does.

    Videos teach latent actions and a policy of them, random actions what these are in the world; PPO begins with that
    policy and is rewarded for coming nearer to the goal's picture.

    Args:
        model: whose tokenizer is adapted to the world and then looked through, and whose sizes are taken; its dynamics are
            not used.
        config: budgets and PPO's settings are those of the whole method.
        record: of the model's training: its videos are learned from.

    Raises:
        ValueError: these videos are not here, or shorter than a window of latent actions.
    """

    def __init__(self, model: VideoModel, config: OnlineConfig, record: Mapping[str, Any]) -> None:
        super().__init__(model, config)
        self._clips, self._among = own_videos(model.config, config, record)

    def begin(self, venv: VecEnv, films: Films) -> tuple[TokenVecEnv, Metrics]:
        """Latent actions and their policy from the videos, what they are as actions from random episodes."""
        config, tokenizer = self.config, self._model.tokenizer
        self._learner = LatentActions(self._model, config.latent_actions, films.actions.shape[-1])
        store = open_tokens(tokenizer, self._clips)
        told = learn_from_videos(self._learner, store, self._among, config.stride, self._rng)
        rate = config.latent_actions.policy.learning_rate
        self._decoding = Stepper([self._learner.action], learning_rate=rate)
        env = self.seen(venv)
        remember(env.replay, tokenize(tokenizer, films.frames), films.actions)
        return env, told | self._decode(env.replay, config.latent_actions.first_steps)

    def seen(self, venv: VecEnv) -> LatentActionVecEnv:
        """The planes, and the action that the latent policy wants."""
        return LatentActionVecEnv(venv, self._model.tokenizer, self._learner)

    def learn_between(self, env: TokenVecEnv) -> Metrics:
        """More of what latent actions are as actions."""
        return self._decode(env.replay, self.config.latent_actions.steps)

    def _decode(self, replay: Replay, steps: int) -> Metrics:
        """Learn what codes are as actions, at a rate that falls to a tenth; the mean loss of the last hundred."""
        config, learner, losses = self.config.latent_actions.policy, self._learner, []
        learner.action.train()
        for step in range(steps):
            loss = learner.action_loss(*replay.sample(self._rng, config.batch_size))
            self._decoding.step(loss, learning_rate=config.learning_rate * (1.0 - 0.9 * step / steps))
            losses.append(loss.item())
        learner.action.eval()
        return {"decoded": float(np.mean(losses[-100:]))} if losses else {}


def own_videos(
    model: DynamicsConfig, config: OnlineConfig, record: Mapping[str, Any]
) -> tuple[Clips, np.ndarray]:
    """The clips that a model was pretrained on, and the numbers of those that it was trained on.

    Raises:
        ValueError: they are not here, or shorter than a window of latent actions.
    """
    window = model.context + config.latent_actions.ahead
    clips = open_clips(record["dataset"], frames=(window - 1) * int(record["config"]["stride"]) + 1)
    if content_hash(clips) != record["dataset_hash"]:
        raise ValueError(
            f"{clips.folder} holds other clips than the model was pretrained on: build those, or pretrain anew."
        )
    return clips, training_clips(clips, record["config"]["clips"])
