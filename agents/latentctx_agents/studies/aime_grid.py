"""What the study of AIME can be asked for: bodies, settings and their presets, and the grid of cells."""

import dataclasses
from dataclasses import dataclass, field

from latentctx_agents.aime import baselines, imitate
from latentctx_agents.aime.baselines import BaselineConfig
from latentctx_agents.aime.imitate import ImitationConfig
from latentctx_agents.aime.inference import Objective
from latentctx_agents.world_models import train
from latentctx_agents.world_models.train import WorldModelTraining
from latentctx_envs.encoders.latent import config as worlds
from latentctx_envs.encoders.latent.sensors import SETTINGS, Observed

AIME: dict[str, Objective] = {
    "aime": "full",
    "aime_divergence": "divergence",
    "aime_reconstruction": "reconstruction",
    "aime_idm": "idm",
}
"""Methods on a world model -> their objective."""
BCO, IIDM, BC = "bco", "iidm", "behavior_cloning"
METHODS: tuple[str, ...] = (*AIME, BCO, IIDM, BC)

SETS: dict[str, tuple[str, ...]] = {
    "walker": ("random", "stand-replay", "walk-replay", "run-replay", "mix"),
    "cheetah": ("random", "run-replay", "run-backward-replay", "flip-replay", "flip-backward-replay"),
}
"""Body -> the sets of experience that are played by what ships."""
EXPLORATION = "plan2explore"  # the paper's further set, which `latentctx dreamer explore --dataset ID` makes
TASKS: dict[str, tuple[str, ...]] = {
    "walker": ("stand", "walk", "run"),
    "cheetah": ("run", "run-backward", "flip", "flip-backward"),
}
"""Body -> the tasks that are demonstrated."""


@dataclass(frozen=True, kw_only=True)
class AimeStudyConfig:
    """What all cells of a run folder share.

    Raises:
        ValueError: there is no such body, or a number is out of range.
    """

    body: str = "walker"
    noisy: bool = False  # demonstrations and replays whose actions are disturbed, for the walker alone
    world_model: WorldModelTraining = field(default_factory=lambda: train.QUICK)  # of each set and setting
    imitation: ImitationConfig = field(default_factory=lambda: imitate.QUICK)  # of each task
    baselines: BaselineConfig = field(default_factory=lambda: baselines.QUICK)
    episodes: int = 100  # of the evaluation of each policy, side by side
    sample_state: bool = True  # in acting: draw z as the paper does; else take its mean

    def __post_init__(self) -> None:
        """Refuse what cannot be studied in words."""
        if self.body not in SETS:
            raise ValueError(f"body must be one of {', '.join(SETS)}; got {self.body!r}.")
        if self.noisy and self.body != "walker":
            raise ValueError(f"noisy datasets are the walker's; the {self.body} has none: leave noisy=False.")
        if self.episodes < 1:
            raise ValueError(f"episodes start at 1; got {self.episodes}.")

    @property
    def preset(self) -> str:
        """Name of these settings in the results: "quick", "long", "paper" or "custom"."""
        names = [name for name, (_, config) in PRESETS.items() if config == self]
        return "custom" if not names else names[0].removeprefix(self.body).removeprefix("-") or "quick"


