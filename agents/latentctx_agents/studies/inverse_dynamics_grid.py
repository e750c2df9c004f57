"""What the study of arXiv 2305.16985 can be asked for: worlds, settings and their presets, and the grid of cells."""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path

from latentctx_agents import finetune, pretrain
from latentctx_agents.cells import EXPERT, SCRATCH, STATES
from latentctx_agents.finetune import FinetuneConfig
from latentctx_agents.optim import OptimizerConfig
from latentctx_agents.pretrain import PretrainConfig
from latentctx_agents.probe import PROBE
from latentctx_agents.representations import OBJECTIVES

RANDOM = "random"
METHODS: tuple[str, ...] = (*OBJECTIVES, RANDOM, SCRATCH, STATES, EXPERT)
SIGHTLESS = (STATES, EXPERT)  # see no frames
PRETRAINED = (*OBJECTIVES, RANDOM, SCRATCH)  # have an encoder of the study's own, trained or not


@dataclass(frozen=True, kw_only=True)
class World:
    """The datasets of a world."""

    pretrain: tuple[tuple[int, str], ...]  # (contexts, dataset), the smaller ones first
    finetune: str
    demos: tuple[int, ...]  # the paper's S, M, L and XL
    usual: int  # which of these the paper takes where it varies something else


def _meta_world(name: str, *sizes: int) -> World:
    """The datasets of a set of Meta-World in three sizes, of the environment's recipes."""
    kinds = ("expert-small", "expert-medium", "expert")
    return World(
        pretrain=tuple(
            (size, f"latentctx/{name}/{kind}-v0") for size, kind in zip(sizes, kinds, strict=True)
        ),
        finetune=f"latentctx/{name}/finetune-v0",
        demos=(2, 5, 10, 20),
        usual=5 if name == "pick-place" else 10,
    )


WORLDS: dict[str, World] = {
    "point-mass": World(
        pretrain=((1000, "latentctx/point-mass/expert-v0"),),
        finetune="latentctx/point-mass/finetune-v0",
        demos=(1, 2, 5, 10),
        usual=2,
    ),
    "pick-place": _meta_world("pick-place", 10, 100, 1000),
    "door": _meta_world("door", 10, 100, 1000),
    "ml45": _meta_world("ml45", 100, 1000, 10_000),
    "r3m": _meta_world("r3m", 100, 1000, 10_000),
}


@dataclass(frozen=True, kw_only=True)
class StudyConfig:
    """What all cells of a run folder share.

    Raises:
        ValueError: there is no such world, or a number is out of range.
    """

    world: str = "point-mass"
    # instead of the world's own, such as one with the finetuning tasks in it
    pretrain_dataset: str | None = None
    # its dataset and arm are overridden
    pretrain: PretrainConfig = field(default_factory=lambda: pretrain.QUICK)
    # its demonstrations and seed as well
    finetune: FinetuneConfig = field(default_factory=lambda: finetune.QUICK)
    goals: int = 5  # finetuning tasks; of the point mass the first five are the authors'
    episodes: int = 40  # evaluation episodes of each goal
    held_out: int = 10  # demonstrations of each goal for the cloning loss on what was not cloned
    probe: OptimizerConfig = field(default_factory=lambda: PROBE)  # of what can be read from the encoders
    halved: tuple[str, ...] = ()  # objectives that are trained with half the batch and half the rate

    def __post_init__(self) -> None:
        """Refuse what cannot be studied in words."""
        if self.world not in WORLDS:
            raise ValueError(f"world must be one of {', '.join(WORLDS)}; got {self.world!r}.")
        if self.goals < 1 or self.episodes < 1 or self.held_out < 0:
            raise ValueError("goals and episodes start at 1, held_out at 0.")

    @property
    def preset(self) -> str:
        """Name of these settings in the results: "quick", "paper" or "custom"."""
        own = dataclasses.replace(self, pretrain_dataset=None)
        names = [name for name, (_, config) in PRESETS.items() if config == own]
        return "custom" if not names else "paper" if names[0].endswith("-paper") else "quick"


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Which cells are run: all combinations. What an objective or a baseline does not depend on is run once.

    Raises:
        ValueError: an unknown method, an empty axis, or a number below its range.
    """

    methods: tuple[str, ...] = METHODS
    demos: tuple[int, ...] = (2,)  # demonstrations of the new context
    contexts: tuple[int, ...] = (1000,)  # that are pretrained on
    n_step: tuple[int, ...] = (1,)  # distance of the two frames of a multi-step objective [steps]
    goal_visible: tuple[bool, ...] = (False,)  # whether the frames show the context
    seeds: tuple[int, ...] = (0, 1, 2)  # of pretraining, choice of demonstrations and heads
    encoders: tuple[str, ...] = ()  # further frozen encoders: directories, names of the zoo or hub ids
    analyse: bool = False  # what can be read from the encoders: positions, and one another

    def __post_init__(self) -> None:
        """Refuse what is no cell in words."""
        unknown = sorted(set(self.methods) - set(METHODS))
        if unknown:
            raise ValueError(f"methods are {', '.join(METHODS)}; got {', '.join(unknown)}.")
        axes = {
            name: getattr(self, name)
            for name in ("methods", "demos", "contexts", "n_step", "goal_visible", "seeds")
        }
        empty = [name for name, values in axes.items() if not values]
        names = [frozen_name(encoder) for encoder in self.encoders]
        if len({*names, *METHODS}) < len(names) + len(METHODS):
            raise ValueError(f"encoders need names of their own; got {', '.join(names)}.")
        if empty or min(*self.demos, *self.contexts, *self.n_step) < 1 or min(self.seeds) < 0:
            raise ValueError("every axis needs a value; demos, contexts and n_step start at 1, seeds at 0.")

    def arms(self) -> list["Arm"]:
        """One for each encoder, and one for each seed of a method without an encoder."""
        found: dict[Arm, None] = {}
        for seed in self.seeds:
            for method in (*self.methods, *map(frozen_name, self.encoders)):
                for contexts in self.contexts:
                    for n_step in self.n_step:
                        for visible in self.goal_visible:
                            found[Arm.of(method, contexts, n_step, visible, seed, max(self.contexts))] = None
        return [arm for arm in found if arm.n_step in self.n_step]


def frozen_name(encoder: str) -> str:
    """What a further encoder is called in the results: its directory's name, or that in the zoo."""
    return Path(encoder).name


