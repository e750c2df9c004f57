"""Upstream's own task methods, run with other helpers.

The reward of a task is upstream's function, unchanged; but the modules and classes that its code finds by name
(`np.linalg.norm`, `Rotation`, `reward_utils`) are ours. The functions are rebound, not the modules patched: upstream's
environments in the same process keep their own.
"""

import inspect
from collections.abc import Mapping
from types import FunctionType
from typing import Any

import numpy as np
from metaworld.sawyer_xyz_env import SawyerXYZEnv
from metaworld.utils import reward_utils
from scipy.spatial.transform import Rotation

from latentctx_envs.meta_world import arithmetic

Globals = dict[str, Any]

LINALG = arithmetic.altered(np.linalg, norm=arithmetic.norm)
SUBSTITUTES: tuple[tuple[Any, Any], ...] = (
    (np, arithmetic.altered(np, hstack=arithmetic.hstack, linalg=LINALG)),
    (reward_utils, arithmetic.altered(reward_utils, tolerance=arithmetic.tolerance)),
    (reward_utils.tolerance, arithmetic.tolerance),
    (Rotation, arithmetic.Rotation),
)


def compose(name: str, mixin: type[SawyerXYZEnv], task: type[SawyerXYZEnv]) -> type:
    """A subclass of `task`, with `mixin` first, whose inherited methods use our helpers.

    Args:
        name: of the new class.
        mixin: a subclass of `SawyerXYZEnv` whose methods replace the task's.
        task: a class of upstream's; the methods of its bases up to `SawyerXYZEnv` are rebound too.
    """
    owners = task.__mro__[: task.__mro__.index(SawyerXYZEnv) + 1]
    scopes = {owner: _scope(owner) for owner in owners}
    members: dict[str, Any] = {}
    for owner in reversed(owners):
        members.update(_rebound(vars(owner), scopes[owner]))
    ours = mixin.__mro__[: mixin.__mro__.index(SawyerXYZEnv)]
    kept = {key: value for key, value in members.items() if not any(key in vars(base) for base in ours)}
    composed = type(name, (mixin, task), {"__module__": mixin.__module__, **kept})
    for owner, scope in scopes.items():
        # A task calls its static helpers through the name of its class.
        scope.update({key: composed for key, value in scope.items() if value is owner is task})
    return composed


def _scope(owner: type) -> Globals:
    names = vars(inspect.getmodule(owner))
    substitutes = {id(theirs): ours for theirs, ours in SUBSTITUTES}
    return {key: substitutes.get(id(value), value) for key, value in names.items()}


def _rebound(members: Mapping[str, Any], scope: Globals) -> dict[str, Any]:
    found = {}
    for key, member in members.items():
        if key.startswith("__"):
            continue
        if isinstance(member, staticmethod):
            found[key] = staticmethod(_with_globals(member.__func__, scope))
        elif isinstance(member, property) and member.fget is not None:
            found[key] = property(_with_globals(member.fget, scope))
        elif isinstance(member, FunctionType):
            found[key] = _with_globals(_unguarded(member), scope)
    return found


def _with_globals(function: Any, scope: Globals) -> FunctionType:
    copy = FunctionType(
        function.__code__, scope, function.__name__, function.__defaults__, function.__closure__
    )
    copy.__kwdefaults__ = function.__kwdefaults__
    copy.__doc__ = function.__doc__
    return copy


def _unguarded(function: FunctionType) -> FunctionType:
    """The method behind upstream's check that a pickled task was set, which this engine has no need of."""
    if function.__name__ != "inner" or "func" not in function.__code__.co_freevars:
        return function
    return inspect.getclosurevars(function).nonlocals["func"]
