"""Turn somebody's own weights of a teacher into a weight file that runs learn from, checked."""

from pathlib import Path

from stagewise.process.scripting import importing, json_object, parser, run_script
from stagewise.study.config.pairs import Teacher


def main() -> None:
    """Read arguments, check the file, write ours."""
    options = parser(__doc__)
    options.add_argument(
        "--teacher", type=json_object, required=True, help="the config's teacher, as JSON"
    )
    options.add_argument("--data", type=Path, required=True, help="prepared.safetensors")
    options.add_argument("--out", type=Path, required=True, help="a .safetensors file")
    arguments = options.parse_args()
    with importing():
        from stagewise.runs.given import make_given
    teacher = Teacher(**arguments.teacher)
    make_given(teacher, arguments.data, arguments.out)
    print(f"{arguments.out}: {teacher.network} with the weights of {teacher.weights}")


if __name__ == "__main__":
    run_script(main)
