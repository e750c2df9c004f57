"""Fixtures of the worlds' tests."""

from collections.abc import Iterator
from typing import Any

import fake_rlbench
import gymnasium as gym
import pytest
from gymnasium.envs.registration import EnvSpec


@pytest.fixture
def make_rlbench(monkeypatch: pytest.MonkeyPatch) -> Iterator[fake_rlbench.Make]:
    """`make_rlbench(**kwargs)`: LatentCtx-RLBench-v0 on the fake, closed after the test."""
    fake_rlbench.install(monkeypatch)
    made: list[gym.Env[Any, Any]] = []

    def one(**kwargs: Any) -> gym.Env[Any, Any]:
        made.append(gym.make("LatentCtx-RLBench-v0", **kwargs))
        return made[-1]

    yield one
    for env in made:
        env.close()


@pytest.fixture(scope="session")
def ogbench_pair() -> Iterator[tuple[gym.Env[Any, Any], gym.Env[Any, Any]]]:
    """Two equal LatentCtx-OGBench-v0, the second from the first one's spec as JSON; a world takes seconds to build."""
    first = gym.make(
        "LatentCtx-OGBench-v0", render_profile="turbo", render_mode="rgb_array", max_episode_steps=9
    )
    assert first.spec is not None
    second = gym.make(EnvSpec.from_json(first.spec.to_json()))
    yield first, second
    first.close()
    second.close()