@dataclass(frozen=True, kw_only=True)
class AimeGrid:
    """Which cells are run: all combinations; what a method does not depend on is run once.

    Raises:
        ValueError: an unknown method, set or setting, an empty axis, or a number below its range.
    """

    sets: tuple[str, ...] = ()  # experience of the body; by default all of the body's but "plan2explore"
    tasks: tuple[str, ...] = ()  # that are demonstrated; by default all of the body's
    # the paper's LPOMDP and MDP; "pixels" is its Visual setting
    observed: tuple[Observed, ...] = (
        "position",
        "state",
    )
    methods: tuple[str, ...] = ("aime", BCO, BC)
    demos: tuple[int, ...] = (100,)  # demonstrations
    seeds: tuple[int, ...] = (0,)  # of world models, policies and baselines

    def __post_init__(self) -> None:
        """Refuse what is no cell in words."""
        for name, known in (("methods", METHODS), ("observed", SETTINGS)):
            unknown = sorted(set(getattr(self, name)) - set(known))
            if unknown:
                raise ValueError(f"{name} are {', '.join(known)}; got {', '.join(unknown)}.")
        axes = (self.observed, self.methods, self.demos, self.seeds)
        if any(not axis for axis in axes) or min(self.demos) < 1 or min(self.seeds) < 0:
            raise ValueError("every axis needs a value; demos start at 1, seeds at 0.")

    def arms(self, body: str) -> list["AimeArm"]:
        """What is trained apart: one for each set, setting, method and seed.

        Raises:
            ValueError: the body has no such set or task.
        """
        for name, known in (("sets", (*SETS[body], EXPLORATION)), ("tasks", TASKS[body])):
            unknown = sorted(set(getattr(self, name)) - set(known))
            if unknown:
                raise ValueError(f"{name} of the {body} are {', '.join(known)}; got {', '.join(unknown)}.")
        if IIDM in self.methods and "pixels" in self.observed:
            raise ValueError("iidm foretells vectors: leave it out, or pixels.")
        found: dict[AimeArm, None] = {}
        for seed in self.seeds:
            for observed in self.observed:
                for name in self.sets or SETS[body]:
                    for method in self.methods:
                        known = "" if method == BC else name
                        found[AimeArm(method=method, set=known, observed=observed, seed=seed)] = None
        return list(found)


@dataclass(frozen=True, kw_only=True, order=True)
class AimeArm:
    """A method with what decides what it knows of the body."""

    method: str
    set: str  # of experience; "" for a method that has none
    observed: Observed
    seed: int

    @property
    def knowledge(self) -> str:
        """Name of the folder of what was learned of the body; methods on a world model share it."""
        kind = "world-model" if self.method in AIME else self.method
        return f"{kind}-{self.set}-{self.observed}-seed{self.seed}"


def _study(
    body: str, model: worlds.WorldModelConfig, preset: WorldModelTraining, **parts: object
) -> AimeStudyConfig:
    return AimeStudyConfig(
        body=body,
        noisy=body == "walker",
        world_model=dataclasses.replace(preset, model=model),
        **parts,  # type: ignore[arg-type]
    )


_FALLING = dataclasses.replace(imitate.QUICK.optimizer, schedule="cosine")
_LONG: dict[str, object] = {"imitation": dataclasses.replace(imitate.QUICK, optimizer=_FALLING)}
_LARGER: dict[str, object] = {
    "imitation": dataclasses.replace(imitate.QUICK, optimizer=dataclasses.replace(_FALLING, steps=10_000))
}
_PAPER: dict[str, object] = {"imitation": imitate.PAPER, "baselines": baselines.PAPER}
_PAPER_CHEETAH = {**_PAPER, "imitation": imitate.PAPER_CHEETAH}

PRESETS: dict[str, tuple[str, AimeStudyConfig]] = {
    "walker": (
        "a small world model, 10,000 and 5,000 steps: minutes a cell on a core",
        AimeStudyConfig(noisy=True),
    ),
    "cheetah": (
        "a small world model, 10,000 and 5,000 steps: minutes a cell on a core",
        AimeStudyConfig(body="cheetah"),
    ),
    "walker-long": (
        "30,000 steps of the same model, rates that fall to zero: half an hour a model on a core",
        _study("walker", worlds.QUICK, train.LARGER, **_LONG),
    ),
    "walker-larger": (
        "twice the latent state, 30,000 and 10,000 steps: some 70 minutes a model and 15 a cell on a core",
        _study("walker", worlds.LARGER, train.LARGER, **_LARGER),
    ),
    "cheetah-long": (
        "30,000 steps of the same model, rates that fall to zero: half an hour a model on a core",
        _study("cheetah", worlds.QUICK, train.LARGER, **_LONG),
    ),
    "walker-paper": (
        "the paper's sizes, for a GPU",
        _study("walker", worlds.RSSM, train.PAPER_WALKER, **_PAPER),
    ),
    "cheetah-paper": (
        "the paper's sizes, for a GPU",
        _study("cheetah", worlds.RSSMO, train.PAPER_CHEETAH, **_PAPER_CHEETAH),
    ),
}
