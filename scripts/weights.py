"""Turn torchvision's ImageNet weights into a weight file that runs can start from."""

from pathlib import Path

from stagewise.process.scripting import parser, run_script
from stagewise.runs.imagenet import WEIGHTS, make_start


def main() -> None:
    """Read arguments, fetch or find torchvision's file, check it, write ours."""
    options = parser(__doc__)
    options.add_argument("--network", required=True, help=f"one of {', '.join(WEIGHTS)}")
    options.add_argument("--image-size", type=int, default=224, help="pixels of the study's images")
    options.add_argument(
        "--mirrors", nargs="*", default=[], help="folders or base URLs with torchvision's files"
    )
    options.add_argument(
        "--cache", type=Path, default=Path("work/downloads"), help="where a download is kept"
    )
    options.add_argument("--out", type=Path, required=True, help="a .safetensors file")
    arguments = options.parse_args()
    make_start(
        arguments.network,
        arguments.image_size,
        arguments.out,
        cache=arguments.cache,
        mirrors=arguments.mirrors,
    )
    print(f"{arguments.out}: {WEIGHTS[arguments.network][0]}")


if __name__ == "__main__":
    run_script(main)
