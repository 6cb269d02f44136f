"""Turn torchvision's ImageNet weights into a weight file that runs can start from."""

from pathlib import Path

from stagewise.models.imagenet import WEIGHTS, converted, fetch, read
from stagewise.models.store import save_network
from stagewise.scripting import parser, run_script


def main() -> None:
    """Read arguments, fetch or find torchvision's file, check it, write ours."""
    options = parser(__doc__)
    options.add_argument("--network", required=True, help=f"one of {', '.join(WEIGHTS)}")
    options.add_argument("--image-size", type=int, default=224, help="pixels of the study's images")
    options.add_argument(
        "--folder",
        type=Path,
        default=Path("data/weights"),
        help="where torchvision's file lies, or goes",
    )
    options.add_argument("--out", type=Path, required=True, help="a .safetensors file")
    arguments = options.parse_args()
    path = fetch(arguments.network, arguments.folder)
    network, architecture = converted(arguments.network, read(path), arguments.image_size)
    save_network(network, architecture, arguments.out)
    print(f"{arguments.out}: {WEIGHTS[arguments.network][0]}, from {path}")


if __name__ == "__main__":
    run_script(main)
