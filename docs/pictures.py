"""Draw the pictures of the docs: `python docs/pictures.py`."""

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gymnasium as gym
import mujoco
import numpy as np
import study_tables
from PIL import Image, ImageDraw

import latentctx_envs  # noqa: F401  registers the ids
from latentctx_agents.plots import COLOURS, LABELS
from latentctx_agents.results import read_results
from latentctx_agents.studies.features_rl import LABELS as SEEN
from latentctx_agents.studies.filter_rl import LABELS as OF_A_BODY
from latentctx_datasets.demonstrators.locomotion import ENV_IDS, TrainedPolicy, weights_file
from latentctx_datasets.sheet import write_gif
from latentctx_envs.kitchen.context import TEST
from latentctx_envs.kitchen.subtasks import GOALS
from latentctx_envs.locomotion.protocol import ENV_KWARGS
from latentctx_envs.meta_world import make_sawyer
from latentctx_envs.meta_world.splits import TASKS
from latentctx_envs.rendering import PROFILES, Renderer

IMAGES = Path(__file__).parent / "images"
RESULTS = Path(__file__).parents[1] / "agents" / "results"
CURVES = {"states": "#332288", "features": "#009e73", "pixels": "#5a5a5a", "scratch": "#e69f00"}
CURVES |= {"positions": "#5a5a5a", "stacked": "#e69f00"}
TILE = 252  # [pixels]
SMALL = 116  # [pixels] of a task's tile
FILM = 112  # [pixels] of a task's tile in the GIFs
FRAMES = 80  # of the GIFs, two decisions apart
STATE = (0.0, 0.13, 0.17, 0.0, 0.0)  # time, x, y, vx, vy
CONTEXT = {"goal": (-0.18, -0.1)}


def tile(frame: np.ndarray, title: str) -> np.ndarray:
    """A frame enlarged without smoothing, under its title."""
    return labelled(np.asarray(Image.fromarray(frame).resize((TILE, TILE), Image.Resampling.NEAREST)), title)


def frame(size: int, profile: str, **kwargs: object) -> np.ndarray:
    """One observed frame of the point mass."""
    with gym.make(
        "LatentCtx-PointMass-v0", observation="pixels", image_size=size, render_profile=profile, **kwargs
    ) as env:
        return env.unwrapped.frame(np.array(STATE), CONTEXT)  # type: ignore[attr-defined]


def point_mass_profiles() -> None:
    """One state in every profile at two sizes, and with the goal drawn."""
    rows = [
        [tile(frame(size, profile), f"{profile}, {size} px") for profile in PROFILES]
        + [tile(frame(size, "fast", goal_visible=True), f"fast, {size} px, goal_visible")]
        for size in (48, 84)
    ]
    picture = np.concatenate([np.concatenate(row, axis=1) for row in rows])
    Image.fromarray(picture).save(IMAGES / "point_mass_profiles.png", optimize=True)


def scenes() -> dict[str, tuple[mujoco.MjModel, mujoco.MjData, str | int]]:
    """Model, physics and camera of one moment in each family."""
    found = {}
    for env_id in ("LatentCtx-PointMass-v0", "LatentCtx-CheetahRun-v0", "LatentCtx-WalkerWalk-v0"):
        base = gym.make(env_id).unwrapped
        base.reset(seed=3)
        for _ in range(12):
            base.step(np.ones(base.action_space.shape))
        name = env_id.removeprefix("LatentCtx-").removesuffix("-v0")
        found[name] = (base.task.model, base._batch.datas[0], 0)  # type: ignore[attr-defined]
    for task in ("reach-v3", "drawer-open-v3"):
        sawyer = make_sawyer(task)
        sawyer.reset(rand_vec=sawyer.sample_rand_vec(np.random.default_rng(0)))
        for _ in range(20):
            sawyer.step(np.array([0.5, 1.0, -0.5, 1.0]))
        found[f"Meta-World {task}"] = (sawyer.model, sawyer.data, "corner2")
    return found


def render_profiles() -> None:
    """Every family in every profile at 84 px, and by how much the profile differs from the reference."""
    rows = []
    for name, (model, data, camera) in scenes().items():
        frames = {
            profile: Renderer(model, size=(84, 84), camera=camera, profile=profile).render(data)
            for profile in PROFILES
        }
        reference = frames["reference"].astype(float)
        row = []
        for profile, frame in frames.items():
            error = np.square(frame - reference).mean()
            fidelity = (
                "" if profile == "reference" else f", {10 * np.log10(255**2 / max(error, 1e-9)):.0f} dB"
            )
            row.append(tile(frame, f"{name}: {profile}{fidelity}"))
        rows.append(np.concatenate(row, axis=1))
    Image.fromarray(np.concatenate(rows)).save(IMAGES / "render_profiles.png", optimize=True)


