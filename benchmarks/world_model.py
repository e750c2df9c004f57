"""One gradient step of a world model on two cores or fewer: what is in the recurrent loop and what is not.

The peer of the first comparison is the oracle of the tests, which writes each step down as the formulas have it; that of
the second is what one would write with care: embeddings before the loop, decoders after it, torch's cell and
distributions in it. `ours` has nothing but the recurrence in the loop, its first products split, networks of means and
standard deviations side by side. Same weights, same noise, same loss and gradients (tests/agents/test_world_model.py).
"""

import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from harness import Comparison, as_json, compare, run
from torch import Tensor
from torch.distributions import Independent, Normal, kl_divergence

from latentctx_agents.world_models.evidence import model_loss
from latentctx_agents.world_models.model import Observations, WorldModel
from latentctx_envs.encoders.latent.config import QUICK, RSSM, WorldModelConfig
from latentctx_envs.encoders.latent.gaussian import tanh_log_prob
from latentctx_envs.encoders.latent.sensors import Sensors

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "agents"))
import naive_world_model

TIME = 50
SIZES: dict[str, tuple[WorldModelConfig, int]] = {"QUICK": (QUICK, 16), "full": (RSSM, 50)}


def results() -> dict[str, Any]:
    torch.set_num_threads(1)
    comparisons: dict[str, Comparison] = {}
    for name, (config, batch) in SIZES.items():
        model, observations, actions = prepared(config, batch)

        def arm(loss: Callable[[], Tensor], model: WorldModel = model) -> Callable[[], int]:
            optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)

            def step() -> int:
                optimizer.zero_grad(set_to_none=True)
                loss().backward()
                torch.nn.utils.clip_grad_norm_(model.parameters(), 100.0)
                optimizer.step()
                return 1

            return step

        def ours(
            model: WorldModel = model, seen: Observations = observations, acted: Tensor = actions
        ) -> Tensor:
            return model_loss(model, seen, acted, model.noise(*acted.shape[:2]))[0]

        def half(ours: Callable[[], Tensor] = ours) -> Tensor:
            with torch.autocast("cpu", torch.bfloat16):
                return ours()

        def oracle(
            model: WorldModel = model, seen: Observations = observations, acted: Tensor = actions
        ) -> Tensor:
            return naive_world_model.model_loss(model, seen, acted, model.noise(*acted.shape[:2]))

        def careful(
            model: WorldModel = model, seen: Observations = observations, acted: Tensor = actions
        ) -> Tensor:
            return batched_loss(model, seen, acted, model.noise(*acted.shape[:2]))

        arms = {
            "step by step": arm(oracle),
            "batched": arm(careful),
            "ours": arm(ours),
            "ours, bf16": arm(half),
        }
        for peer in ("step by step", "batched"):
            others = {key: value for key, value in arms.items() if key in (peer, "ours", "ours, bf16")}
            comparisons[f"{name}, {peer}"] = compare(
                f"world model, one update, {name} (T {TIME}, B {batch})",
                others,
                peer=peer,
                unit="update",
                targets={"ours": 1.4} if name == "QUICK" else {"ours": 1.0, "ours, bf16": 1.7},
                seconds=1.0,
                rounds=5,
            )
    return as_json(comparisons)


def prepared(config: WorldModelConfig, batch: int) -> tuple[WorldModel, Observations, Tensor]:
    """A model of the walker's full state and a random batch."""
    torch.manual_seed(0)
    model = WorldModel(dataclasses.replace(config), Sensors.of("walker", "state"), 6)
    return model, Observations(torch.randn(TIME, batch, 24)), torch.rand(TIME, batch, 6) * 2 - 1


def batched_loss(model: WorldModel, observations: Observations, actions: Tensor, noise: Tensor) -> Tensor:
    """The same loss as one would write it with care: encoders and decoders over all steps at once, torch's parts inside."""
    embeddings = model.embed(observations)
    deter = torch.zeros(actions.shape[1], model.config.deter)
    stoch = torch.zeros(actions.shape[1], model.config.stoch)
    features, divergences = [], []
    for t in range(len(actions)):
        deter, stoch, posterior, prior = naive_world_model.step(
            model, deter, stoch, actions[t], embeddings[t], noise[t]
        )
        features.append(torch.cat([deter, stoch], dim=-1))
        divergences.append(kl_divergence(Independent(posterior, 1), Independent(prior, 1)))
    states, kl = torch.stack(features), torch.stack(divergences)
    likelihood, stds = torch.zeros(kl.shape), []
    for name, target in model.targets(observations).items():
        found: Normal = naive_world_model.gaussian(model.decoders[name], states)  # type: ignore[arg-type]
        likelihood = likelihood + (found.log_prob(target) * found.stddev.detach()).sum(dim=-1)
        stds.append(found.stddev.detach())
    kl = kl * torch.cat(stds, dim=-1).mean(dim=-1)
    inverse = model.idm(torch.cat([states[:-1], embeddings[1:]], dim=-1).detach())
    idm = -tanh_log_prob(inverse, actions[1:]).sum(dim=-1).sum(dim=0).mean()
    return (kl - likelihood).sum(dim=0).mean() + idm


if __name__ == "__main__":
    run(__doc__ or "", results)
