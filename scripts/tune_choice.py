"""Choose each arm's learning rate on validation from a tuning study."""

from pathlib import Path

from stagewise.analysis.claims.tuning import at_the_edge, choose_rates, rates_yaml
from stagewise.analysis.records.csv_files import read_csv
from stagewise.analysis.records.study import read_study
from stagewise.analysis.records.summary import EVALUATED
from stagewise.files import write_text
from stagewise.process.arguments import study_parser
from stagewise.process.scripting import run_script


def main() -> None:
    """Read plan and ``evaluation.csv``; write ``choice.csv`` and ``learning_rates.yaml``."""
    arguments = study_parser(__doc__)
    arguments.add_argument("--evaluation", type=Path, required=True, help="from evaluate.py")
    arguments.add_argument("--out", type=Path, required=True, help="choice.csv to write")
    arguments.add_argument("--rates", type=Path, required=True, help="learning_rates.yaml to write")
    args = arguments.parse_args()
    evaluation = read_csv(args.evaluation, EVALUATED, key=("path", "exit", "split"))
    table = choose_rates(read_study(args.plan, args.root), evaluation)
    write_text(args.out, table.to_csv(index=False))
    write_text(args.rates, rates_yaml(table))
    if edge := at_the_edge(table):
        print(f"best at the grid's edge, so perhaps beyond it: {', '.join(edge)}")


if __name__ == "__main__":
    run_script(main)
