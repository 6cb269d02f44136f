"""Compare a study with the same study computed otherwise: is accuracy the same within a margin?"""

from pathlib import Path

from stagewise.analysis.claims.equivalence import compare, shown
from stagewise.analysis.records.csv_files import read_csv
from stagewise.analysis.tables.files import markdown
from stagewise.files import write_text
from stagewise.process.scripting import parser, run_script

NEEDED = ("path", "arm", "seed", "exit", "test_accuracy", "device", "epochs")


def main() -> None:
    """Read both summaries; write the comparison as CSV and Markdown."""
    options = parser(__doc__)
    options.add_argument("--first", type=Path, required=True, help="summary.csv to compare with")
    options.add_argument("--second", type=Path, required=True, help="summary.csv of this study")
    options.add_argument("--margin", type=float, required=True, help="points")
    options.add_argument("--out", type=Path, required=True, help="equivalence.csv")
    arguments = options.parse_args()
    table = compare(
        read_csv(arguments.first, NEEDED), read_csv(arguments.second, NEEDED), arguments.margin
    )
    caption = (
        f"Second: {arguments.second}, first: {arguments.first}. Test accuracy, last epoch, paired"
        f" by arm and seed; equivalent: the 90 % interval lies within ± {arguments.margin:g} points"
        " (TOST, 5 %). Seeds needed: for 80 % power if there is no difference."
    )
    write_text(arguments.out, table.to_csv(index=False))
    write_text(arguments.out.with_suffix(".md"), f"{caption}\n\n{markdown(shown(table))}")
    print(f"{arguments.out}: {table['verdict'][0]}, mean over arms {table['mean'][0]:+.2f} points")


if __name__ == "__main__":
    run_script(main)
