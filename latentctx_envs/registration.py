"""Every environment id of the project, written out."""

import gymnasium as gym


def register_all() -> None:
    """Register every id with Gymnasium; calling it again changes nothing."""
    if "LatentCtx-PointMass-v0" not in gym.registry:
        gym.register(
            id="LatentCtx-PointMass-v0",
            entry_point="latentctx_envs.point_mass.env:PointMassEnv",
            vector_entry_point="latentctx_envs.point_mass.vector:PointMassVectorEnv",
            max_episode_steps=100,
        )
    if "LatentCtx-CheetahRun-v0" not in gym.registry:
        gym.register(
            id="LatentCtx-CheetahRun-v0",
            entry_point="latentctx_envs.locomotion.env:CheetahEnv",
            vector_entry_point="latentctx_envs.locomotion.vector:CheetahVectorEnv",
            max_episode_steps=1000,
            kwargs={"task": "run"},
        )
    if "LatentCtx-WalkerStand-v0" not in gym.registry:
        gym.register(
            id="LatentCtx-WalkerStand-v0",
            entry_point="latentctx_envs.locomotion.env:WalkerEnv",
            vector_entry_point="latentctx_envs.locomotion.vector:WalkerVectorEnv",
            max_episode_steps=1000,
            kwargs={"task": "stand"},
        )
    if "LatentCtx-WalkerWalk-v0" not in gym.registry:
        gym.register(
            id="LatentCtx-WalkerWalk-v0",
            entry_point="latentctx_envs.locomotion.env:WalkerEnv",
            vector_entry_point="latentctx_envs.locomotion.vector:WalkerVectorEnv",
            max_episode_steps=1000,
            kwargs={"task": "walk"},
        )
    if "LatentCtx-WalkerRun-v0" not in gym.registry:
        gym.register(
            id="LatentCtx-WalkerRun-v0",
            entry_point="latentctx_envs.locomotion.env:WalkerEnv",
            vector_entry_point="latentctx_envs.locomotion.vector:WalkerVectorEnv",
            max_episode_steps=1000,
            kwargs={"task": "run"},
        )


def ids() -> tuple[str, ...]:
    """The registered ids of this project, sorted."""
    return tuple(sorted(name for name in gym.registry if name.startswith("LatentCtx-")))
