"""Fixtures of the worlds' tests."""

from collections.abc import Iterator
from typing import Any

import fake_rlbench
import gymnasium as gym
import pytest


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