def demonstrators(body: str, columns: int) -> None:
    """One GIF of an embodiment: every task by its demonstrator, from the start of an episode."""
    films = []
    for task, env_id in ENV_IDS.items():
        if not task.startswith(body) or not weights_file(task).is_file():
            continue
        env = gym.make(env_id, observation=("state", "pixels"), image_size=FILM, **ENV_KWARGS)
        policy = TrainedPolicy(task)
        observation, info = env.reset(seed=1)
        frames = []
        for time in range(2 * FRAMES):
            if time % 2 == 0:
                frames.append(labelled(observation["pixels"], task))
            observation, _, _, _, info = env.step(policy(observation["state"], info))
        env.close()
        films.append(np.stack(frames))
    films += [np.full_like(films[0], 255)] * (-len(films) % columns)
    rows = [films[i : i + columns] for i in range(0, len(films), columns)]
    write_gif(rows, IMAGES / f"{body}_demonstrators.gif")


def meta_world_tasks(columns: int = 9) -> None:
    """Every task of Meta-World at the start of an episode, in the window that learners see."""
    tiles = []
    for task in TASKS:
        env = gym.make("LatentCtx-MetaWorld-v0", task=task, observation="pixels", image_size=SMALL)
        name = (
            task.removesuffix("-v3").replace("button-press", "button").replace("plate-slide", "plate")
        )  # to fit
        tiles.append(labelled(env.reset(seed=0)[0], name))
        env.close()
    tiles += [np.full_like(tiles[0], 255)] * (-len(tiles) % columns)
    rows = [np.concatenate(tiles[i : i + columns], axis=1) for i in range(0, len(tiles), columns)]
    Image.fromarray(np.concatenate(rows)).save(IMAGES / "meta_world_tasks.png", optimize=True)


def meta_world_goals() -> None:
    """Pick and place with two goals, hidden and visible."""
    tiles = []
    for visible in (False, True):
        env = gym.make("LatentCtx-PickPlace-v0", observation="pixels", image_size=240, goal_visible=visible)
        for goal in ((-0.08, 0.82, 0.1), (0.08, 0.88, 0.25)):
            context = {"task": "pick-place-v3", "vector": (0.02, 0.65, 0.02, *goal)}
            frame, _ = env.reset(seed=0, options={"context": context})
            tiles.append(labelled(frame, f"goal {goal}, {'visible' if visible else 'hidden'}"))
        env.close()
    Image.fromarray(np.concatenate(tiles, axis=1)).save(IMAGES / "meta_world_goals.png", optimize=True)


GOAL_TASKS = ("reach-v3", "push-v3", "plate-slide-v3", "drawer-open-v3", "window-close-v3", "hammer-v3", "box-close-v3", "door-lock-v3")  # fmt: skip


def meta_world_goal_pictures(columns: int = 4) -> None:
    """Start and goal picture of some tasks, side by side."""
    pairs = []
    for task in GOAL_TASKS:
        pictures = {"goal": "pixels", "observation": "pixels", "image_size": 120}
        with gym.make("LatentCtx-MetaWorldGoal-v0", task=task, **pictures) as env:
            seen, _ = env.reset(seed=3)
        pairs.append(labelled(np.concatenate([seen["observation"], seen["desired_goal"]], axis=1), task))
    rows = [np.concatenate(pairs[i : i + columns], axis=1) for i in range(0, len(pairs), columns)]
    Image.fromarray(np.concatenate(rows)).save(IMAGES / "meta_world_goal_pictures.png", optimize=True)


def kitchen(columns: int = 4) -> None:
    """The start in each profile, and each of the seven sub-tasks done, as the paper's encoders see it."""
    tiles = []
    for profile in PROFILES:
        tiles.append(labelled(kitchen_frame(profile), f"start, {profile}"))
    tiles.append(labelled(kitchen_frame("fast", *TEST[0]), "all four of a sequence"))
    tiles += [labelled(kitchen_frame("fast", name), name) for name in GOALS]
    tiles += [np.full_like(tiles[0], 255)] * (-len(tiles) % columns)
    rows = [np.concatenate(tiles[i : i + columns], axis=1) for i in range(0, len(tiles), columns)]
    Image.fromarray(np.concatenate(rows)).save(IMAGES / "kitchen.png", optimize=True)


def kitchen_frame(profile: str, *done: str) -> np.ndarray:
    """The kitchen at the start of an episode, with some sub-tasks done by hand."""
    env = gym.make("LatentCtx-Kitchen-v0", observation="pixels", image_size=240, render_profile=profile)
    _, info = env.reset(seed=0)
    base = env.unwrapped
    state = base.physics_state()  # type: ignore[attr-defined]
    for name in done:
        state[GOALS[name].columns] = GOALS[name].values
    frame = base.frame(state, info["context"])  # type: ignore[attr-defined]
    env.close()
    return frame


