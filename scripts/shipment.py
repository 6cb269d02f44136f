"""Write the files of the network that a study's target was met with, or came nearest to it."""

from pathlib import Path

from stagewise.analysis.claims.results import read_results
from stagewise.analysis.claims.target import judge_target
from stagewise.errors import UserError
from stagewise.process.arguments import results_parser
from stagewise.process.scripting import importing, run_script

KINDS = {"float32": "onnx", "int8": "int8.onnx"}
"""Form of the chosen files → how they end."""


def main() -> None:
    """Read results and weights; write the folder, and say the verdict."""
    options = results_parser(__doc__)
    options.add_argument("--candidates", type=Path, required=True, help="candidates.csv")
    options.add_argument("--data", type=Path, required=True, help="the study's prepared data")
    options.add_argument("--out", type=Path, required=True, help="folder to write")
    args = options.parse_args()
    results = read_results(args.plan, args.root, args.summary, candidates=args.candidates)
    found = judge_target(results)
    if found is None:
        raise UserError(f"{args.plan}: its study has no target")
    with importing():
        from stagewise.ship.export import Wanted, export_run
    asked, config = found.asked, results.study.config
    wanted = Wanted(
        int8=True,
        batch=max(2, asked["batch"]),
        repeats=config["evaluation"]["latency_repeats"],
        licence=asked.get("licence", ""),
        kind=KINDS[str(found.chosen.rows["form"].iloc[0])],
        verdict=found.sentence,
    )
    run = results.study.folder(str(found.chosen.shipped["path"]))
    export_run(run, args.out, args.data, wanted)
    print(found.sentence)


if __name__ == "__main__":
    run_script(main)
