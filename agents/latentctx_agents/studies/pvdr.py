"""The study of PVDR (arXiv 2411.03169) on image-goal worlds: each claim as one arm beside the whole method."""

import dataclasses
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from latentctx_agents.model_folder import weights_hash
from latentctx_agents.pvdr.acting import act
from latentctx_agents.pvdr.agent import save_agent
from latentctx_agents.pvdr.folder import VideoModel, load_video_model, videos_of
from latentctx_agents.pvdr.goal_ppo import GoalPpo
from latentctx_agents.pvdr.lapo import Lapo, own_videos
from latentctx_agents.pvdr.online import Online
from latentctx_agents.pvdr.online_config import OnlineConfig
from latentctx_agents.pvdr.pictures import draw_episode
from latentctx_agents.pvdr.straight import Straight
from latentctx_agents.pvdr.worlds import EVALUATION_SEED, episode_of, world_of
from latentctx_agents.results import Measurement, add_results
from latentctx_agents.runs import RunFolder, kept_json, training_alone
from latentctx_envs.meta_world.splits import TASKS as META_WORLD
from latentctx_envs.ogbench.context import TASKS as OGBENCH_TASKS

FULL, SCRATCH, SUPERVISED, ONE_SAMPLE = "pvdr", "scratch", "supervised", "one-sample"
GOAL_PPO, STRAIGHT, LAPO = "goal-ppo", "straight", "lapo"
LEARNS = ("envs", "rollout", "learning_rate", "spread", "evaluate_every")
PLACES = (*LEARNS, "metric")
PLANS = (
    *PLACES, "astray", "freeze", "rewards", "evidence", "first_steps", "pairs", "steps", "batch_size", "supervision",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Method:
    """One arm of the study."""

    changes: Mapping[str, Any] = field(default_factory=dict)  # options, in the whole method
    learner: type[Online | GoalPpo | Straight | Lapo] = Online
    # options that rows name where they are unusual, beside those that they always name
    decided_by: tuple[str, ...] = PLANS


METHODS: dict[str, Method] = {
    FULL: Method(),
    SCRATCH: Method(changes={"freeze": "none"}),  # the same code on a model that has seen no video
    SUPERVISED: Method(
        changes={"reinforce": False}
    ),  # by supervision alone, or by ways alone where these are read
    ONE_SAMPLE: Method(changes={"plans": 1}),  # acts on whatever the prior draws; nothing is chosen
    # no video model: PPO on the tokens of frame and goal, for the same reward of coming nearer
    GOAL_PPO: Method(learner=GoalPpo, decided_by=LEARNS),
    # the tokenizer alone: straight along the distance that is learned from actions
    STRAIGHT: Method(learner=Straight, decided_by=PLACES),
    # a policy of latent actions that the model's videos teach, and what random actions say these are
    LAPO: Method(learner=Lapo, decided_by=(*LEARNS, "latent_actions")),
}


@dataclass(frozen=True, kw_only=True)
class PvdrStudyConfig:
    """What all cells of a run folder share.

    Raises:
        ValueError: the shared settings already contain what a method changes.
    """

    online: OnlineConfig = field(default_factory=OnlineConfig)  # its task, seed and stride are overridden

    def __post_init__(self) -> None:
        """A method's change must be one."""
        if not self.online.reinforce or self.online.plans < 2:
            raise ValueError("the whole method reinforces and chooses among at least 2 plans.")
        default = OnlineConfig()
        if (self.online.task, self.online.seed) != (default.task, default.seed):
            raise ValueError("tasks and seeds are the grid's: say --tasks and --seeds.")


@dataclass(frozen=True, kw_only=True)
class PvdrGrid:
    """Which cells are run: all combinations.

    Raises:
        ValueError: an unknown method, or nothing is asked for.
    """

    tasks: tuple[str, ...] = ("reach-v3",)
    methods: tuple[str, ...] = (FULL, SCRATCH, SUPERVISED, ONE_SAMPLE)
    seeds: tuple[int, ...] = (0, 1, 2)

    def __post_init__(self) -> None:
        """Refuse what is no cell in words."""
        unknown = sorted(set(self.methods) - set(METHODS))
        if unknown:
            raise ValueError(f"methods are {', '.join(METHODS)}; got {', '.join(unknown)}.")
        if not (self.tasks and self.methods and self.seeds):
            raise ValueError("tasks, methods and seeds each name at least one.")
        known = (*META_WORLD, *OGBENCH_TASKS)
        if strange := sorted(set(self.tasks) - set(known)):
            raise ValueError(f"tasks are {', '.join(known)}; got {', '.join(strange)}.")
        for seed in (min(self.seeds), max(self.seeds)):
            OnlineConfig(seed=seed)  # refuses it


def run_study(config: PvdrStudyConfig, grid: PvdrGrid, model: Path, folder: Path) -> Path:
    """Run the cells that are not there, one after the other, and return the CSV; a killed cell begins anew.

    Args:
        config: what they share.
        grid: which.
        model: the pretrained video model; scratch takes its sizes alone.
        folder: run folder.

    Raises:
        ValueError: the folder belongs to another config or model, the model is missing or damaged, or `lapo` lacks its videos.
    """
    pretrained, record = load_video_model(model)
    if LAPO in grid.methods:
        own_videos(pretrained.config, config.online, record)  # refused before any cell is run
    RunFolder(folder, config, {"video model": weights_hash(model)})
    file = folder / "results.csv"
    cells = [(task, method, seed) for seed in grid.seeds for task in grid.tasks for method in grid.methods]
    for task, method, seed in tqdm(cells, desc="pvdr", unit="cell"):
        curve = run_cell(config, task, method, seed, model, folder)
        add_results(file, rows_of(config, task, method, seed, curve, record, weights_hash(model)))
    return file


def run_cell(
    config: PvdrStudyConfig, task: str, method: str, seed: int, model: Path, folder: Path
) -> list[dict[str, float]]:
    """The learning curve of one cell, {"decisions": ..., metrics}, measured or read if it is there.

    A cell that plans leaves `episode.png`, an episode as it is acted at the end, and the `agent` that acts it.
    """
    place = folder / "cells" / f"{task}-{method}-seed{seed}"

    def measured() -> list[dict[str, float]]:
        place.mkdir(parents=True, exist_ok=True)
        with training_alone(place):
            return _curve(config, task, method, seed, model, place)

    return kept_json(place / "curve.json", measured)


def online_of(config: PvdrStudyConfig, task: str, method: str, seed: int, stride: int) -> OnlineConfig:
    """What a cell runs with; from scratch a tokenizer is trained whatever the option says."""
    online = dataclasses.replace(config.online, task=task, seed=seed, **METHODS[method].changes).with_stride(
        stride
    )
    if method == SCRATCH and online.tokenizer_steps == 0:  # keeps a pretrained one; this would stay untrained
        return dataclasses.replace(online, tokenizer_steps=OnlineConfig.tokenizer_steps)
    return online


def _curve(
    config: PvdrStudyConfig, task: str, method: str, seed: int, model: Path, place: Path
) -> list[dict[str, float]]:
    pretrained, record = load_video_model(model)
    online = online_of(config, task, method, seed, int(record["config"]["stride"]))
    if method == SCRATCH:
        torch.manual_seed(seed)
        pretrained = VideoModel(pretrained.config)
    learner = METHODS[method].learner
    agent = learner(pretrained, online, record) if issubclass(learner, Lapo) else learner(pretrained, online)
    curve = [{"decisions": float(done), **metrics} for done, metrics in agent.run()]
    if isinstance(agent, Online):
        ended = agent.agent()
        draw_episode(act(ended, episodes=1, seed=EVALUATION_SEED).film, place / "episode.png")
        known = {name: record[name] for name in ("dataset", "dataset_hash")} if method != SCRATCH else {}
        save_agent(ended, place / "agent", {"online": dataclasses.asdict(online), **known})
    return curve


def rows_of(
    config: PvdrStudyConfig,
    task: str,
    method: str,
    seed: int,
    curve: list[dict[str, float]],
    record: dict[str, Any],
    model_hash: str,
) -> Iterator[Measurement]:
    """The measurements of a cell: each point of its curve, and the mean success over it (area under the curve)."""
    trained = record["config"]
    online = online_of(config, task, method, seed, int(trained["stride"]))
    known = METHODS[method]
    plans, decided = known.learner is Online, [x for x in known.decided_by if x not in known.changes]
    common = {
        "task": task, **episode_of(task), "plans": online.plans if plans else 0, "episodes": online.episodes,
        "budget": online.decisions, "random_episodes": online.random_episodes, "stride": online.stride,
        "render_profile": online.render_profile, "tokenizer_steps": online.tokenizer_steps,
        **({"reads": online.reads, "near": online.near, "future": int(trained["model"]["future"])} if plans else {}),
        **({"metric_steps": online.metric.first_steps} if "metric" in decided else {}),
        **({} if method == SCRATCH or trained["clips"] is None else {"clips": int(trained["clips"])}),
        **config.online.changed(decided),
        "videos_hash": "" if method == SCRATCH else record["dataset_hash"][:16],
        "model_hash": "" if method == SCRATCH else model_hash[:16],
    }  # fmt: skip
    dataset = "" if method == SCRATCH else videos_of(record)
    facts = {"study": "pvdr", "world": world_of(task), "dataset": dataset, "method": method, "seed": seed}
    for point in curve:
        setting = {**common, "decisions": int(point["decisions"])}
        for name in point.keys() - {"decisions"}:
            yield Measurement(**facts, setting=setting, metric=name, value=point[name])
    if len(curve) == 1:  # no decision after the random ones
        return
    pairs = list(itertools.pairwise(curve))
    area = sum((b["decisions"] - a["decisions"]) * (a["success"] + b["success"]) / 2 for a, b in pairs)
    yield Measurement(**facts, setting=common, metric="success_area", value=area / curve[-1]["decisions"])
