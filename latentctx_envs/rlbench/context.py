"""What stays the same from one RLBench episode to the next: the task and its variation."""

import re
from dataclasses import dataclass

from latentctx_envs.context import ContextFields
from latentctx_envs.settings import is_whole

TASKS: tuple[str, ...] = (
    "reach_target", "push_button", "close_box", "open_drawer", "slide_block_to_target",
)  # fmt: skip
"""Tasks to begin with; every task of RLBench may be named."""

NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")  # of the module that defines the task


@dataclass(frozen=True)
class RLBenchContext(ContextFields):
    """A task of RLBench and one of its variations.

    It is no `latentctx_envs.context.Context`: RLBench decides which tasks and variations there are, so that it has
    neither splits nor a vector.

    Raises:
        ValueError: a field cannot be one of RLBench's. Whether there is such a task, and that variation of it, only
            RLBench knows.
    """

    task: str  # the name of the task's module, such as "reach_target"
    variation: int  # from 0; "reach_target" has one for each colour of the target

    def __post_init__(self) -> None:
        """Refuse what cannot be a task or a variation."""
        if not isinstance(self.task, str) or not NAME.fullmatch(self.task):
            raise ValueError(unknown_task(self.task))
        if not is_whole(self.variation) or self.variation < 0:
            raise ValueError(f"variation must be a whole number from 0; got {self.variation!r}.")
        object.__setattr__(self, "variation", int(self.variation))  # NumPy's, too


def unknown_task(task: object) -> str:
    """The refusal of a task that RLBench does not have."""
    return f"task must be the name of one of RLBench's tasks, such as {', '.join(TASKS)}; got {task!r}."
