"""What stays the same in one OGBench episode: the world and its goal."""

from dataclasses import dataclass

from latentctx_envs.context import ContextFields
from latentctx_envs.settings import is_whole

TASKS: dict[str, tuple[str, str, str]] = {
    "visual-cube-single": ("cube_env", "CubeEnv", "single"),
    "visual-cube-double": ("cube_env", "CubeEnv", "double"),
    "visual-cube-triple": ("cube_env", "CubeEnv", "triple"),
    "visual-cube-quadruple": ("cube_env", "CubeEnv", "quadruple"),
    "visual-scene": ("scene_env", "SceneEnv", "scene"),
    "visual-puzzle-3x3": ("puzzle_env", "PuzzleEnv", "3x3"),
    "visual-puzzle-4x4": ("puzzle_env", "PuzzleEnv", "4x4"),
    "visual-puzzle-4x5": ("puzzle_env", "PuzzleEnv", "4x5"),
    "visual-puzzle-4x6": ("puzzle_env", "PuzzleEnv", "4x6"),
}
"""OGBench's name of a world, without its version -> the module and the class that simulate it, and which kind of it."""

GOALS = 5  # of each world, numbered from 1 (OGBench's `task_id`)


@dataclass(frozen=True)
class OGBenchContext(ContextFields):
    """A world of OGBench and one of its five goals.

    It is no `latentctx_envs.context.Context`: a goal of OGBench is a number without a meaning that worlds share, so
    that it has neither splits nor a vector.

    Raises:
        ValueError: there is no such world, or no such goal.
    """

    task: str  # one of `TASKS`
    goal: int  # from 1 to 5; it also decides where things stand at the start

    def __post_init__(self) -> None:
        """Refuse what OGBench does not have."""
        check_task(self.task)
        check_goal(self.goal)
        object.__setattr__(self, "goal", int(self.goal))  # NumPy's, too


def check_task(task: object) -> None:
    """Refuse a world that is not one of `TASKS`, in words."""
    if not isinstance(task, str) or task not in TASKS:
        raise ValueError(f"task must be one of {', '.join(TASKS)}; got {task!r}.")


def check_goal(goal: object) -> None:
    """Refuse a goal that no world has, in words."""
    if not is_whole(goal) or not 1 <= goal <= GOALS:
        raise ValueError(f"goal must be a whole number from 1 to {GOALS}; got {goal!r}.")
