"""LatentCtx: Gymnasium worlds whose context (goal, task, order) is hidden from the learner.

Importing this package registers the ids; it imports neither a simulator nor torch.
"""

from latentctx_envs.registration import register_all

__version__ = "0.1.0"

register_all()
