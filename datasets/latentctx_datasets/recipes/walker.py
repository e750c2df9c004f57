"""The walker's datasets (AIME, NeurIPS 2023, and our own tasks); `latentctx dreamer` makes an exploration set, `plan2explore-v0`."""

from latentctx_datasets.recipes.locomotion import (
    expert_recipe,
    mixed_plans,
    random_recipe,
    replay_recipe,
)
from latentctx_datasets.recipes.recipe import Recipe
from latentctx_envs.locomotion.context import WalkerContext
from latentctx_envs.locomotion.protocol import ENV_KWARGS, NATIVE_RETURN

_STAND = WalkerContext(task="stand")
_WALK = WalkerContext(task="walk")
_RUN = WalkerContext(task="run")
_WALK_BACKWARD = WalkerContext(task="walk-backward")
_RUN_BACKWARD = WalkerContext(task="run-backward")
_FLIP = WalkerContext(task="flip")
_FLIP_BACKWARD = WalkerContext(task="flip-backward")
_JUMP = WalkerContext(task="jump")

_random = random_recipe("latentctx/walker/random-v0", _WALK)
_stand_replay = replay_recipe("latentctx/walker/stand-replay-v0", _STAND, "standing")
_walk_replay = replay_recipe("latentctx/walker/walk-replay-v0", _WALK, "walking")
_noisy_stand_replay = replay_recipe("latentctx/walker/stand-noisy-replay-v0", _STAND, "standing", noisy=True)
_noisy_walk_replay = replay_recipe("latentctx/walker/walk-noisy-replay-v0", _WALK, "walking", noisy=True)

WALKER: tuple[Recipe, ...] = (
    _random,
    expert_recipe("latentctx/walker/stand-expert-v0", _STAND, "standing"),
    expert_recipe("latentctx/walker/walk-expert-v0", _WALK, "walking"),
    expert_recipe("latentctx/walker/run-expert-v0", _RUN, "running"),
    expert_recipe("latentctx/walker/walk-backward-expert-v0", _WALK_BACKWARD, "walking backward"),
    expert_recipe("latentctx/walker/run-backward-expert-v0", _RUN_BACKWARD, "running backward"),
    expert_recipe("latentctx/walker/flip-expert-v0", _FLIP, "flipping forward"),
    expert_recipe("latentctx/walker/flip-backward-expert-v0", _FLIP_BACKWARD, "flipping backward"),
    expert_recipe("latentctx/walker/jump-expert-v0", _JUMP, "jumping"),
    _stand_replay,
    _walk_replay,
    replay_recipe("latentctx/walker/run-replay-v0", _RUN, "running"),
    replay_recipe("latentctx/walker/walk-backward-replay-v0", _WALK_BACKWARD, "walking backward"),
    replay_recipe("latentctx/walker/run-backward-replay-v0", _RUN_BACKWARD, "running backward"),
    replay_recipe("latentctx/walker/flip-replay-v0", _FLIP, "flipping forward"),
    replay_recipe("latentctx/walker/flip-backward-replay-v0", _FLIP_BACKWARD, "flipping backward"),
    replay_recipe("latentctx/walker/jump-replay-v0", _JUMP, "jumping"),
    Recipe(
        # the world of all tasks, as each part is rewarded for its own; the paper's fourth part is its exploration set
        id="latentctx/walker/mix-v0",
        env_id="LatentCtx-Walker-v0",
        env_kwargs=ENV_KWARGS,
        demonstrator="random",
        guests=(_stand_replay.demonstrator, _walk_replay.demonstrator),
        plans=mixed_plans(_random.plans, _stand_replay.plans, _walk_replay.plans),
        description="The episodes of random-v0, stand-replay-v0 and walk-replay-v0: the paper's mix without exploration.",
        max_return=NATIVE_RETURN,
    ),
    expert_recipe("latentctx/walker/stand-noisy-expert-v0", _STAND, "standing", noisy=True),
    expert_recipe("latentctx/walker/walk-noisy-expert-v0", _WALK, "walking", noisy=True),
    expert_recipe("latentctx/walker/run-noisy-expert-v0", _RUN, "running", noisy=True),
    _noisy_stand_replay,
    _noisy_walk_replay,
    replay_recipe("latentctx/walker/run-noisy-replay-v0", _RUN, "running", noisy=True),
    Recipe(
        id="latentctx/walker/noisy-mix-v0",
        env_id="LatentCtx-Walker-v0",
        env_kwargs=ENV_KWARGS,
        demonstrator="random",
        guests=(_noisy_stand_replay.demonstrator, _noisy_walk_replay.demonstrator),
        plans=mixed_plans(_random.plans, _noisy_stand_replay.plans, _noisy_walk_replay.plans),
        description="The episodes of random-v0, stand-noisy-replay-v0 and walk-noisy-replay-v0.",
        max_return=NATIVE_RETURN,
    ),
)
