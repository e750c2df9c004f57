"""Pretraining objectives of arXiv 2305.16985, one file each; this is the closed list of their names."""

from latentctx_agents.representations.behavior_cloning import BehaviorCloning
from latentctx_agents.representations.explicit_forward_dynamics import ExplicitForwardDynamics
from latentctx_agents.representations.implicit_forward_dynamics import ImplicitForwardDynamics
from latentctx_agents.representations.inverse_dynamics import InverseDynamics
from latentctx_agents.representations.objective import Batch, Objective, ObjectiveConfig
from latentctx_agents.representations.static_contrastive import StaticContrastive

OBJECTIVES: dict[str, type[Objective]] = {
    "inverse_dynamics": InverseDynamics,
    "behavior_cloning": BehaviorCloning,
    "implicit_forward_dynamics": ImplicitForwardDynamics,
    "explicit_forward_dynamics": ExplicitForwardDynamics,
    "static_contrastive": StaticContrastive,
}

__all__ = [
    "OBJECTIVES",
    "Batch",
    "BehaviorCloning",
    "ExplicitForwardDynamics",
    "ImplicitForwardDynamics",
    "InverseDynamics",
    "Objective",
    "ObjectiveConfig",
    "StaticContrastive",
]
