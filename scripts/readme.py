"""Copy a study's tables, figures and verdicts; fill in README's results and the gallery."""

import shutil
from pathlib import Path

from stagewise.analysis.readme import filled, gallery, section
from stagewise.errors import UserError
from stagewise.files import write_text
from stagewise.scripting import parser, run_script
from stagewise.study import load_config

PUBLISHED = ("claims.csv", "tables/*.md", "tables/*.csv", "figures/*.svg")


def main() -> None:
    """Read arguments, copy, write."""
    options = parser(__doc__)
    options.add_argument("--results", type=Path, default=Path("results/digits"))
    options.add_argument("--evidence", type=Path, default=Path("evidence/digits"))
    options.add_argument("--readme", type=Path, default=Path("README.md"))
    options.add_argument("--gallery", type=Path, default=Path("docs/gallery.md"))
    options.add_argument("--config", type=Path, default=Path("config.yaml"), help="the study's")
    arguments = options.parse_args()
    sources = [path for name in PUBLISHED for path in sorted(arguments.results.glob(name))]
    if not sources:
        raise UserError(f"{arguments.results}: no results there; run `snakemake` first")
    for source in sources:
        target = arguments.evidence / source.relative_to(arguments.results)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
    text = filled(arguments.readme.read_text(encoding="utf-8"), section(arguments.evidence))
    write_text(arguments.readme, text)
    write_text(arguments.gallery, gallery(arguments.evidence, load_config(arguments.config)))
    print(f"{arguments.readme}: results of {arguments.results}, kept in {arguments.evidence}")


if __name__ == "__main__":
    run_script(main)
