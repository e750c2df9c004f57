"""The cheetah's datasets (AIME, NeurIPS 2023); `latentctx dreamer` makes an exploration set, `plan2explore-v0`."""

from latentctx_datasets.recipes.locomotion import (
    expert_recipe,
    random_recipe,
    replay_recipe,
)
from latentctx_datasets.recipes.recipe import Recipe
from latentctx_envs.locomotion.context import CheetahContext

_RUN = CheetahContext(task="run")
_RUN_BACKWARD = CheetahContext(task="run-backward")
_FLIP = CheetahContext(task="flip")
_FLIP_BACKWARD = CheetahContext(task="flip-backward")

CHEETAH: tuple[Recipe, ...] = (
    random_recipe("latentctx/cheetah/random-v0", _RUN),
    expert_recipe("latentctx/cheetah/run-expert-v0", _RUN, "running"),
    expert_recipe("latentctx/cheetah/run-backward-expert-v0", _RUN_BACKWARD, "running backward"),
    expert_recipe("latentctx/cheetah/flip-expert-v0", _FLIP, "flipping forward"),
    expert_recipe("latentctx/cheetah/flip-backward-expert-v0", _FLIP_BACKWARD, "flipping backward"),
    replay_recipe("latentctx/cheetah/run-replay-v0", _RUN, "running"),
    replay_recipe("latentctx/cheetah/run-backward-replay-v0", _RUN_BACKWARD, "running backward"),
    replay_recipe("latentctx/cheetah/flip-replay-v0", _FLIP, "flipping forward"),
    replay_recipe("latentctx/cheetah/flip-backward-replay-v0", _FLIP_BACKWARD, "flipping backward"),
)
