"""From a configuration to a plan of runs. Nothing here imports torch."""

from stagewise.study.config import Config, load_config, resolve_config
from stagewise.study.plan import make_plan
from stagewise.study.planned import Plan, PlannedRun
from stagewise.study.warnings import find_warnings

__all__ = [
    "Config",
    "Plan",
    "PlannedRun",
    "find_warnings",
    "load_config",
    "make_plan",
    "resolve_config",
]
