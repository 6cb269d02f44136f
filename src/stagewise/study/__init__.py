"""From a configuration to a plan of runs. Nothing here imports torch."""

from stagewise.study.config import load_config, resolve_config
from stagewise.study.plan import make_plan
from stagewise.study.runs import Plan, Run
from stagewise.study.warnings import advice

__all__ = ["Plan", "Run", "advice", "load_config", "make_plan", "resolve_config"]