def features_rl() -> None:
    """Learning curves of PPO on one hidden goal, from agents/results/features_rl."""
    _curves("features_rl", SEEN, ylabel="success", ylim=(-0.02, 1.05))


def filter_rl() -> None:
    """Learning curves of PPO on a walker without speeds, from agents/results/filter_rl."""
    _curves("filter_rl", OF_A_BODY, ylabel="return", ylim=(0, 1000))


def _curves(name: str, labels: Mapping[str, str], **axis: Any) -> None:
    """Each seed's curve thin and their mean bold, from agents/results/<name> into <name>.png."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = read_results(sorted((RESULTS / name).glob("*.csv")))
    figure, axes = pyplot.subplots(figsize=(6.4, 3.6), layout="constrained")
    for method, label in labels.items():
        curves = defaultdict(list)
        for row in (row for row in rows if row["method"] == method):
            curves[row["seed"]].append((row["setting"]["done"], row["value"]))
        if not curves:
            continue
        times, values = np.moveaxis(np.array([sorted(curve) for curve in curves.values()]), 2, 0)
        style = {"color": CURVES[method]}
        seeds = f"{len(curves)} seeds" if len(curves) > 1 else "1 seed"
        axes.plot(times[0], values.T, linewidth=0.8, alpha=0.5, **style)
        axes.plot(times[0], values.mean(axis=0), linewidth=2.2, label=f"{label} ({seeds})", **style)
    axes.set(xlabel="decisions", **axis)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=9)
    figure.savefig(IMAGES / f"{name}.png", dpi=130)
    pyplot.close(figure)


def study_visible(world: str = "point-mass", demos: int = 2) -> None:
    """Success with the goal hidden and with the goal in the frames, from agents/results/inverse_dynamics."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = study_tables.rows_of(world)
    figure, axes = pyplot.subplots(figsize=(6.4, 3.6), layout="constrained")
    methods = [m for m in LABELS if study_tables.success_in(rows, m, demos=demos, goal_visible=True)]
    methods = [m for m in methods if m not in ("states", "expert")]
    for place, (visible, style) in enumerate(((False, {"hatch": "//"}), (True, {}))):
        for index, method in enumerate(methods):
            mean, low, high = study_tables.success_in(rows, method, demos=demos, goal_visible=visible)
            x = index + 0.4 * place - 0.2
            axes.bar(
                x, mean, 0.38, color=COLOURS[method], edgecolor="white", alpha=0.55 + 0.45 * place, **style
            )
            axes.errorbar(x, mean, [[mean - low], [high - mean]], color="black", capsize=3)
            axes.text(x, high + 0.02, f"{mean:.2f}", ha="center", fontsize=9)
    ceiling, *_ = study_tables.success_in(rows, "expert", demos=demos)
    axes.axhline(ceiling, color="black", linestyle="--", linewidth=1)
    axes.text(
        len(methods) - 0.45, ceiling, "expert", ha="left", va="center", fontsize=9, backgroundcolor="white"
    )
    axes.set_xticks(range(len(methods)), [LABELS[m] for m in methods])
    axes.set(ylabel=f"success, {demos} demonstrations", ylim=(0, 1.08), xlim=(-0.6, len(methods)))
    axes.spines[["top", "right"]].set_visible(False)
    hatched = pyplot.Rectangle((0, 0), 1, 1, facecolor="#999999", hatch="//", edgecolor="white", alpha=0.55)
    plain = pyplot.Rectangle((0, 0), 1, 1, facecolor="#999999")
    axes.legend(
        [hatched, plain],
        ["goal hidden", "goal in the frames"],
        frameon=False,
        fontsize=9,
        loc="upper right",
        bbox_to_anchor=(1.0, 0.8),
    )
    figure.savefig(IMAGES / "study_visible.png", dpi=130)
    pyplot.close(figure)


def labelled(frame: np.ndarray, title: str) -> np.ndarray:
    """A frame under its title."""
    picture = Image.new("RGB", (frame.shape[1] + 4, frame.shape[0] + 20), (255, 255, 255))
    picture.paste(Image.fromarray(frame), (2, 18))
    ImageDraw.Draw(picture).text((4, 3), title, fill=(0, 0, 0))
    return np.asarray(picture)


if __name__ == "__main__":
    IMAGES.mkdir(exist_ok=True)
    features_rl()
    filter_rl()
    study_visible()
    demonstrators("cheetah", 2)
    demonstrators("walker", 2)
    meta_world_tasks()
    meta_world_goals()
    meta_world_goal_pictures()
    kitchen()
    point_mass_profiles()
    render_profiles()
