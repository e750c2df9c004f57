"""What PVDR costs on one core: a decision of its planner (drawing latents, foretelling with each, choosing), and learning.

The peer of the first comparison writes the choice of tokens as one would: all logits, the kept token's raised, torch's
largest. That of the second plans for one environment after another. Same weights, same draws, same plans. The weights
are random: a plan's cost does not depend on them. The third is one update of the dynamics in the QUICK preset, products in
float32 and in bfloat16.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from harness import as_json, compare, run

from latentctx_agents.optim import Precision, Stepper, in_precision
from latentctx_agents.pvdr.action_metric import ActionMetric
from latentctx_agents.pvdr.distance import ActionDistance, Distance, TokenDistance, colours_of
from latentctx_agents.pvdr.evidence import evidence_loss
from latentctx_agents.pvdr.folder import VideoModel
from latentctx_agents.pvdr.model import DynamicsModel
from latentctx_agents.pvdr.planning import Planner
from latentctx_agents.pvdr.pretrain import QUICK
from latentctx_envs.encoders.dynamics.config import DynamicsConfig

PLANS = 32
ENVS = 4


def results() -> dict[str, Any]:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = VideoModel(DynamicsConfig()).eval()
    frames = np.random.default_rng(0).integers(0, 256, (64, 64, 64, 3), dtype=np.uint8)
    distance = TokenDistance(model.tokenizer, colours_of(model.tokenizer, frames))
    actions = ActionDistance(ActionMetric(model.tokenizer, 4).eval())
    context = torch.randint(0, 512, (ENVS, model.config.context, 64))
    goal, scale = torch.randint(0, 512, (ENVS, 64)), torch.ones(ENVS, 2)

    def planning(rows: slice, by: Distance = distance) -> Callable[[], int]:
        planner = Planner(model.dynamics, by, count=PLANS, rng=np.random.default_rng(0))

        def arm() -> int:
            planner.plan(context[rows], goal[rows], scale[rows, : by.kinds])
            return len(context[rows])

        return arm

    def one_by_one() -> int:
        return sum(arm() for arm in alone)

    alone = [planning(slice(row, row + 1)) for row in range(ENVS)]
    plain = PlainPlanner(model.dynamics, distance, count=PLANS, rng=np.random.default_rng(0))

    def update(precision: Precision) -> Callable[[], int]:
        learner = DynamicsModel(DynamicsConfig())
        stepper = Stepper([learner], learning_rate=1e-3, clip=1.0)
        tokens = torch.randint(0, 512, (QUICK.optimizer.batch_size, learner.config.window, 64))
        noise = torch.randn(len(tokens), learner.config.latent)

        def arm() -> int:
            with in_precision("cpu", precision):
                loss, _ = evidence_loss(learner, tokens, noise, QUICK.evidence.beta, QUICK.evidence)
            stepper.step(loss)
            return 1

        return arm

    def written_out() -> int:
        plain.plan(context[:1], goal[:1], scale[:1])
        return 1

    return as_json(
        {
            "tokens": compare(
                f"{PLANS} plans, one environment",
                {"logits": written_out, "ours": alone[0]},
                peer="logits",
                unit="decision",
                targets={"ours": 1.0},
                seconds=1.0,
            ),
            "batch": compare(
                f"{PLANS} plans each, {ENVS} environments",
                {"one by one": one_by_one, "one batch": planning(slice(None))},
                peer="one by one",
                unit="decision",
                seconds=1.0,
            ),
            "actions": compare(
                f"{PLANS} plans, one environment, by distance",
                {"of tokens": alone[0], "of actions": planning(slice(1), actions)},
                peer="of tokens",
                unit="decision",
                seconds=1.0,
            ),
            "learning": compare(
                "dynamics, one update, QUICK (B 32)",
                {"float32": update("float32"), "bfloat16": update("bfloat16")},
                peer="float32",
                unit="update",
                targets={"bfloat16": 1.3},
                seconds=2.0,
            ),
        }
    )


class PlainPlanner(Planner):
    """Tokens from all logits."""

    @torch.inference_mode()
    def plan(self, context: torch.Tensor, goal: torch.Tensor, scale: torch.Tensor) -> Any:
        """As `Planner.plan`."""
        prior, decoder = self.model.prior, self.model.decoder
        assert prior is not None
        noise = torch.from_numpy(self._rng.standard_normal((len(context), self.count, 16), dtype=np.float32))
        found = prior(context)
        latents = found.mean[:, None] + found.std[:, None] * noise
        repeated = context.repeat_interleave(self.count, dim=0)
        futures = decoder(repeated, latents.flatten(0, 1)).argmax(dim=-1).unflatten(0, (-1, self.count))
        least = self.distance(futures, goal[:, None, None], scale[:, None, None]).amin(dim=-1)
        best = least.argmin(dim=1)
        rows = torch.arange(len(context))
        return latents[rows, best], futures[rows, best], least[rows, best]


if __name__ == "__main__":
    run(__doc__ or "", results)
