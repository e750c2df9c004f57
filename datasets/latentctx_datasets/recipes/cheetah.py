"""The cheetah's datasets (AIME, NeurIPS 2023); an exploration set, `plan2explore-v0`, has its place here."""

from typing import Any

from latentctx_datasets.recipes.locomotion import (
    CUSTOM_RETURN,
    ENV_KWARGS,
    NATIVE_RETURN,
    expert_plans,
    random_plans,
    replay_plans,
)
from latentctx_datasets.recipes.recipe import Recipe
from latentctx_envs.locomotion.context import CheetahContext

_RUN: dict[str, Any] = {
    "env_id": "LatentCtx-CheetahRun-v0",
    "env_kwargs": ENV_KWARGS,
    "demonstrator": "cheetah-run-ppo",
}
_RUN_BACKWARD: dict[str, Any] = {
    "env_id": "LatentCtx-CheetahRunBackward-v0",
    "env_kwargs": ENV_KWARGS,
    "demonstrator": "cheetah-run-backward-ppo",
}
_FLIP: dict[str, Any] = {
    "env_id": "LatentCtx-CheetahFlip-v0",
    "env_kwargs": ENV_KWARGS,
    "demonstrator": "cheetah-flip-ppo",
}
_FLIP_BACKWARD: dict[str, Any] = {
    "env_id": "LatentCtx-CheetahFlipBackward-v0",
    "env_kwargs": ENV_KWARGS,
    "demonstrator": "cheetah-flip-backward-ppo",
}

CHEETAH: tuple[Recipe, ...] = (
    Recipe(
        id="latentctx/cheetah/random-v0",
        plans=random_plans(CheetahContext(task="run")),
        description="1,000 episodes of uniformly random actions.",
        max_return=NATIVE_RETURN,
        **{**_RUN, "demonstrator": "random"},
    ),
    Recipe(
        id="latentctx/cheetah/run-expert-v0",
        plans=expert_plans(CheetahContext(task="run")),
        description="1,000 episodes of running; the first 100 are the main demonstrations.",
        **_RUN,
    ),
    Recipe(
        id="latentctx/cheetah/run-backward-expert-v0",
        plans=expert_plans(CheetahContext(task="run-backward")),
        description="1,000 episodes of running backward; the first 100 are the main demonstrations.",
        **_RUN_BACKWARD,
    ),
    Recipe(
        id="latentctx/cheetah/flip-expert-v0",
        plans=expert_plans(CheetahContext(task="flip")),
        description="1,000 episodes of flipping forward; the first 100 are the main demonstrations.",
        **_FLIP,
    ),
    Recipe(
        id="latentctx/cheetah/flip-backward-expert-v0",
        plans=expert_plans(CheetahContext(task="flip-backward")),
        description="1,000 episodes of flipping backward; the first 100 are the main demonstrations.",
        **_FLIP_BACKWARD,
    ),
    Recipe(
        id="latentctx/cheetah/run-replay-v0",
        plans=replay_plans(CheetahContext(task="run"), "cheetah-run-ppo"),
        description="1,000 episodes played evenly over the training of running.",
        max_return=NATIVE_RETURN,
        **_RUN,
    ),
    Recipe(
        id="latentctx/cheetah/run-backward-replay-v0",
        plans=replay_plans(CheetahContext(task="run-backward"), "cheetah-run-backward-ppo"),
        description="1,000 episodes played evenly over the training of running backward.",
        max_return=CUSTOM_RETURN,
        **_RUN_BACKWARD,
    ),
    Recipe(
        id="latentctx/cheetah/flip-replay-v0",
        plans=replay_plans(CheetahContext(task="flip"), "cheetah-flip-ppo"),
        description="1,000 episodes played evenly over the training of flipping forward.",
        max_return=CUSTOM_RETURN,
        **_FLIP,
    ),
    Recipe(
        id="latentctx/cheetah/flip-backward-replay-v0",
        plans=replay_plans(CheetahContext(task="flip-backward"), "cheetah-flip-backward-ppo"),
        description="1,000 episodes played evenly over the training of flipping backward.",
        max_return=CUSTOM_RETURN,
        **_FLIP_BACKWARD,
    ),
)
