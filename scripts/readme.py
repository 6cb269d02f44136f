"""Copy a study's tables, figures and verdicts; fill in README's results and the gallery."""

from pathlib import Path

from stagewise.analysis.publish.evidence import keep, result_files
from stagewise.analysis.publish.readme import filled, gallery, section
from stagewise.files import read_text, write_text
from stagewise.process.scripting import parser, run_script
from stagewise.study.config import load_config


def main() -> None:
    """Read arguments, copy, write."""
    options = parser(__doc__)
    options.add_argument("--results", type=Path, default=Path("results/digits"))
    options.add_argument("--evidence", type=Path, default=Path("evidence/digits"))
    options.add_argument("--readme", type=Path, default=Path("README.md"))
    options.add_argument("--gallery", type=Path, default=Path("docs/gallery.md"))
    options.add_argument("--config", type=Path, default=Path("config.yaml"), help="the study's")
    arguments = options.parse_args()
    keep(result_files(arguments.results), arguments.results, arguments.evidence)
    config = load_config(arguments.config)
    text = section(arguments.evidence, arguments.readme.parent)
    text = filled(read_text(arguments.readme), text, arguments.readme)
    write_text(arguments.readme, text)
    write_text(arguments.gallery, gallery(arguments.evidence, config.as_dict()))
    print(f"{arguments.readme}: results of {arguments.results}, kept in {arguments.evidence}")


if __name__ == "__main__":
    run_script(main)
