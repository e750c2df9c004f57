"""What a body senses, by name: columns of its state observation, and which of them a setting shows.

AIME's settings: "state" shows everything (the paper's MDP), "position" what has no velocity in it (LPOMDP), "pixels" a
picture (Visual). What a setting does not show is probed: read from the latent state by heads that do not shape it.
Of other bodies only the length of the state is known, and it is shown as a whole.
"""

from dataclasses import dataclass, replace
from typing import Literal

from latentctx_envs.registration import family_of

Observed = Literal["state", "position", "pixels"]
PIXELS = "pixels"
SETTINGS: tuple[Observed, ...] = ("state", "position", "pixels")

COLUMNS: dict[str, dict[str, tuple[int, int]]] = {
    "walker": {"orientations": (0, 14), "height": (14, 15), "velocity": (15, 24)},
    "cheetah": {"position": (0, 8), "velocity": (8, 17)},
    "point-mass": {"position": (0, 2), "velocity": (2, 4)},
}
"""Family of worlds -> its sensors, as columns of the state; velocities come last."""
WHOLE = "state"  # name of the sensor of bodies whose columns have no names


@dataclass(frozen=True, kw_only=True)
class Sensors:
    """What a model sees, decodes and is probed for."""

    family: str
    observed: Observed
    decoded: dict[
        str, tuple[int, int]
    ]  # columns of the state that the model sees and decodes; none for pixels
    probed: dict[str, tuple[int, int]]  # columns that are read from the latent state alone
    state_dim: int | None = None  # as given to `of`

    @classmethod
    def of(cls, family: str, observed: Observed, state_dim: int | None = None) -> "Sensors":
        """The sensors of a family's body in one setting.

        Args:
            family: in `COLUMNS`, or any name.
            observed: the setting.
            state_dim: length of the state, of a body that is not in `COLUMNS`; 0 where only frames are known.

        Raises:
            ValueError: no such setting, or it is not known which numbers of such a body's state it shows.
        """
        if observed not in SETTINGS:
            raise ValueError(f"observed must be one of {', '.join(SETTINGS)}; got {observed!r}.")
        if family not in COLUMNS and state_dim is None:
            raise ValueError(
                f"world models know the sensors of {', '.join(COLUMNS)}; of {family!r} the length of the state is needed."
            )
        if family not in COLUMNS and observed == "position":
            raise ValueError(
                f"which numbers of {family}'s states are velocities is not known: observed is 'state' or 'pixels' there, "
                "and states without velocities are a dataset of their own."
            )
        columns = COLUMNS.get(family) or ({WHOLE: (0, state_dim)} if state_dim else {})
        shown = {
            "state": set(columns),
            "position": set(columns) - {"velocity"},
            "pixels": set(),
        }[observed]
        return cls(
            family=family,
            observed=observed,
            decoded={name: where for name, where in columns.items() if name in shown},
            probed={name: where for name, where in columns.items() if name not in shown},
            state_dim=None if family in COLUMNS else state_dim,
        )

    @classmethod
    def of_world(cls, env_id: str, observed: Observed, state_dim: int | None = None) -> "Sensors":
        """The sensors of the body that lives in a world, such as "LatentCtx-WalkerRun-v0"; of none of this project it goes by the world's id.

        Raises:
            ValueError: as of `of`.
        """
        return cls.of(family_of(env_id) or env_id, observed, state_dim)

    def unprobed(self) -> "Sensors":
        """The same without probes: of data that holds no states to compare them with."""
        return replace(self, probed={})

    @property
    def width(self) -> int:
        """Length of the vector that the model sees: the first so many columns of the state."""
        return max((last for _, last in self.decoded.values()), default=0)
