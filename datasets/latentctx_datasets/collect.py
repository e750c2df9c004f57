"""Build a dataset from its recipe, or export one with pixels."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import gymnasium as gym
import minari
import numpy as np
from minari.data_collector import EpisodeBuffer
from tqdm import tqdm

import latentctx_envs
from latentctx_datasets import library
from latentctx_datasets.demonstrators import make_demonstrator
from latentctx_datasets.library import DatasetError
from latentctx_datasets.recipes import RECIPES, Plan, Recipe
from latentctx_datasets.replay import View, latent_env, replay
from latentctx_envs.env import LatentContextEnv
from latentctx_envs.rendering import RenderProfile
from latentctx_envs.rollout import Policy, rollout

PINNED = ("mujoco", "dm_control", "gymnasium")  # versions that decide the physics
CONTACT = "the issue tracker of latentctx-envs"


def build(dataset_id: str, *, force: bool = False) -> str:
    """Build a dataset from its recipe into Minari's folder and return its content hash.

    A dataset that is already there is verified and left alone. A killed build leaves nothing half-written behind.

    Args:
        dataset_id: id of a recipe.
        force: build again; the present dataset is moved aside as `.<name>.broken-1` (-2, ...), never deleted.

    Raises:
        DatasetError: no such recipe, or the dataset that is there is damaged.
    """
    recipe = RECIPES.get(library.check_id(dataset_id))
    if recipe is None:
        raise DatasetError(f"no recipe for {dataset_id!r}; known are {', '.join(RECIPES)}.")
    if library.is_local(dataset_id) and not force:
        return library.verify(dataset_id)
    plans = tqdm(list(recipe.plans()), desc=f"collect {dataset_id}", unit="ep", delay=1)
    env = gym.make(recipe.env_id)
    base, policy = latent_env(env), make_demonstrator(recipe.demonstrator)
    records = [collect_episode(env, base, policy, plan, index) for index, plan in enumerate(plans)]
    metadata = {
        "algorithm_name": recipe.demonstrator,
        "description": recipe.description,
        "ref_max_score": float(np.mean([np.sum(buffer.rewards) for buffer, _ in records])),
        "ref_min_score": 0.0,
    }
    command = f"latentctx data build {dataset_id}"
    digest = write(dataset_id, iter(records), env=env, command=command, metadata=metadata)
    env.close()
    return digest


Record = tuple[EpisodeBuffer, dict[str, Any]]  # an episode and its metadata


def collect_episode(
    env: gym.Env[Any, Any], base: LatentContextEnv, policy: Policy, plan: Plan, index: int
) -> Record:
    """Roll out one planned episode and record every physics state on the way."""
    options = {"context": plan.context.to_dict()}
    reset = {"seed": plan.seed, "options": dict(options)}
    steps = list(rollout(env, policy, [reset], watch=base.physics_state))
    successes = [steps[0].info["success"], *(step.next_info["success"] for step in steps)]
    states = [steps[0].seen, *(step.next_seen for step in steps)]
    observations = [steps[0].observation, *(step.next_observation for step in steps)]
    buffer = EpisodeBuffer(
        id=index,
        seed=plan.seed,
        options=options,
        observations=np.stack(observations),  # type: ignore[arg-type]
        actions=np.stack([step.action for step in steps]),  # type: ignore[arg-type]
        rewards=[step.reward for step in steps],
        terminations=[step.terminated for step in steps],
        truncations=[step.truncated for step in steps],
        infos={"physics_state": np.stack(states), "success": np.asarray(successes)},
    )
    extra = {
        "context_json": json.dumps(plan.context.to_dict()),
        "split": plan.split,
        "success": any(successes),
    }
    return buffer, extra


def write(
    dataset_id: str,
    records: Iterator[Record],
    *,
    env: gym.Env[Any, Any],
    command: str,
    metadata: dict[str, Any],
) -> str:
    """Write episodes as a Minari dataset and move it to its place once it is whole; its content hash."""
    extras: list[dict[str, Any]] = []

    def buffers() -> Iterator[EpisodeBuffer]:
        for buffer, extra in records:
            extras.append(extra)
            yield buffer

    with library.staging(dataset_id) as folder:
        with library.minari_root(folder):
            dataset = minari.create_dataset_from_buffers(
                dataset_id,
                buffers(),  # type: ignore[arg-type]  # Minari only iterates
                env=env,
                eval_env=env.spec,
                author={"The LatentCtx authors"},
                author_email={CONTACT},
                code_permalink=f"latentctx-envs=={latentctx_envs.__version__}: {command}",
                requirements=[f"{name}=={version(name)}" for name in PINNED],
                jpeg_encoding=False,
                **metadata,
            )
            dataset.storage.update_episode_metadata(extras)
            digest = library.content_hash(dataset)
            dataset.storage.update_metadata(
                {"content_hash": digest, "latentctx_version": latentctx_envs.__version__}
            )
        library.adopt(folder / dataset_id, dataset_id)
    return digest


def export_pixels(
    dataset_id: str,
    *,
    pixels: int,
    profile: RenderProfile = "fast",
    target_id: str | None = None,
) -> str:
    """Write a self-contained pixel copy of a dataset for other people's loaders, lossless; returns its id.

    Args:
        dataset_id: a dataset of this project.
        pixels: side of the square frames [pixels].
        profile: render profile.
        target_id: id of the copy; by default `<name>-<pixels>px-vN`.

    Raises:
        DatasetError: the dataset is missing or damaged, or the target exists.
    """
    source = library.load(dataset_id)
    name, _, number = dataset_id.rpartition("-v")
    target = library.check_id(target_id or f"{name}-{pixels}px-v{number}")
    if library.is_local(target):
        raise DatasetError(f"{target} is already in {library.root()}: move it away or choose another id.")
    view = View(image_size=pixels, render_profile=profile)
    with library.recover(source, observation="pixels", **asdict(view)) as env:
        write(
            target,
            _with_pixels(source, view),
            env=env,
            command=f"latentctx data export {dataset_id} --pixels {pixels}",
            metadata={
                "algorithm_name": source.storage.metadata["algorithm_name"],
                "description": f"{dataset_id} with {pixels} px frames, render profile {profile!r}.",
                "ref_max_score": source.storage.metadata["ref_max_score"],
                "ref_min_score": source.storage.metadata["ref_min_score"],
            },
        )
    return target


def _with_pixels(source: minari.MinariDataset, view: View) -> Iterator[Record]:
    extras = source.storage.get_episode_metadata(source.episode_indices)
    pixels = replay(source, view, source.episode_indices)
    episodes = tqdm(source.iterate_episodes(), desc="render", unit="ep", total=len(source), delay=1)
    for episode, extra, frames in zip(episodes, extras, pixels, strict=True):
        context = json.loads(extra["context_json"])
        assert episode.infos is not None
        buffer = EpisodeBuffer(
            id=int(episode.id),
            seed=int(extra["seed"]),
            options={"context": context},
            observations=frames,  # type: ignore[arg-type]
            actions=episode.actions,
            rewards=list(episode.rewards),
            terminations=list(episode.terminations),
            truncations=list(episode.truncations),
            infos=dict(episode.infos),
        )
        yield buffer, {key: extra[key] for key in ("context_json", "split", "success")}


def write_card(recipe: Recipe, directory: Path) -> Path:
    """Write the dataset's card `<directory>/<id with dashes>.md` from what the dataset holds; its path."""
    facts = library.info(recipe.id)
    path = directory / f"{recipe.id.replace('/', '-')}.md"
    rate = facts["success_rate"]
    path.write_text(
        f"""# {recipe.id}

{recipe.description}

| | |
|---|---|
| environment | `{recipe.env_id}`, state observations; pixels are derived from the stored physics states |
| demonstrator | `{recipe.demonstrator}` |
| episodes | {facts["episodes"]} ({facts["steps"]} steps, {facts["contexts"]} contexts) |
| success | {rate:.3f} of the episodes; failures are kept and flagged |
| size | {facts["megabytes"]} MB |
| content hash | `{facts["content_hash"]}` |
| made with | {", ".join(f"{name} {version(name)}" for name in PINNED)} |
| command | `latentctx data build {recipe.id}` |
"""
    )
    return path
