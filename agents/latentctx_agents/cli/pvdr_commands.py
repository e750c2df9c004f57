"""`latentctx pvdr`: pretraining on videos, and a look at what was learned; `latentctx study pvdr` acts with it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from latentctx_agents.cli.dispatch import Commands, dispatch
from latentctx_agents.cli.shared import check_csv, check_file, one_thread
from latentctx_agents.cli.tables import print_table
from latentctx_agents.progress import training_bar


def pvdr(words: list[str]) -> None:
    """Dispatch to one of the commands.

    Raises:
        ValueError: there is no such command.
    """
    dispatch(words, COMMANDS, "latentctx pvdr", "command")


def pretrain(words: list[str]) -> None:
    """Train one video model."""
    from latentctx_agents.pvdr import pretrain as module

    @dataclass(frozen=True, kw_only=True)
    class Pretrain:
        """Learn visual dynamics from videos without actions: tokens of frames, then a latent for each short future."""

        config: Annotated[module.VideoTraining, tyro.conf.arg(name="")]
        out: Path = Path("runs/pvdr")  # run folder; the model goes to <out>/model
        device: str = "cpu"  # torch device

    arguments = tyro.extras.overridable_config_cli(
        {
            "quick": ("one core, some twenty minutes", Pretrain(config=module.QUICK)),
            "paper": ("28 million parameters, for a GPU", Pretrain(config=module.PAPER)),
        },
        args=words,
        prog="latentctx pvdr pretrain",
    )
    one_thread()
    config = arguments.config
    steps = config.tokenizer.steps + config.optimizer.steps
    with training_bar(f"dynamics of {config.videos}", steps) as advance:
        module.pretrain(config, arguments.out, device=arguments.device, on_step=advance)
    print(f"video model: {arguments.out / 'model'}\nencoder: {arguments.out / 'encoder'}")


def judge(words: list[str]) -> None:
    """Judge one video model on clips that it has not seen."""
    from latentctx_agents.pvdr import judge as module
    from latentctx_agents.pvdr.folder import load_video_model
    from latentctx_agents.pvdr.pictures import draw_samples
    from latentctx_agents.pvdr.tokens import open_tokens
    from latentctx_agents.results import add_results
    from latentctx_datasets.videos import open_clips

    @dataclass(frozen=True, kw_only=True)
    class Judge:
        """Errors of what is foretold beside a copy of the last frame, what z tells of the hand, and a picture."""

        config: Annotated[module.JudgeConfig, tyro.conf.arg(name="")]
        model: Path = Path("runs/pvdr/model")  # what `latentctx pvdr pretrain` trained
        videos: str | None = None  # a name or folder of clips; by default those it was trained on
        picture: Path | None = None  # PNG of samples; by default samples.png beside the model
        results: Path | None = None  # CSV that the numbers are added to

    default = Judge(config=module.JudgeConfig())
    arguments = tyro.cli(Judge, args=words, prog="latentctx pvdr judge", default=default)
    picture = arguments.picture or arguments.model.parent / "samples.png"
    check_csv(arguments.results)
    check_file(picture, ".png")
    one_thread()
    model, record = load_video_model(arguments.model)
    stride = int(record["config"]["stride"])
    clips = open_clips(
        arguments.videos or record["dataset"], frames=(model.config.window - 1) * stride + 1, labels=True
    )
    parts = module.parted(clips, record)
    store = open_tokens(model.tokenizer, clips)
    found = module.judge(model, clips, store, parts.held_out, stride, arguments.config)
    if model.config.latent and "hand" in clips.facts["arrays"]:
        found |= module.probes(model, clips, store, parts, stride, arguments.config)
    if arguments.results is not None:
        add_results(
            arguments.results, module.rows_of(found, arguments.model, record, clips, arguments.config)
        )
    draw_samples(model, clips, store, parts.held_out, stride, picture, seed=arguments.config.seed)
    print(json.dumps({name: round(value, 3) for name, value in found.items()}, indent=2))
    print(f"samples: {picture}")


def distances(words: list[str]) -> None:
    """Judge distances and plans by episodes of random actions."""
    from latentctx_agents.pvdr import ranking
    from latentctx_agents.pvdr.folder import load_video_model
    from latentctx_agents.pvdr.online_config import OnlineConfig
    from latentctx_agents.results import add_results

    @dataclass(frozen=True, kw_only=True)
    class Distances:
        """How well distances rank frames by how far the goal really is, and what of a plan tells its first action; nothing acts."""

        config: Annotated[OnlineConfig, tyro.conf.arg(name="")]
        model: Path = Path("runs/pvdr/model")  # what `latentctx pvdr pretrain` trained
        held_out: int = 20  # episodes that distances are judged by
        results: Path | None = None  # CSV that the numbers are added to

    default = Distances(config=OnlineConfig(random_episodes=40, tokenizer_steps=0))
    arguments = tyro.cli(Distances, args=words, prog="latentctx pvdr distances", default=default)
    check_csv(arguments.results)
    one_thread()
    model, record = load_video_model(arguments.model)
    config = arguments.config.with_stride(int(record["config"]["stride"]))
    found = ranking.rank(model, config, arguments.held_out)
    if arguments.results is not None:
        rows = ranking.rows_of(found, arguments.model, record, config, arguments.held_out)
        add_results(arguments.results, rows)
    shown = [(name, f"{ranked.rank:.2f}", f"{ranked.chosen:.3f}") for name, ranked in found.distances.items()]
    print_table(("distance", "rank", "goal in the chosen frame [m]"), shown)
    one = next(iter(found.distances.values()))
    print(f"nearest frame of an episode {one.nearest:.3f} m, average {one.average:.3f} m")
    if found.actions:
        print_table(("the action, from", "R2"), [(name, f"{r2:.2f}") for name, r2 in found.actions.items()])


def act(words: list[str]) -> None:
    """Act with an agent of the study."""
    import numpy as np

    from latentctx_agents.model_folder import weights_hash
    from latentctx_agents.pvdr.acting import By, Shown, measured_as
    from latentctx_agents.pvdr.acting import act as play
    from latentctx_agents.pvdr.agent import load_agent
    from latentctx_agents.pvdr.folder import load_video_model, videos_of
    from latentctx_agents.pvdr.imagining import Imagination
    from latentctx_agents.pvdr.pictures import draw_episode
    from latentctx_agents.pvdr.worlds import EVALUATION_SEED
    from latentctx_agents.results import add_results
    from latentctx_agents.stats import wilson_interval

    @dataclass(frozen=True, kw_only=True)
    class Act:
        """Act towards pictures of goals with what `latentctx study pvdr` left in a cell; no reward is looked at."""

        agent: Path  # <run>/cells/<cell>/agent
        task: str | None = None  # by default that of its training; another of the same body
        goal: Shown = "picture"  # what is shown of a demonstration: its end, or its frames one after another
        by: By = "plans"  # or straight along the learned distance, or straight along a film that is imagined up to the picture
        plans: int | None = None  # by default as many as in its training
        imagine: Path | None = None  # the video model that imagines; by default the agent's own
        films: int | None = None  # that are imagined, to choose one of; by default 16
        episodes: int = 20
        seed: int = EVALUATION_SEED  # of the first episode; each further one has the next
        picture: Path | None = None  # PNG of the first episode, its plans and its goal
        results: Path | None = None  # CSV that the success is added to

    arguments = tyro.cli(Act, args=words, prog="latentctx pvdr act")
    check_csv(arguments.results)
    check_file(arguments.picture, ".png")
    if arguments.seed < 0:
        raise ValueError(f"seeds start at 0; got {arguments.seed}.")
    if arguments.by != "plans" and arguments.plans is not None:
        raise ValueError("--plans is of --by plans.")
    if arguments.by != "imagined" and arguments.films is not None:
        raise ValueError("--films is of --by imagined.")
    one_thread()
    agent, training = load_agent(arguments.agent)
    wanted = {"task": arguments.task, "goal": arguments.goal, "by": arguments.by, "plans": arguments.plans}
    imagination = None
    imagined: dict[str, str | int] = {}
    if arguments.by == "imagined":
        model, record = agent.model, training
        if arguments.imagine is not None:
            model, record = load_video_model(arguments.imagine)
            stride = int(record["config"]["stride"])
            if stride != agent.config.stride:
                raise ValueError(
                    f"the agent's frames are {agent.config.stride} apart, those imagined {stride}."
                )
        chosen = {} if arguments.films is None else {"films": arguments.films}
        imagination = Imagination(model, np.random.default_rng(arguments.seed), **chosen)
        imagined = {"films": imagination.films, "imagined_after": videos_of(record)}
        if arguments.imagine is not None:
            imagined["imagining_hash"] = weights_hash(arguments.imagine)[:16]
    elif arguments.imagine is not None:
        raise ValueError("--imagine is of --by imagined.")
    acted = play(agent, **wanted, imagination=imagination, episodes=arguments.episodes, seed=arguments.seed)
    low, high = wilson_interval(round(acted.success * arguments.episodes), arguments.episodes)
    print(
        f"{acted.task}: success {acted.success:.2f} [{low:.2f}, {high:.2f}] in {arguments.episodes} episodes"
    )
    if arguments.results is not None:
        setting = {**wanted, **imagined, "episodes": arguments.episodes, "first_seed": arguments.seed}
        add_results(arguments.results, [measured_as(acted, agent, training, arguments.agent, setting)])
    if arguments.picture is not None:
        draw_episode(acted.film, arguments.picture)
        print(f"picture: {arguments.picture}")


COMMANDS: Commands = {
    "pretrain": (pretrain, "learn visual dynamics from videos without actions"),
    "judge": (judge, "what a model foretells of clips that it has not seen"),
    "distances": (distances, "how well distances tell how far a goal is, and plans the action"),
    "act": (act, "act towards pictures of goals with what the study trained"),
}
