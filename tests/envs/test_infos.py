"""Batched infos taken apart are the infos that Gymnasium put together."""

from typing import Any

import gymnasium as gym
import numpy as np

from latentctx_envs.wrappers.infos import split_infos

INFOS: list[dict[str, Any]] = [
    {"success": True, "distance": 0.5, "name": "a", "context": {"goal": (1.0, 2.0), "task": 3}},
    {"success": False, "distance": 1.5, "name": "b", "context": {"goal": (3.0, 4.0), "task": 4}, "rare": 7},
    {"success": True, "distance": 2.5, "name": "c", "context": {"goal": (5.0, 6.0), "task": 5}},
]


def batched(infos: list[dict[str, Any]]) -> dict[str, Any]:
    env: gym.vector.VectorEnv[Any, Any, Any] = gym.vector.VectorEnv()
    env.num_envs = len(infos)
    together: dict[str, Any] = {}
    for index, info in enumerate(infos):
        together = env._add_info(together, info, index)
    return together


def test_numbers_texts_tuples_and_dicts_come_back_as_they_were() -> None:
    rows = split_infos(batched(INFOS), 3)
    assert rows == INFOS
    for row, info in zip(rows, INFOS, strict=True):
        assert {key: type(value) for key, value in row.items()} == {k: type(v) for k, v in info.items()}


def test_rows_of_arrays_are_copies() -> None:
    together = batched([{"state": np.array([index, 0.0])} for index in range(3)])
    rows = split_infos(together, 3)
    together["state"][:] = -1.0
    assert [row["state"].tolist() for row in rows] == [[0.0, 0.0], [1.0, 0.0], [2.0, 0.0]]


def test_values_that_only_some_have_are_given_to_these_only() -> None:
    assert [sorted(row) for row in split_infos(batched([{}, {"a": 1, "b": {"c": 2}}, {}]), 3)] == [
        [],
        ["a", "b"],
        [],
    ]


def test_a_key_with_an_underscore_of_its_own_is_kept() -> None:
    assert split_infos(batched([{"_seed": 1}, {"_seed": 2}]), 2) == [{"_seed": 1}, {"_seed": 2}]


def test_no_infos_are_empty_dicts() -> None:
    assert split_infos({}, 2) == [{}, {}]
