"""Does our loop lose accuracy to the published style? One recipe in both, to the last epoch.

The published-style loop trains here in float32 (ten epochs of WRN-16-2: an hour of two cores);
ours is read from the records of finished runs of the same network and recipe, for example those of

    snakemake --configfile config/crd-benchmark.yaml config/crd-10-epochs.yaml -- \\
      runs/crd-10-epochs/students/wrn40-2-wrn16-2.baseline/seed-0/record.json
"""

import argparse
from pathlib import Path
from typing import Any

import torch
from machine import keep
from published_loop import TO_TENSOR, PublishedLoop
from torch import Tensor, nn

from stagewise.data.batches import Split, load_task
from stagewise.errors import UserError
from stagewise.files import read_json
from stagewise.models.store import Architecture, build
from stagewise.process.scripting import run_script
from stagewise.training.schedules import steps as decay

BATCH, RATE = 64, 0.05
RECIPE = {
    "batch_size": BATCH,
    "lr": RATE,
    "momentum": 0.9,
    "weight_decay": 5e-4,
    "schedule": "steps",
}


def channels_last(split: Split) -> Any:
    """Images as torchvision's CIFAR data set has them: (N, H, W, C)."""
    return split.images.permute(0, 2, 3, 1).contiguous().numpy()


@torch.no_grad()
def tested(network: nn.Module, split: Split) -> float:
    """Test accuracy in percent."""
    network.eval()
    right = 0
    pixels = channels_last(split)
    for start in range(0, len(pixels), 500):
        images = torch.stack([TO_TENSOR(image) for image in pixels[start : start + 500]])
        logits: Tensor = network(images).logits
        right += int((logits.argmax(1) == split.labels[start : start + 500]).sum())
    network.train()
    return 100 * right / len(pixels)


def same_recipe(record: Path, network: str, epochs: int) -> dict[str, Any]:
    """Seed, precision and accuracy of one of our runs."""
    run = read_json(record)
    spec, protocol = run["spec"], run["protocol"]
    training = {key: spec["training"][key] for key in RECIPE}
    given = (spec["network"]["network"], protocol["epochs"], run["parents"], training)
    if given != (network, epochs, {}, RECIPE):
        raise UserError(f"{record}: is of another network or recipe: {given}")
    accuracy = run["final"]["test_accuracy"]
    return {"seed": spec["seed"], "dtype": protocol["dtype"], "accuracy": accuracy}


def train(data: Path, network: str, epochs: int, seed: int, workers: int) -> dict[str, Any]:
    """One run of the published-style loop: the CRD recipe, milestones scaled to ``epochs``."""
    device = torch.device("cpu")
    task = load_task(data, "all", "full", device)
    torch.manual_seed(seed)
    student = build(Architecture(network, {}, len(task.classes), *task.shape), seed=seed)
    pixels, labels = channels_last(task.train), task.train.labels.numpy()
    loop = PublishedLoop(student, pixels, labels, BATCH, workers, device)
    an_epoch = len(loop.loader)
    for step in range(epochs * an_epoch):
        loop.optimiser.param_groups[0]["lr"] = RATE * decay(step, an_epoch, epochs)
        loop.train(1)
        if (step + 1) % an_epoch == 0:
            accuracy = tested(student, task.test)
            print(f"epoch {(step + 1) // an_epoch}: {accuracy:.2f} %", flush=True)
    return {"seed": seed, "accuracy": accuracy}


def main() -> None:
    """Train, and write a JSON file for ``table.py``."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--data", type=Path, required=True, help="a study's prepared.safetensors")
    options.add_argument("--ours", type=Path, nargs="+", required=True, help="record.json files")
    options.add_argument("--network", default="wrn16-2")
    options.add_argument("--epochs", type=int, default=10)
    options.add_argument("--seeds", type=int, nargs="+", default=[0])
    options.add_argument("--workers", type=int, default=2)
    options.add_argument("--out", type=Path, default=Path("benchmarks/results/accuracy.json"))
    given = options.parse_args()
    ours = [same_recipe(path, given.network, given.epochs) for path in given.ours]
    runs = [
        train(given.data, given.network, given.epochs, seed, given.workers) for seed in given.seeds
    ]
    task = load_task(given.data, "all", "full", torch.device("cpu"))
    found = {
        "network": given.network,
        "epochs": given.epochs,
        "images": len(task.train.labels),
        "classes": len(task.classes),
        "published": runs,
        "ours": ours,
    }
    keep(found, given.out)


if __name__ == "__main__":
    run_script(main)
