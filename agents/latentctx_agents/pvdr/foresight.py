"""What is planned for environments that are followed: their context in tokens, the chosen plan, and what is read of it."""

import numpy as np
import torch
from torch import Tensor

from latentctx_agents.pvdr.folder import VideoModel
from latentctx_agents.pvdr.planning import Plan, Planner
from latentctx_agents.pvdr.reading import Reading
from latentctx_agents.pvdr.tokens import tokens_of


class Foresight:
    """Follows b environments frame by frame and plans from where they are.

    Args:
        model: tokenizer and dynamics; what they learn meanwhile is used from the next plan on.
        planner: chooses the latents.
        reading: what of a plan is shown.
        count: b.

    Attributes:
        size: r + n, numbers that are shown of each environment.
        context: tokens int64 (b, m, 64) of the last frames; an episode's first frame stands for those before it.
        goal: tokens int64 (b, 64).
        scale: distances of the episodes' first frames to their goals, (b, k).
    """

    def __init__(self, model: VideoModel, planner: Planner, reading: Reading, count: int) -> None:
        self._tokenizer, self._planner, self._reading = model.tokenizer, planner, reading
        sizes = model.config
        self.size = reading.size + sizes.future
        self.context = torch.zeros(count, sizes.context, 64, dtype=torch.int64)
        self.goal = torch.zeros(count, 64, dtype=torch.int64)
        self.scale = torch.ones(count, planner.distance.kinds)
        self._plan: Plan | None = None

    @property
    def plan(self) -> Plan:
        """The plans that were shown last."""
        assert self._plan is not None
        return self._plan

    def begin(self, rows: np.ndarray, frames: np.ndarray, goals: np.ndarray) -> Tensor:
        """Episodes of the environments `rows` (k,) begin with frames and goals uint8 (k, 64, 64, 3); the frames' tokens."""
        tokens, goal, index = self.tokens(frames), self.tokens(goals), torch.from_numpy(rows)
        self.context[index] = tokens[:, None].expand(-1, self.context.shape[1], -1)
        self.goal[index] = goal
        self.scale[index] = self._planner.distance.scale(tokens, goal)
        return tokens

    def follow(self, tokens: Tensor) -> None:
        """All environments came to frames of these tokens (b, 64)."""
        self.context = torch.cat([self.context[:, 1:], tokens[:, None]], dim=1)

    def look(self) -> np.ndarray:
        """Plan; what is read of the plans and how far their frames are from the goals, float32 (b, size)."""
        self._plan = plan = self._planner.plan(self.context, self.goal, self.scale)
        with torch.inference_mode():
            read = self._reading.of_plan(self.context, plan.latent, plan.future)
        return torch.cat([read, plan.left], dim=1).numpy()

    def tokens(self, frames: np.ndarray) -> Tensor:
        """Tokens int64 (b, 64) of frames."""
        return tokens_of(self._tokenizer, frames)
