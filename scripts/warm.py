"""Import torch once, and let the training scripts of this machine be forks of this process."""

import sys
from pathlib import Path

from stagewise.errors import UserError
from stagewise.process.scripting import importing, parser, run_script
from stagewise.process.warm import listen, serve


def main() -> None:
    """Read arguments, import, answer until killed."""
    options = parser(__doc__)
    options.add_argument("--socket", type=Path, required=True, help="where to answer")
    arguments = options.parse_args()
    try:
        server = listen(arguments.socket)
    except UserError as error:
        print(f"note: {error}", file=sys.stderr)
        return
    with importing():
        import stagewise.runs.prune
        import stagewise.runs.train  # noqa: F401 - for the forks
    serve(server)


if __name__ == "__main__":
    run_script(main)
