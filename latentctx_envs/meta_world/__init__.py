"""Meta-World's fifty Sawyer tasks: upstream's numbers without the avoidable cost around `mj_step`."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from latentctx_envs.meta_world.engine import Sawyer


def make_sawyer(task: str, **settings: Any) -> "Sawyer":
    """A task of Meta-World V3 such as "reach-v3"; `engine.make_sawyer` names the settings.

    Metaworld is imported by the first call, not by this package.
    """
    from latentctx_envs.meta_world import engine

    return engine.make_sawyer(task, **settings)
