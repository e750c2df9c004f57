"""A finetuned policy on disk: config, safetensors head and, if it sees pixels, its encoder."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from latentctx_agents.evaluate import EVALUATION_SEED, steps_together, success_of
from latentctx_agents.film import film, viewed
from latentctx_agents.model_folder import first_missing, refuse_other_folder
from latentctx_agents.nets import mlp
from latentctx_agents.policies import HeadPolicy
from latentctx_agents.stats import wilson_interval
from latentctx_datasets import View
from latentctx_envs.encoders import Encoder, load_encoder
from latentctx_envs.encoders.tensors import write_tensors
from latentctx_envs.registration import ids
from latentctx_envs.replacing import replacing_folder
from latentctx_envs.wrappers import EncodeObservation, VectorEncodeObservation

FORMAT_VERSION = 1
CONFIG_FILE, HEAD_FILE, ENCODER = "config.json", "head.safetensors", "encoder"
FILES = (CONFIG_FILE, HEAD_FILE, ENCODER)


@dataclass(frozen=True, kw_only=True)
class PolicyCard:
    """What a policy expects and for which context it was trained."""

    env_id: str
    method: str  # how it was made, e.g. "inverse_dynamics", "scratch", "states"
    context: dict[str, Any] | None  # of its demonstrations; None where each had its own
    inputs: int  # length of the head's input
    outputs: int  # action dimension
    hidden: tuple[int, ...]  # widths of the head
    view: View | None  # of the pixels; None for a policy on positions
    training: dict[str, Any]  # how it was trained
    env_kwargs: dict[str, Any] = field(default_factory=dict)  # of the environment, besides what is seen


class FinetunedPolicy:
    """A head on positions or on an encoder's features, with what is needed to run it.

    Args:
        card: what it expects.
        head: the network.
        encoder: turns pixels into the head's input; None for a policy on positions.
    """

    def __init__(self, card: PolicyCard, head: nn.Module, encoder: Encoder | None) -> None:
        self.card = card
        self.head = head.eval()
        self.encoder = encoder
        self.policy = HeadPolicy(head)

    def make_env(self, **kwargs: Any) -> gym.Env[Any, Any]:
        """An environment whose observations this policy takes; `kwargs` are further arguments, such as `render_mode`."""
        card = self.card
        settings = {**card.env_kwargs, **kwargs}
        if card.view is None or self.encoder is None:
            return gym.make(card.env_id, observation="position", **settings)
        env = gym.make(card.env_id, **{**settings, "observation": "pixels", **card.view.arguments()})
        return EncodeObservation(env, self.encoder)

    def make_vec(
        self, num_envs: int, *, num_workers: int | None = None
    ) -> gym.vector.VectorEnv[Any, Any, Any]:
        """N environments whose observations this policy takes.

        Args:
            num_envs: N.
            num_workers: processes that render beside this one; None for one a core.
        """
        card = self.card
        if card.view is None or self.encoder is None:
            return gym.make_vec(card.env_id, num_envs=num_envs, observation="position", **card.env_kwargs)
        shown = {**card.env_kwargs, "observation": "pixels", **card.view.arguments()}
        env = gym.make_vec(card.env_id, num_envs=num_envs, num_workers=num_workers, **shown)
        return VectorEncodeObservation(env, self.encoder)

    def success(self, episodes: int, *, num_workers: int | None = None, **options: Any) -> np.ndarray:
        """Whether each of N episodes succeeded, bool (N,): side by side where the world can, else in turn.

        Args:
            episodes: N.
            num_workers: processes that render beside this one; None for one a core.
            options: `seed` and `progress` of `success_of`.
        """
        together = steps_together(self.card.env_id)
        env = self.make_vec(episodes, num_workers=num_workers) if together else self.make_env()
        count = None if together else episodes
        found = success_of(self.policy, env, self.card.context, episodes=count, **options)
        env.close()
        return found

    @property
    def title(self) -> str:
        """Of films."""
        return self.card.method

    def measured(self, episodes: int, **options: Any) -> dict[str, Any]:
        """Success with its interval, as plain values that commands print; arguments are those of `success`."""
        success = self.success(episodes, progress=True, **options)
        low, high = wilson_interval(int(success.sum()), len(success))
        return {
            "success": round(float(success.mean()), 4),
            "ci95": [round(low, 4), round(high, 4)],
            "episodes": len(success),
            "method": self.card.method,
            "context": self.card.context,
        }

    def film(self, title: str, *, seed: int = EVALUATION_SEED) -> np.ndarray:
        """Frames of one episode, uint8 (t, h, w, 3), the context drawn in where it has a place."""
        card = self.card
        reset = {"seed": seed, "options": None if card.context is None else {"context": card.context}}
        return film(self.policy, viewed(self.make_env), title, reset)

    def save(self, directory: Path) -> None:
        """Write the policy, replacing one that is in the directory in one move.

        Raises:
            ValueError: the directory holds something else.
        """
        config = {"format_version": FORMAT_VERSION, **asdict(self.card)}
        with replacing_folder(directory, own=FILES, what="a policy") as fresh:
            (fresh / CONFIG_FILE).write_text(json.dumps(config, indent=2) + "\n")
            write_tensors(fresh / HEAD_FILE, self.head.state_dict())
            if self.encoder is not None:
                self.encoder.save_pretrained(fresh / ENCODER)

    @classmethod
    def load(cls, directory: Path) -> "FinetunedPolicy":
        """Read a policy back.

        Raises:
            ValueError: files are missing or damaged.
        """
        refuse_other_folder(directory, "policy", "policy", "agent")
        try:
            config = json.loads((directory / CONFIG_FILE).read_text())
            if config.pop("format_version") != FORMAT_VERSION:
                raise ValueError("another format version")
            view = View(**config.pop("view")) if config["view"] is not None else config.pop("view")
            card = PolicyCard(**{**config, "hidden": tuple(config["hidden"]), "view": view})
            if card.env_id not in ids():  # Gymnasium would import what it names
                raise ValueError(f"{card.env_id!r} is no world of this project")
            head = mlp(card.inputs, card.outputs, hidden=card.hidden, last=nn.Tanh())
            weights = load_file(directory / HEAD_FILE)
            head.load_state_dict(weights)
        except FileNotFoundError:
            missing = first_missing(directory, CONFIG_FILE, HEAD_FILE)
            raise ValueError(f"{directory} is no policy: {missing} is missing.") from None
        except (ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
            reason = str(error).splitlines()[0]
            raise ValueError(f"{directory} is damaged ({reason}): finetune the policy again.") from None
        encoder = load_encoder(directory / ENCODER) if view is not None else None
        return cls(card, head, encoder)


def as_head(network: nn.Sequential) -> nn.Sequential:
    """A head without its dropout layers, whose parameters keep their names in a net made without dropout."""
    kept = [layer for layer in network if not isinstance(layer, nn.Dropout)]
    return nn.Sequential(*kept).eval()
