"""check_latent_env: the public contract of every LatentCtx environment, as executable checks."""

import functools
import json
import warnings
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env, data_equivalence

from latentctx_envs.context import SPLITS
from latentctx_envs.env import LatentContextEnv

INFO_KEYS = {"success", "is_success", "context"}
STEPS = 20


def check_latent_env(env_id: str, **kwargs: Any) -> None:
    """Check one id with one set of keyword arguments against the contract.

    It covers Gymnasium's own checker, the JSON round trip of the spec, determinism under a seed, hidden contexts,
    pinned contexts and splits, constant info keys and the refusal of bad input.

    Raises:
        AssertionError: a clause of the contract is broken; the message names it.
    """
    with warnings.catch_warnings():
        # velocities have no bounds, and a made-up one would be a lie
        warnings.filterwarnings("ignore", r".*Box observation space (minimum|maximum) value is -?infinity")
        check_env(gym.make(env_id, **kwargs).unwrapped, skip_render_check=True)
    _check_spec(env_id, kwargs)
    _check_determinism(env_id, kwargs)
    _check_contexts(env_id, kwargs)
    _check_refusals(env_id, kwargs)


def _episode(env: gym.Env[Any, Any], **reset: Any) -> list[Any]:
    env.action_space.seed(0)
    trace: list[Any] = [env.reset(**reset)]
    for _ in range(STEPS):
        trace.append(env.step(env.action_space.sample()))
        if trace[-1][2] or trace[-1][3]:
            break
    return trace


def _check_spec(env_id: str, kwargs: dict[str, Any]) -> None:
    with gym.make(env_id, **kwargs) as env:
        assert env.spec is not None
        copy = EnvSpec.from_json(env.spec.to_json())
        with gym.make(copy) as rebuilt:
            same = data_equivalence(_episode(env, seed=3), _episode(rebuilt, seed=3), exact=True)
    assert same, "an environment rebuilt from its JSON spec must behave the same"


def _check_determinism(env_id: str, kwargs: dict[str, Any]) -> None:
    with gym.make(env_id, **kwargs) as one, gym.make(env_id, **kwargs) as two:
        first, second = _episode(one, seed=11), _episode(two, seed=11)
        assert data_equivalence(first, second, exact=True), "one seed must decide everything"
        assert data_equivalence(_episode(one), _episode(two), exact=True), (
            "the episode after a seeded one must follow from that seed"
        )
        assert not data_equivalence(first, _episode(one, seed=12), exact=True), "seeds must matter"
    for _, info in (first[0], (first[-1][0], first[-1][4])):
        assert set(info) == INFO_KEYS, f"info keys must be {sorted(INFO_KEYS)}; got {sorted(info)}"
        assert type(info["success"]) is bool, "info['success'] must be a bool"
        assert type(info["is_success"]) is bool, "info['is_success'] must be a bool"
        json.dumps(info["context"])


def _check_contexts(env_id: str, kwargs: dict[str, Any]) -> None:
    with gym.make(env_id, **kwargs) as env:
        base = env.unwrapped
        assert isinstance(base, LatentContextEnv), "the environment must be a LatentContextEnv"
        kind = base.context_type
        rng = np.random.default_rng(0)
        one, two = base.draw_context(rng), base.draw_context(rng)
        assert kind.from_dict(json.loads(json.dumps(one.to_dict()))) == one, "contexts must survive JSON"
        assert kind.from_dict(_as_arrays(one.to_dict())) == one, (
            "contexts must take arrays, as Minari reads them"
        )
        first, info = env.reset(seed=5, options={"context": one})
        second, _ = env.reset(seed=5, options={"context": two.to_dict()})
        assert info["context"] == one.to_dict(), "info must hold the pinned context"
        hidden = base.settings.context == "hidden" and not base.settings.context_visible
        if hidden and not base.context_shapes_start:
            assert data_equivalence(first, second, exact=True), (
                "a hidden context must not show in the first observation"
            )
        elif not hidden and one != two:
            assert not data_equivalence(first, second, exact=True), "an observed context must show"
        _, drawn = env.reset(seed=5)
    drawn_contexts = {drawn["context"].__repr__()}
    for mode in ("hidden", "observed"):
        with gym.make(env_id, **{**kwargs, "context": mode}) as env:
            drawn_contexts.add(env.reset(seed=5)[1]["context"].__repr__())
    assert len(drawn_contexts) == 1, "a seed must draw the same context, hidden or observed"
    for split in SPLITS:
        make = functools.partial(
            gym.make, env_id, **{**kwargs, "observation": "state", "context_split": split}
        )
        if split not in base.splits:
            _assert_refused(make, f"context_split={split!r}, which its contexts do not have")
            continue
        with make() as env:
            drawn = kind.coerce(env.reset(seed=3)[1]["context"])
            assert kind.space().contains(drawn.as_array()), f"bad sample of split {split}"


def _as_arrays(context: dict[str, Any]) -> dict[str, Any]:
    """A context's dict with arrays in the place of tuples; of texts they are arrays of objects."""
    return {
        name: np.array(value, object if isinstance(value[0], str) else None)
        if isinstance(value, tuple)
        else value
        for name, value in context.items()
    }


def _check_refusals(env_id: str, kwargs: dict[str, Any]) -> None:
    with gym.make(env_id, **kwargs) as env:
        env.reset(seed=0)
        base = env.unwrapped
        shape = base.action_space.shape
        assert shape is not None
        for action in (np.full(shape, np.nan), np.zeros((*shape, 2))):
            _assert_refused(lambda bad=action: base.step(bad), "NaN or wrongly shaped actions")
        for options in ({"contxt": {}}, {"context": {"no_such_field": 1}}, {"context": 3}):
            _assert_refused(lambda bad=options: base.reset(options=bad), "unknown options or contexts")


def _assert_refused(call: Any, what: str) -> None:
    try:
        call()
    except ValueError as error:
        assert "\n" not in str(error), f"the refusal of {what} must be one line"
        return
    raise AssertionError(f"{what} must be refused with a ValueError")
