"""Prune a trained network to a given factor fewer MACs; the result is a run without recovery."""

from pathlib import Path

from stagewise.process.scripting import importing, json_object, parser, run_script


def main() -> None:
    """Read arguments, prune, write the run folder."""
    options = parser(__doc__)
    options.add_argument("--spec", type=json_object, required=True, help="the run's spec, as JSON")
    options.add_argument("--data", type=Path, required=True, help="prepared.safetensors")
    options.add_argument("--init", type=Path, required=True, help="weights to prune")
    options.add_argument("--out", type=Path, required=True, help="the run's folder")
    options.add_argument("--code", default="", help="code fingerprint, stored in the record")
    arguments = options.parse_args()
    with importing():
        from stagewise.runs.prune import prune_run
        from stagewise.runs.start import Inputs
        from stagewise.study.spec import PruneSpec
    prune_run(
        PruneSpec.read(arguments.spec),
        Inputs(arguments.data, {"init": arguments.init}),
        arguments.out,
        code=arguments.code,
    )


if __name__ == "__main__":
    run_script(main, forked=True)
