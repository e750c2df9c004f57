"""Every environment id of the project, written out."""

import gymnasium as gym
from gymnasium.envs.registration import EnvSpec

FAMILIES = {  # how ids begin -> whose body and scene these worlds show
    "LatentCtx-Cheetah": "cheetah",
    "LatentCtx-Door": "meta-world",
    "LatentCtx-Kitchen": "kitchen",
    "LatentCtx-MetaWorld": "meta-world",
    "LatentCtx-OGBench": "ogbench",
    "LatentCtx-PickPlace": "meta-world",
    "LatentCtx-PointMass": "point-mass",
    "LatentCtx-RLBench": "rlbench",
    "LatentCtx-Walker": "walker",
}


def register_all() -> None:
    """Register every id with Gymnasium; calling it again changes nothing."""
    if "LatentCtx-PointMass-v0" in gym.registry:
        return
    gym.register(
        id="LatentCtx-PointMass-v0",
        entry_point="latentctx_envs.point_mass.env:PointMassEnv",
        vector_entry_point="latentctx_envs.point_mass.vector:PointMassVectorEnv",
        max_episode_steps=100,
    )
    gym.register(
        id="LatentCtx-Cheetah-v0",
        entry_point="latentctx_envs.locomotion.env:CheetahEnv",
        vector_entry_point="latentctx_envs.locomotion.vector:CheetahVectorEnv",
        max_episode_steps=1000,
    )
    gym.register(
        id="LatentCtx-CheetahRun-v0",
        entry_point="latentctx_envs.locomotion.env:CheetahEnv",
        vector_entry_point="latentctx_envs.locomotion.vector:CheetahVectorEnv",
        max_episode_steps=1000,
        kwargs={"task": "run"},
    )
    gym.register(
        id="LatentCtx-CheetahRunBackward-v0",
        entry_point="latentctx_envs.locomotion.env:CheetahEnv",
        vector_entry_point="latentctx_envs.locomotion.vector:CheetahVectorEnv",
        max_episode_steps=1000,
        kwargs={"task": "run-backward"},
    )
    gym.register(
        id="LatentCtx-CheetahFlip-v0",
        entry_point="latentctx_envs.locomotion.env:CheetahEnv",
        vector_entry_point="latentctx_envs.locomotion.vector:CheetahVectorEnv",
        max_episode_steps=1000,
        kwargs={"task": "flip"},
    )
    gym.register(
        id="LatentCtx-CheetahFlipBackward-v0",
        entry_point="latentctx_envs.locomotion.env:CheetahEnv",
        vector_entry_point="latentctx_envs.locomotion.vector:CheetahVectorEnv",
        max_episode_steps=1000,
        kwargs={"task": "flip-backward"},
    )
    gym.register(
        id="LatentCtx-Walker-v0",
        entry_point="latentctx_envs.locomotion.env:WalkerEnv",
        vector_entry_point="latentctx_envs.locomotion.vector:WalkerVectorEnv",
        max_episode_steps=1000,
    )
    gym.register(
        id="LatentCtx-WalkerStand-v0",
        entry_point="latentctx_envs.locomotion.env:WalkerEnv",
        vector_entry_point="latentctx_envs.locomotion.vector:WalkerVectorEnv",
        max_episode_steps=1000,
        kwargs={"task": "stand"},
    )
    gym.register(
        id="LatentCtx-WalkerWalk-v0",
        entry_point="latentctx_envs.locomotion.env:WalkerEnv",
        vector_entry_point="latentctx_envs.locomotion.vector:WalkerVectorEnv",
        max_episode_steps=1000,
        kwargs={"task": "walk"},
    )
    gym.register(
        id="LatentCtx-WalkerRun-v0",
        entry_point="latentctx_envs.locomotion.env:WalkerEnv",
        vector_entry_point="latentctx_envs.locomotion.vector:WalkerVectorEnv",
        max_episode_steps=1000,
        kwargs={"task": "run"},
    )
    gym.register(
        id="LatentCtx-WalkerWalkBackward-v0",
        entry_point="latentctx_envs.locomotion.env:WalkerEnv",
        vector_entry_point="latentctx_envs.locomotion.vector:WalkerVectorEnv",
        max_episode_steps=1000,
        kwargs={"task": "walk-backward"},
    )
    gym.register(
        id="LatentCtx-WalkerRunBackward-v0",
        entry_point="latentctx_envs.locomotion.env:WalkerEnv",
        vector_entry_point="latentctx_envs.locomotion.vector:WalkerVectorEnv",
        max_episode_steps=1000,
        kwargs={"task": "run-backward"},
    )
    gym.register(
        id="LatentCtx-WalkerFlip-v0",
        entry_point="latentctx_envs.locomotion.env:WalkerEnv",
        vector_entry_point="latentctx_envs.locomotion.vector:WalkerVectorEnv",
        max_episode_steps=1000,
        kwargs={"task": "flip"},
    )
    gym.register(
        id="LatentCtx-WalkerFlipBackward-v0",
        entry_point="latentctx_envs.locomotion.env:WalkerEnv",
        vector_entry_point="latentctx_envs.locomotion.vector:WalkerVectorEnv",
        max_episode_steps=1000,
        kwargs={"task": "flip-backward"},
    )
    gym.register(
        id="LatentCtx-WalkerJump-v0",
        entry_point="latentctx_envs.locomotion.env:WalkerEnv",
        vector_entry_point="latentctx_envs.locomotion.vector:WalkerVectorEnv",
        max_episode_steps=1000,
        kwargs={"task": "jump"},
    )
    gym.register(
        id="LatentCtx-MetaWorld-v0",
        entry_point="latentctx_envs.meta_world.env:MetaWorldEnv",
        max_episode_steps=250,
    )
    gym.register(
        id="LatentCtx-PickPlace-v0",
        entry_point="latentctx_envs.meta_world.env:PickPlaceEnv",
        max_episode_steps=250,
    )
    gym.register(
        id="LatentCtx-Door-v0",
        entry_point="latentctx_envs.meta_world.env:DoorEnv",
        max_episode_steps=250,
    )
    gym.register(
        id="LatentCtx-MetaWorldGoal-v0",
        entry_point="latentctx_envs.meta_world.goal_env:MetaWorldGoalEnv",
        max_episode_steps=100,
    )
    gym.register(
        id="LatentCtx-RLBench-v0",
        entry_point="latentctx_envs.rlbench.env:RLBenchEnv",
        max_episode_steps=50,
        nondeterministic=True,  # CoppeliaSim plans a demonstration's path with random numbers that no seed reaches
    )
    gym.register(
        id="LatentCtx-OGBench-v0",
        entry_point="latentctx_envs.ogbench.env:OGBenchEnv",
        max_episode_steps=200,
    )
    gym.register(
        id="LatentCtx-Kitchen-v0",
        entry_point="latentctx_envs.kitchen.env:KitchenEnv",
        max_episode_steps=280,
    )


def family_of(world: str | EnvSpec | None) -> str | None:
    """Whose body and scene a world shows: a family of this project, else the id itself; None of one without an id."""
    name = world.id if isinstance(world, EnvSpec) else world
    return next((family for begin, family in FAMILIES.items() if (name or "").startswith(begin)), name)


def ids() -> tuple[str, ...]:
    """The registered ids of this project, sorted."""
    return tuple(sorted(name for name in gym.registry if name.startswith("LatentCtx-")))
