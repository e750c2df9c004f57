"""Build a dataset from its recipe."""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from tqdm import tqdm

from latentctx_datasets import identity, library
from latentctx_datasets.demonstrators import Draws, make_demonstrator
from latentctx_datasets.library import DatasetError
from latentctx_datasets.recipes import RECIPES, Plan, Recipe
from latentctx_datasets.replay import latent_env
from latentctx_datasets.writing import Record, record, write
from latentctx_envs.rollout import Policy, Step, rollout
from latentctx_envs.vector_env import LatentContextVectorEnv

SEEN = ("observations", "states", "successes")  # what an episode holds one more of than actions
BATCH = 64  # episodes that are simulated side by side; an episode does not depend on it


def build(dataset_id: str, *, force: bool = False) -> str:
    """Build a dataset from its recipe into Minari's folder and return its content hash.

    A dataset that is already there is verified, unless that was done since its file last changed, and left alone. A killed build leaves nothing half-written behind.

    Args:
        dataset_id: id of a recipe.
        force: build again; the present dataset is moved aside as `.<name>.broken-1` (-2, ...), never deleted.

    Raises:
        DatasetError: no such recipe, or the dataset that is there is damaged.
        ValueError: its demonstrator is not trained yet; the message names the command.
    """
    recipe = RECIPES.get(library.check_id(dataset_id))
    if recipe is None:
        raise DatasetError(library.unknown(dataset_id))
    if library.is_local(dataset_id) and not force:
        return identity.verified(dataset_id)
    for name in recipe.demonstrators:
        make_demonstrator(name)  # refuses before anything is simulated
    metadata = {"algorithm_name": ", ".join(recipe.demonstrators), "description": recipe.description}
    try:
        with gym.make(recipe.env_id, **recipe.env_kwargs) as env:
            digest = write(
                dataset_id,
                collect(recipe),
                env=env,
                command=f"latentctx data build {dataset_id}",
                metadata=metadata,
                max_return=recipe.max_return,
                replace=force,
            )
        identity.remember(dataset_id, digest)
    except library.ExistsError:  # another process has built it meanwhile
        digest = identity.verified(dataset_id)
    return digest


def ensure(dataset_id: str) -> None:
    """Build a dataset that has a recipe, unless it is there; nothing for one of another maker, which opening it will find."""
    if dataset_id in RECIPES:
        build(dataset_id)


def collect(recipe: Recipe) -> Iterator[Record]:
    """Play the planned episodes, some side by side, and yield them in order."""
    plans = list(recipe.plans())
    with tqdm(total=len(plans), desc=f"collect {recipe.id}", unit="ep", delay=1) as bar:
        for played in _played(recipe, plans):
            yield played
            bar.update()


def _played(recipe: Recipe, plans: Sequence[Plan]) -> Iterator[Record]:
    if gym.spec(recipe.env_id).vector_entry_point is None:
        yield from play_alone(recipe, plans)
        return
    for batch in batches(plans):
        yield from play(recipe, batch)


def batches(plans: Sequence[Plan]) -> Iterator[list[Plan]]:
    """Neighbours that the same policy plays, at most `BATCH`."""
    for _, same in itertools.groupby(plans, _player):
        while batch := list(itertools.islice(same, BATCH)):
            yield batch


def _player(plan: Plan) -> tuple[str | None, int | None]:
    return plan.demonstrator, plan.snapshot


def play(recipe: Recipe, plans: Sequence[Plan]) -> Iterator[Record]:
    """Roll out planned episodes side by side and record every physics state on the way.

    Args:
        recipe: the world, and who plays if the plans do not say.
        plans: what one policy plays.
    """
    env = gym.make_vec(recipe.env_id, num_envs=len(plans), **recipe.env_kwargs)
    assert isinstance(env, LatentContextVectorEnv)
    name, policy = _player_of(recipe, plans, env.single_action_space)
    options = {"context": [plan.context.to_dict() for plan in plans]}
    reset = {"seed": [plan.seed for plan in plans], "options": options}
    arrays = _by_episode(list(rollout(env, policy, [reset], watch=env.physics_states)))
    env.close()
    for index, plan in enumerate(plans):
        yield _record(plan, name, {key: value[index] for key, value in arrays.items()})


def play_alone(recipe: Recipe, plans: Sequence[Plan]) -> Iterator[Record]:
    """Roll out planned episodes one after the other, in a world that has no vector environment of its own."""
    with gym.make(recipe.env_id, **recipe.env_kwargs) as env:
        watch = latent_env(env).physics_state
        for plan in plans:
            name, policy = _player_of(recipe, [plan], env.action_space)
            reset = {"seed": plan.seed, "options": {"context": plan.context.to_dict()}}
            arrays = _by_episode(list(rollout(env, policy, [reset], watch=watch)), axis=0)
            yield _record(plan, name, arrays)


def _player_of(recipe: Recipe, plans: Sequence[Plan], space: Any) -> tuple[str, Policy]:
    """Who plays these plans, ready to begin: its name and itself."""
    name, snapshot = plans[0].demonstrator or recipe.demonstrator, plans[0].snapshot
    policy = make_demonstrator(name) if snapshot is None else make_demonstrator(name, snapshot=snapshot)
    if isinstance(policy, Draws):
        policy.begin(space, [plan.seed for plan in plans])
    return name, policy


def _by_episode(steps: Sequence[Step], axis: int = 1) -> dict[str, np.ndarray]:
    """Everything that N episodes recorded, (N, T, ...) or, with the last observation, (N, T + 1, ...); of one, axis 0."""
    start = steps[0]
    sequences = {
        "observations": [start.observation, *(step.next_observation for step in steps)],
        "states": [start.seen, *(step.next_seen for step in steps)],
        "successes": [start.info["success"], *(step.next_info["success"] for step in steps)],
        "actions": [step.action for step in steps],
        "rewards": [step.reward for step in steps],
        "terminations": [step.terminated for step in steps],
        "truncations": [step.truncated for step in steps],
        "active": [step.active for step in steps],
    }
    return {name: np.stack(values, axis=axis) for name, values in sequences.items()}


def _record(plan: Plan, demonstrator: str, arrays: dict[str, np.ndarray]) -> Record:
    """One episode: the steps until it ended, not those in which it waited for its neighbours."""
    length = int(arrays["active"].sum())
    rows = {name: array[: length + (name in SEEN)] for name, array in arrays.items()}
    buffer, extra = record(
        rows,
        context=plan.context.to_dict(),
        seed=plan.seed,
        split=plan.split,
        demonstrator=demonstrator,
    )
    return buffer, extra if plan.snapshot is None else {**extra, "snapshot": plan.snapshot}
