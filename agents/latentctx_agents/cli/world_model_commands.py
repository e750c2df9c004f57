"""`latentctx world-model` and `imitate`, the two phases of AIME, `aime-online`, which goes on, and `dreamer`, on the same model."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from latentctx_agents.cli.shared import check_count, check_folder, one_thread
from latentctx_agents.progress import training_bar


def world_model(words: list[str]) -> None:
    """Train one world model."""
    from latentctx_agents.world_models import train
    from latentctx_datasets import collect

    @dataclass(frozen=True, kw_only=True)
    class WorldModel:
        """Learn a body from episodes with actions; its filter is saved as an encoder as well."""

        config: Annotated[train.WorldModelTraining, tyro.conf.arg(name="")]
        # run folder; the model goes to <out>/model, its filter to <out>/encoder
        out: Path = Path("runs/world_model")
        device: str = "cpu"  # torch device

    arguments = tyro.extras.overridable_config_cli(
        {
            "quick": ("two cores, minutes: 128 + 32 numbers, 10,000 steps", WorldModel(config=train.QUICK)),
            "larger": (
                "twice the latent state, 30,000 steps: some 70 minutes",
                WorldModel(config=train.LARGER),
            ),
            "walker-paper": ("AIME's for the walker, for a GPU", WorldModel(config=train.PAPER_WALKER)),
            "cheetah-paper": ("AIME's for the cheetah, for a GPU", WorldModel(config=train.PAPER_CHEETAH)),
        },
        args=words,
        prog="latentctx world-model",
    )
    check_folder(arguments.out)
    collect.ensure(arguments.config.dataset)
    one_thread()
    title = f"world model of {arguments.config.dataset}"
    with training_bar(title, arguments.config.optimizer.steps) as advance:
        train.train_world_model(arguments.config, arguments.out, device=arguments.device, on_step=advance)
    print(f"world model: {arguments.out / 'model'}\nencoder: {arguments.out / 'encoder'}")


def imitate(words: list[str]) -> None:
    """Imitate one task by a world model and measure the policy."""
    from latentctx_agents.aime import imitate as module
    from latentctx_agents.world_models.folder import load_world_model
    from latentctx_datasets import collect

    @dataclass(frozen=True, kw_only=True)
    class Imitate:
        """Learn a policy from demonstrations without actions, by a world model of the body (AIME), and measure it."""

        config: Annotated[module.ImitationConfig, tyro.conf.arg(name="")]
        world_model: Path = Path("runs/world_model/model")  # what `latentctx world-model` trained
        out: Path = Path("runs/imitate")  # run folder
        episodes: int = 100  # of the measurement, side by side
        device: str = "cpu"  # torch device

    arguments = tyro.extras.overridable_config_cli(
        {
            "quick": ("two cores, minutes: 5,000 steps", Imitate(config=module.QUICK)),
            "paper": ("AIME's 50,000 steps, for a GPU", Imitate(config=module.PAPER)),
        },
        args=words,
        prog="latentctx imitate",
    )
    check_count("episodes", arguments.episodes)
    load_world_model(arguments.world_model)  # refused before a dataset is built for it
    check_folder(arguments.out)
    collect.ensure(arguments.config.dataset)
    one_thread()
    with training_bar(f"imitate {arguments.config.dataset}", arguments.config.optimizer.steps) as advance:
        agent = module.imitate(
            arguments.config, arguments.world_model, arguments.out, device=arguments.device, on_step=advance
        )
    if agent.card.is_made_here:
        print(json.dumps(agent.cpu().measured(arguments.episodes, draws=arguments.config.seed)))
    else:
        print("not measured: the world of these demonstrations is not made here.")
    print(f"agent: {arguments.out / module.AGENT}")


def aime_online(words: list[str]) -> None:
    """Let a world model and a policy learn on in their world, and measure before and after."""
    from latentctx_agents.aime_online import config as presets
    from latentctx_agents.aime_online.measure import AFTER, BEFORE, measure, rows_of
    from latentctx_agents.aime_online.train import fine_tune, open_start
    from latentctx_agents.results import add_results
    from latentctx_datasets import collect

    @dataclass(frozen=True, kw_only=True)
    class AimeOnline:
        """AIME goes on online: a discriminator's reward instead of the world's (AIME-NoB)."""

        config: Annotated[presets.OnlineConfig, tyro.conf.arg(name="")]
        world_model: Path | None = None  # what `latentctx world-model` trained, to imitate by first
        agent: Path | None = None  # or what `latentctx imitate` trained, to go on from
        out: Path = Path("runs/aime_online")  # run folder: episodes, then agent, and its model and encoder
        measured: int = 100  # episodes of the measurement before and after, side by side
        device: str = "cpu"  # torch device

    arguments = tyro.extras.overridable_config_cli(
        {
            "quick": ("one core: 80 episodes in 40 rounds of 100 updates", AimeOnline(config=presets.QUICK)),
            "paper": ("AIME-NoB's 1,000 episodes, for a GPU", AimeOnline(config=presets.PAPER)),
        },
        args=words,
        prog="latentctx aime-online",
    )
    config = arguments.config
    check_count("measured", arguments.measured)
    open_start(arguments.world_model, arguments.agent)  # refused before a dataset is built for it
    check_folder(arguments.out)
    collect.ensure(config.imitation.dataset)
    one_thread()
    with training_bar(
        f"online {config.imitation.dataset}", config.rounds, metric="return", unit="round"
    ) as advance:
        learner = fine_tune(
            config,
            arguments.out,
            world_model=arguments.world_model,
            agent=arguments.agent,
            device=arguments.device,
            on_round=advance,
        )
    returns = measure(learner, arguments.out, agent=arguments.agent, episodes=arguments.measured)
    add_results(arguments.out / "results.csv", rows_of(learner, arguments.out, returns))
    facts = {name: round(float(returns[name].mean()), 1) for name in (BEFORE, AFTER)}
    print(json.dumps({"return": facts, "episodes": arguments.measured}))
    print(f"agent: {arguments.out / 'agent'}")


def dreamer(words: list[str]) -> None:
    """Train one agent in imagination."""
    from latentctx_agents.dreamer import config as presets
    from latentctx_agents.dreamer.dataset import make_dataset, refuse_taken
    from latentctx_agents.dreamer.train import train

    @dataclass(frozen=True, kw_only=True)
    class Dreamer:
        """Dreamer, or Plan2Explore with --explore: an agent that learns in the imagination of its world model."""

        config: Annotated[presets.DreamerConfig, tyro.conf.arg(name="")]
        out: Path = Path("runs/dreamer")  # run folder: episodes, snapshots of filter and agent
        dataset: str | None = None  # id of a dataset that all episodes are made into at the end
        device: str = "cpu"  # torch device

    arguments = tyro.extras.overridable_config_cli(
        {
            "quick": (
                "two cores: 1,000 episodes in 100 rounds, a small world model",
                Dreamer(config=presets.QUICK),
            ),
            "explore": ("Plan2Explore at that size", Dreamer(config=presets.EXPLORE)),
            "paper": ("AIME's counts, for a GPU", Dreamer(config=presets.PAPER)),
        },
        args=words,
        prog="latentctx dreamer",
    )
    config = arguments.config
    if arguments.dataset is not None:
        refuse_taken(config, arguments.out, arguments.dataset)  # before hours of training
    one_thread()
    name = "plan2explore" if config.explore else "dreamer"
    with training_bar(f"{name} {config.task}", config.rounds, metric="return", unit="round") as advance:
        train(config, arguments.out, device=arguments.device, on_round=advance)
    print(f"snapshots: {arguments.out / 'snapshots'}\nepisodes: {arguments.out / 'episodes'}")
    if arguments.dataset is not None:
        make_dataset(config, arguments.out, arguments.dataset)
        print(f"dataset: {arguments.dataset}")