@dataclass(frozen=True, kw_only=True, order=True)
class Arm:
    """A method with what decides its encoder."""

    method: str
    contexts: int
    n_step: int
    goal_visible: bool
    seed: int

    @classmethod
    def of(
        cls, method: str, contexts: int, n_step: int, goal_visible: bool, seed: int, largest: int
    ) -> "Arm":
        """The arm, without what makes no difference to the method."""
        learns = method in OBJECTIVES
        return cls(
            method=method,
            contexts=contexts if learns else largest,
            n_step=n_step if learns and OBJECTIVES[method].multi_step else 1,
            goal_visible=goal_visible and method not in SIGHTLESS,
            seed=seed,
        )

    @property
    def name(self) -> str:
        """Of its folder."""
        sight = "visible" if self.goal_visible else "hidden"
        return f"{self.method}-{self.contexts}-n{self.n_step}-{sight}-seed{self.seed}"


def dataset_of(config: StudyConfig, contexts: int) -> str:
    """The smallest pretraining set of the world that has so many contexts, or the one that is named instead.

    Raises:
        ValueError: none has.
    """
    if config.pretrain_dataset is not None:
        return config.pretrain_dataset
    for size, dataset in WORLDS[config.world].pretrain:
        if size >= contexts:
            return dataset
    raise ValueError(f"{config.world} has {size} contexts to pretrain on; asked for {contexts}.")


def pretraining(config: StudyConfig, arm: Arm) -> PretrainConfig:
    """How an arm's encoder is trained; scratch takes the shape and the mean image of an untrained one."""
    optimizer = config.pretrain.optimizer
    if arm.method in config.halved:
        optimizer = dataclasses.replace(
            optimizer, batch_size=optimizer.batch_size // 2, learning_rate=optimizer.learning_rate / 2
        )
    return dataclasses.replace(
        config.pretrain,
        objective=arm.method if arm.method in OBJECTIVES else RANDOM,
        dataset=dataset_of(config, arm.contexts),
        contexts=arm.contexts,
        n_step=arm.n_step,
        goal_visible=arm.goal_visible,
        optimizer=optimizer,
        seed=arm.seed,
    )


def _quick(world: str) -> StudyConfig:
    encoder = dataclasses.replace(pretrain.QUICK.encoder, image_size=(63, 63))
    settings = dataclasses.replace(pretrain.QUICK, encoder=encoder, render_profile="turbo")
    head = dataclasses.replace(finetune.QUICK, standardise=True)
    return StudyConfig(world=world, pretrain=settings, finetune=head, episodes=20)


def _paper(world: str, pixels: int, steps: int) -> StudyConfig:
    encoder = dataclasses.replace(pretrain.PAPER.encoder, image_size=(pixels, pixels))
    optimizer = dataclasses.replace(pretrain.PAPER.optimizer, steps=steps)
    return StudyConfig(
        world=world,
        pretrain=dataclasses.replace(pretrain.PAPER, encoder=encoder, optimizer=optimizer),
        finetune=finetune.PAPER,
        episodes=100,
        halved=("explicit_forward_dynamics",),
    )


_QUICK, _PAPER = (
    "63 px in turbo, 4,000 steps: minutes an encoder on a core",
    "the paper's pixels and steps, for a GPU",
)

PRESETS: dict[str, tuple[str, StudyConfig]] = {
    "point-mass": ("47 px, 4,000 steps: minutes an encoder on a core", StudyConfig()),
    "pick-place": (_QUICK, _quick("pick-place")),
    "door": (_QUICK, _quick("door")),
    "ml45": (_QUICK, _quick("ml45")),
    "r3m": (_QUICK, _quick("r3m")),
    "point-mass-paper": (_PAPER, _paper("point-mass", 84, 100_000)),
    "pick-place-paper": (_PAPER, _paper("pick-place", 120, 100_000)),
    "door-paper": (_PAPER, _paper("door", 120, 100_000)),
    "ml45-paper": (_PAPER, _paper("ml45", 120, 200_000)),
    "r3m-paper": (_PAPER, _paper("r3m", 120, 200_000)),
}


def usual_grid(preset: str) -> Grid:
    """The cells of a preset unless others are asked for: the paper's usual number of demonstrations, and of contexts.

    Presets for a laptop pretrain on a thousand contexts at most.
    """
    config = PRESETS[preset][1]
    world = WORLDS[config.world]
    largest, _ = world.pretrain[-1]
    contexts = largest if preset.endswith("-paper") else min(largest, config.pretrain.contexts)
    return Grid(demos=(world.usual,), contexts=(contexts,))
