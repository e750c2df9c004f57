"""A baseline that plans nothing: a policy of latent actions, learned from videos, and what these are as actions."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.vec_env import VecEnv
from torch import nn

from latentctx_agents.optim import Metrics, Stepper
from latentctx_agents.pvdr.alignment import AlignmentPolicy
from latentctx_agents.pvdr.folder import VideoModel
from latentctx_agents.pvdr.latent_actions import LatentActions, learn_from_videos
from latentctx_agents.pvdr.online import adapt_tokenizer, between_ends, make_agent
from latentctx_agents.pvdr.online_config import OnlineConfig
from latentctx_agents.pvdr.pretrain import training_clips
from latentctx_agents.pvdr.replay import Replay
from latentctx_agents.pvdr.token_venv import SEEN, TokenVecEnv
from latentctx_agents.pvdr.tokenizer import Tokenizer
from latentctx_agents.pvdr.tokens import content_hash, open_tokens, tokenize
from latentctx_agents.pvdr.trunks import PlanesTrunk
from latentctx_agents.pvdr.worlds import EVALUATION_SEED, make_envs, measured, random_episodes, remember
from latentctx_datasets.videos import open_clips


class LatentActionVecEnv(TokenVecEnv):
    """Observations float32 (3 c * 64 + a): the planes of `TokenVecEnv`, then the action that the latent policy wants.

    Args:
        venv: worlds whose observations are a Dict of frames "observation" and "desired_goal".
        tokenizer: whose tokens.
        learner: in use; what it learns meanwhile counts from then on.
    """

    def __init__(self, venv: VecEnv, tokenizer: Tokenizer, learner: LatentActions) -> None:
        self._learner = learner
        size = SEEN * 64 * tokenizer.config.code_dim + learner.count
        windows = (learner.sizes.context, learner.sizes.future)
        super().__init__(venv, tokenizer, windows, size)

    def observe(self) -> np.ndarray:
        """The vectors and the action, as far as actions go."""
        with torch.inference_mode():
            seen = torch.from_numpy(self.seen.astype(np.int64))
            wanted = self._learner.actions(seen[:, :2], self._learner.wanted(seen))
        return np.concatenate([super().observe(), wanted.clamp(-1.0, 1.0).numpy()], axis=1)


class Lapo:
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
        torch.manual_seed(config.seed)
        self._model, self.config = model, config
        self._rng = np.random.default_rng(config.seed)
        window = model.config.context + config.latent_actions.ahead
        self._clips = open_clips(record["dataset"], frames=(window - 1) * config.stride + 1)
        if content_hash(self._clips) != record["dataset_hash"]:
            raise ValueError(
                f"{self._clips.folder} holds other clips than the model was pretrained on: build those, or pretrain anew."
            )
        self._among = training_clips(self._clips, record["config"]["clips"])

    def run(self) -> Iterator[tuple[int, Metrics]]:
        """Train; yield (decisions so far, metrics) before the first, every `evaluate_every` and after the last."""
        config, tokenizer = self.config, self._model.tokenizer
        venv = make_envs(config, config.first_seed)
        films = random_episodes(venv, config.random_episodes, self._rng)
        adapt_tokenizer(tokenizer, films.pictures(), config, self._rng)
        learner = LatentActions(self._model, config.latent_actions, films.actions.shape[-1])
        store = open_tokens(tokenizer, self._clips)
        told = learn_from_videos(learner, store, self._among, config.stride, self._rng)
        env = LatentActionVecEnv(venv, tokenizer, learner)
        remember(env.replay, tokenize(tokenizer, films.frames), films.actions)
        decoding = Stepper([learner.action], learning_rate=config.latent_actions.policy.learning_rate)
        told |= self._decode(learner, decoding, env.replay, config.latent_actions.first_steps)

        def between() -> None:
            left = max(0.0, 1.0 - agent.num_timesteps / config.decisions)
            policy().set_spread(between_ends(config.spread, left))
            told.update(self._decode(learner, decoding, env.replay, config.latent_actions.steps))

        def policy() -> AlignmentPolicy:
            assert isinstance(agent.policy, AlignmentPolicy)
            return agent.policy

        assert env.observation_space.shape is not None
        agent = make_agent(
            env,
            config,
            between,
            inputs=env.observation_space.shape[0],
            outright=learner.count,
            trunk=partial(_trunk, SEEN * tokenizer.config.code_dim, learner.count),
        )
        policy().set_spread(config.spread[0])
        before = float(films.actions[..., 0].size)
        yield 0, {**self._evaluate(learner, policy()), **told, "random_decisions": before}
        while agent.num_timesteps < config.decisions:
            more = min(config.evaluate_every, config.decisions - agent.num_timesteps)
            agent.learn(more, reset_num_timesteps=False)
            yield agent.num_timesteps, {**self._evaluate(learner, policy()), **told}
        venv.close()

    def _decode(self, learner: LatentActions, stepper: Stepper, replay: Replay, steps: int) -> Metrics:
        """Learn what codes are as actions, at a rate that falls to a tenth; the mean loss of the last hundred."""
        config, losses = self.config.latent_actions.policy, []
        learner.action.train()
        for step in range(steps):
            loss = learner.action_loss(*replay.sample(self._rng, config.batch_size))
            stepper.step(loss, learning_rate=config.learning_rate * (1.0 - 0.9 * step / steps))
            losses.append(loss.item())
        learner.action.eval()
        return {"decoded": float(np.mean(losses[-100:]))} if losses else {}

    def _evaluate(self, learner: LatentActions, policy: AlignmentPolicy) -> Metrics:
        venv = make_envs(self.config, EVALUATION_SEED)
        env = LatentActionVecEnv(venv, self._model.tokenizer, learner)
        return measured(env, policy, self.config.episodes)


def _trunk(planes: int, actions: int, more: int) -> nn.Module:
    """Over planes, the action after them and `more` numbers."""
    return PlanesTrunk(planes, actions + more)
