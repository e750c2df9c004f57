"""Returns before and after learning online, as rows of results."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from latentctx_agents.aime.agent import load_agent
from latentctx_agents.aime.imitate import AGENT, open_demonstrations, task_of
from latentctx_agents.aime_online.agent import OnlineAime
from latentctx_agents.aime_online.train import OFFLINE, learned_of
from latentctx_agents.results import Measurement
from latentctx_datasets.demonstrators.locomotion import ENV_IDS

STUDY = "aime_online"
BEFORE, AFTER = "aime", "aime_online"


def measure(
    learner: OnlineAime, directory: Path, *, agent: Path | None = None, episodes: int = 100
) -> dict[str, np.ndarray]:
    """Returns of the offline policy and of the online one in episodes that begin alike, by method.

    Args:
        learner: as `fine_tune` returned it.
        directory: run folder.
        agent: as in `fine_tune`.
        episodes: of either, side by side.
    """
    before, _ = load_agent(agent or directory / OFFLINE / AGENT)
    after = learned_of(learner).cpu()
    draws = learner.config.seed
    return {name: who.returns(episodes, draws=draws) for name, who in ((BEFORE, before), (AFTER, after))}


def rows_of(learner: OnlineAime, directory: Path, returns: dict[str, np.ndarray]) -> Iterator[Measurement]:
    """Mean return, its standard deviation and its share of the shown episodes' mean return, of each method.

    Args:
        learner: as `fine_tune` returned it.
        directory: run folder, which knows what it was begun from.
        returns: as `measure` gave them.
    """
    origin = json.loads((directory / "origin.json").read_text())
    config = learner.config
    imitation, task = config.imitation, task_of(config.imitation.dataset)
    store = open_demonstrations(imitation, learner.model)
    shown = np.add.reduceat(np.asarray(store.rewards, np.float64), store.starts)[: imitation.demos].mean()
    for method, found in returns.items():
        setting = {
            "task": task, "observed": learner.model.sensors.observed, "demos": imitation.demos,
            "rounds": config.rounds if method == AFTER else 0, "episodes_a_round": config.episodes,
            "updates": config.updates, "surrogate_weight": config.surrogate_weight, "old_share": config.old_share,
            "horizon": config.horizon, "gamma": config.gamma,
            **({} if "agent" in origin else {"imitation_steps": imitation.optimizer.steps}),  # else done before
            **{f"{name.replace(' ', '_')}_hash": digest[:16] for name, digest in sorted(origin.items())},
            "episodes": len(found),
        }  # fmt: skip
        metrics = {
            "return": found.mean(),
            "return_std": found.std(),
            "shown_share": found.mean() / shown,
        }
        for metric, value in metrics.items():
            yield Measurement(
                study=STUDY,
                world=ENV_IDS[task],
                dataset=imitation.dataset,
                method=method,
                setting=setting,
                seed=config.seed,
                metric=metric,
                value=float(value),
            )
