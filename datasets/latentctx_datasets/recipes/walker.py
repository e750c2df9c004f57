"""The walker's datasets (AIME, NeurIPS 2023); an exploration set, `plan2explore-v0`, has its place here."""

from typing import Any

from latentctx_datasets.recipes.locomotion import (
    ENV_KWARGS,
    NATIVE_RETURN,
    expert_plans,
    mixed_plans,
    random_plans,
    replay_plans,
)
from latentctx_datasets.recipes.recipe import Recipe
from latentctx_envs.locomotion.context import WalkerContext

_STAND: dict[str, Any] = {
    "env_id": "LatentCtx-WalkerStand-v0",
    "env_kwargs": ENV_KWARGS,
    "demonstrator": "walker-stand-ppo",
}
_WALK: dict[str, Any] = {
    "env_id": "LatentCtx-WalkerWalk-v0",
    "env_kwargs": ENV_KWARGS,
    "demonstrator": "walker-walk-ppo",
}
_RUN: dict[str, Any] = {
    "env_id": "LatentCtx-WalkerRun-v0",
    "env_kwargs": ENV_KWARGS,
    "demonstrator": "walker-run-ppo",
}

_random = random_plans(WalkerContext(task="walk"))
_stand_replay = replay_plans(WalkerContext(task="stand"), "walker-stand-ppo")
_walk_replay = replay_plans(WalkerContext(task="walk"), "walker-walk-ppo")

WALKER: tuple[Recipe, ...] = (
    Recipe(
        id="latentctx/walker/random-v0",
        plans=_random,
        description="1,000 episodes of uniformly random actions.",
        max_return=NATIVE_RETURN,
        **{**_WALK, "demonstrator": "random"},
    ),
    Recipe(
        id="latentctx/walker/stand-expert-v0",
        plans=expert_plans(WalkerContext(task="stand")),
        description="1,000 episodes of standing; the first 100 are the main demonstrations.",
        **_STAND,
    ),
    Recipe(
        id="latentctx/walker/walk-expert-v0",
        plans=expert_plans(WalkerContext(task="walk")),
        description="1,000 episodes of walking; the first 100 are the main demonstrations.",
        **_WALK,
    ),
    Recipe(
        id="latentctx/walker/run-expert-v0",
        plans=expert_plans(WalkerContext(task="run")),
        description="1,000 episodes of running; the first 100 are the main demonstrations.",
        **_RUN,
    ),
    Recipe(
        id="latentctx/walker/stand-replay-v0",
        plans=_stand_replay,
        description="1,000 episodes played evenly over the training of standing.",
        max_return=NATIVE_RETURN,
        **_STAND,
    ),
    Recipe(
        id="latentctx/walker/walk-replay-v0",
        plans=_walk_replay,
        description="1,000 episodes played evenly over the training of walking.",
        max_return=NATIVE_RETURN,
        **_WALK,
    ),
    Recipe(
        id="latentctx/walker/run-replay-v0",
        plans=replay_plans(WalkerContext(task="run"), "walker-run-ppo"),
        description="1,000 episodes played evenly over the training of running.",
        max_return=NATIVE_RETURN,
        **_RUN,
    ),
    Recipe(
        # the world of all tasks, as each part is rewarded for its own; the paper's fourth part is its exploration set
        id="latentctx/walker/mix-v0",
        env_id="LatentCtx-Walker-v0",
        env_kwargs=ENV_KWARGS,
        demonstrator="random",
        guests=("walker-stand-ppo", "walker-walk-ppo"),
        plans=mixed_plans(_random, _stand_replay, _walk_replay),
        description="The episodes of random-v0, stand-replay-v0 and walk-replay-v0: the paper's mix without exploration.",
        max_return=NATIVE_RETURN,
    ),
)
