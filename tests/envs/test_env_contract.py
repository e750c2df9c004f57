"""Every registered id keeps the public contract, under several sets of keyword arguments."""

import copy
import json
import pickle
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import data_equivalence
from stable_baselines3.common.env_checker import check_env as sb3_check_env

from latentctx_envs.checks import check_latent_env
from latentctx_envs.registration import FAMILIES as WORLD_FAMILIES
from latentctx_envs.registration import family_of, ids, register_all
from latentctx_envs.wrappers import EncodeObservation

PIXELS = {"observation": "pixels", "image_size": 40, "render_profile": "turbo"}
VARIANTS: dict[str, dict[str, Any]] = {
    "default": {},
    "position": {"observation": "position"},
    "observed": {"context": "observed"},
    "pixels": PIXELS,
    "wide": {**PIXELS, "image_size": (40, 56), "render_profile": "fast"},
    "dict": {**PIXELS, "observation": ("pixels", "state")},
    "observed-pixels": {**PIXELS, "context": "observed"},
    "noisy-repeat": {"action_repeat": 3, "noise_scale": 0.3, "terminate_on_success": True},
    "viewer": {"render_mode": "rgb_array"},
}
POINT_MASS_VARIANTS: dict[str, dict[str, Any]] = {
    "train": {"observation": "position", "context_split": "train"},
    "test": {"context": "observed", "context_split": "test"},
    "visible": {**PIXELS, "goal_visible": True},
    "viewer-context": {"render_mode": "rgb_array", "render_context": True},
}
FAMILIES = ("LatentCtx-PointMass-v0", "LatentCtx-Cheetah-v0", "LatentCtx-WalkerWalk-v0")  # one id each
# no LatentContextEnvs: test_rlbench.py (on a fake) and test_ogbench.py check what they keep
OTHER_SIMULATORS = ("LatentCtx-OGBench-v0", "LatentCtx-RLBench-v0")


def trace(env: gym.Env[Any, Any], steps: int = 5, **reset: Any) -> list[Any]:
    env.action_space.seed(0)
    return [env.reset(**reset), *(env.step(env.action_space.sample()) for _ in range(steps))]


def test_every_id_belongs_to_a_family() -> None:
    assert [name for name in ids() if family_of(name) not in WORLD_FAMILIES.values()] == []
    assert (family_of("CartPole-v1"), family_of(None)) == ("CartPole-v1", None)


@pytest.fixture(params=VARIANTS)
def kwargs(request: pytest.FixtureRequest) -> dict[str, Any]:
    return VARIANTS[request.param]


@pytest.fixture(params=FAMILIES)
def env_id(request: pytest.FixtureRequest) -> str:
    return request.param


def push(env: gym.Env[Any, Any], size: float) -> np.ndarray:
    """An action of equal forces."""
    assert env.action_space.shape is not None
    return np.full(env.action_space.shape, size)


def test_ids_are_written_out_and_registering_again_changes_nothing() -> None:
    before = dict(gym.registry)
    register_all()
    assert dict(gym.registry) == before
    assert "LatentCtx-PointMass-v0" in ids()


def test_environment_keeps_the_contract(env_id: str, kwargs: dict[str, Any]) -> None:
    check_latent_env(env_id, **kwargs)


def test_ids_that_the_contract_leaves_out_are_registered() -> None:
    assert set(OTHER_SIMULATORS) <= set(ids())


@pytest.mark.parametrize("any_id", [name for name in ids() if name not in OTHER_SIMULATORS])
def test_every_id_keeps_the_contract_with_its_defaults(any_id: str) -> None:
    check_latent_env(any_id)


@pytest.mark.parametrize(
    "any_id", [*FAMILIES, "LatentCtx-PickPlace-v0", "LatentCtx-Door-v0", "LatentCtx-Kitchen-v0"]
)
def test_positions_are_found_in_states(any_id: str) -> None:
    with gym.make(any_id, observation=("state", "position")) as env:
        for step in trace(env, seed=3):
            seen = step[0]
            found = env.unwrapped.position_of(seen["state"][None])
            np.testing.assert_array_equal(found[0], seen["position"])


@pytest.mark.parametrize("variant", POINT_MASS_VARIANTS)
def test_point_mass_keeps_the_contract_with_its_own_arguments(variant: str) -> None:
    check_latent_env("LatentCtx-PointMass-v0", **POINT_MASS_VARIANTS[variant])


@pytest.mark.parametrize("context", ["hidden", "observed"])
def test_locomotion_keeps_the_contract_with_a_target_speed(context: str) -> None:
    check_latent_env("LatentCtx-Walker-v0", context_kind="speed", context=context, context_split="train")


def test_stable_baselines3_accepts_the_environment(env_id: str, kwargs: dict[str, Any]) -> None:
    with gym.make(env_id, **kwargs) as env:
        sb3_check_env(env.unwrapped, warn=False)


@pytest.mark.parametrize("rendered", [False, True])
def test_pickled_environment_continues_alike(env_id: str, kwargs: dict[str, Any], rendered: bool) -> None:
    with gym.make(env_id, **{**kwargs, "render_mode": "rgb_array"}) as env:
        trace(env, seed=1)
        if rendered:
            env.render()
        with pickle.loads(pickle.dumps(env)) as twin:
            assert data_equivalence(env.step(push(env, 0.5)), twin.step(push(env, 0.5)), exact=True)
            assert data_equivalence(trace(env), trace(twin), exact=True)
            assert np.array_equal(env.render(), twin.render())


def test_deep_copy_does_not_share_physics(env_id: str) -> None:
    with gym.make(env_id) as env:
        env.reset(seed=0)
        twin = copy.deepcopy(env)
        before = env.unwrapped.physics_state()
        twin.step(push(env, 1.0))
        assert np.array_equal(env.unwrapped.physics_state(), before)


def test_encoded_environment_is_rebuilt_from_its_json_spec(env_id: str, tiny_encoder_dir) -> None:
    with EncodeObservation(gym.make(env_id, **{**PIXELS, "image_size": 32}), tiny_encoder_dir) as env:
        assert env.spec is not None
        with gym.make(EnvSpec.from_json(env.spec.to_json())) as rebuilt:
            assert isinstance(rebuilt, EncodeObservation)
            assert data_equivalence(trace(env, seed=3), trace(rebuilt, seed=3), exact=True)


def test_infos_are_plain_json_and_fresh(env_id: str) -> None:
    with gym.make(env_id) as env:
        _, info = env.reset(seed=0)
        json.dumps(info)
        info["context"].clear()
        assert env.step(push(env, 0.0))[4]["context"]


def test_observations_are_not_overwritten_by_later_steps(env_id: str, kwargs: dict[str, Any]) -> None:
    with gym.make(env_id, **kwargs) as env:
        first, _ = env.reset(seed=0)
        kept = copy.deepcopy(first)
        env.step(push(env, 1.0))
        assert data_equivalence(first, kept, exact=True)


def test_stored_physics_state_is_restored_with_its_frame(env_id: str) -> None:
    with gym.make(env_id, **PIXELS) as env:
        trace(env, seed=4)
        base = env.unwrapped
        state, context = base.physics_state(), base.current_context
        frame = env.step(push(env, 0.0))[0]
        after = base.physics_state()
        env.reset(options={"physics_state": state, "context": context})
        assert np.array_equal(env.step(push(env, 0.0))[0], frame)
        assert np.array_equal(base.physics_state(), after)
        assert np.array_equal(base.frame(after, context), frame)
