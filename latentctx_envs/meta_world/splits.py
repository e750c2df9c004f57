"""Meta-World's fifty tasks and the sets of them that papers train and test on, as literal tuples of unique names."""

from latentctx_envs.context import Split

TASKS: tuple[str, ...] = (
    "assembly-v3", "basketball-v3", "bin-picking-v3", "box-close-v3", "button-press-topdown-v3",
    "button-press-topdown-wall-v3", "button-press-v3", "button-press-wall-v3", "coffee-button-v3", "coffee-pull-v3",
    "coffee-push-v3", "dial-turn-v3", "disassemble-v3", "door-close-v3", "door-lock-v3", "door-open-v3",
    "door-unlock-v3", "hand-insert-v3", "drawer-close-v3", "drawer-open-v3", "faucet-open-v3", "faucet-close-v3",
    "hammer-v3", "handle-press-side-v3", "handle-press-v3", "handle-pull-side-v3", "handle-pull-v3", "lever-pull-v3",
    "pick-place-wall-v3", "pick-out-of-hole-v3", "pick-place-v3", "plate-slide-v3", "plate-slide-side-v3",
    "plate-slide-back-v3", "plate-slide-back-side-v3", "peg-insert-side-v3", "peg-unplug-side-v3", "soccer-v3",
    "stick-push-v3", "stick-pull-v3", "push-v3", "push-wall-v3", "push-back-v3", "reach-v3", "reach-wall-v3",
    "shelf-place-v3", "sweep-into-v3", "sweep-v3", "window-open-v3", "window-close-v3",
)  # fmt: skip
"""In the order of the one-hot part of a context vector."""

TWICE: tuple[str, ...] = ("peg-insert-side-v3", "push-v3", "reach-v3")
"""Tasks that stand twice in the list of arXiv 2305.16985's code, and were drawn twice as often."""

ML45_TEST: tuple[str, ...] = (
    "bin-picking-v3", "box-close-v3", "hand-insert-v3", "door-lock-v3", "door-unlock-v3",
)  # fmt: skip
R3M_TEST: tuple[str, ...] = (
    "assembly-v3", "bin-picking-v3", "button-press-v3", "drawer-open-v3", "hammer-v3",
)  # fmt: skip

TASK_SETS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "ml45": (tuple(task for task in TASKS if task not in ML45_TEST), ML45_TEST),
    "r3m": (tuple(task for task in TASKS if task not in R3M_TEST), R3M_TEST),
    "door": (("door-unlock-v3", "door-close-v3", "door-open-v3"), ("door-lock-v3",)),
    "button": (
        ("button-press-topdown-v3", "button-press-topdown-wall-v3", "button-press-wall-v3"),
        ("button-press-v3",),
    ),
    "plate": (
        ("plate-slide-v3", "plate-slide-side-v3", "plate-slide-back-v3"),
        ("plate-slide-back-side-v3",),
    ),
}
"""Name of a set -> (tasks to pretrain on, tasks to finetune on), as in arXiv 2305.16985's code."""


def tasks_of(name: str, split: Split) -> tuple[str, ...]:
    """The tasks of a set that belong to a split; "all" is both.

    Raises:
        ValueError: there is no such set.
    """
    if name not in TASK_SETS:
        raise ValueError(f"tasks must be one of {', '.join(TASK_SETS)}; got {name!r}.")
    train, test = TASK_SETS[name]
    return {"train": train, "test": test, "all": train + test}[split]
