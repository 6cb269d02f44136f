"""Arguments that several scripts take."""

import argparse
from pathlib import Path

from stagewise.process.scripting import parser


def study_parser(description: str | None) -> argparse.ArgumentParser:
    """A parser for what reads a study's plan and its run folders."""
    options = parser(description)
    options.add_argument("--plan", type=Path, required=True, help="the study's plan.json")
    options.add_argument("--root", type=Path, default=Path("."), help="folder that holds runs/")
    return options


def results_parser(description: str | None) -> argparse.ArgumentParser:
    """The same for what reads its summary too."""
    options = study_parser(description)
    options.add_argument("--summary", type=Path, required=True, help="from summarise.py")
    return options


def own_claims(options: argparse.ArgumentParser) -> None:
    """Add what tells of the claims that a study's own config makes."""
    options.add_argument("--own", default="", help="claims of the config, as JSON")
