"""Does our loop lose accuracy to the published style? One recipe in both, and in their crosses.

A loop is a way to make batches and a way to step; the crosses say which of them a difference comes
from. Every run starts from the weights of its seed and leaves a row in a CSV file; runs that are
there are not repeated, so the same command goes on. ``table.py`` makes the page.

    snakemake --configfile benchmarks/loops.yaml -- data
    python benchmarks/loops.py
"""

import argparse
import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from PIL import Image
from published_loop import TO_TENSOR, PublishedLoop, augmentation
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from stagewise.data.batches import Split, TaskData, TrainingBatches, load_task
from stagewise.declarations import Needs
from stagewise.methods.base import make_method
from stagewise.models.features import Batch, Network
from stagewise.models.store import Architecture, build, seeded
from stagewise.process.epochs import Progress
from stagewise.process.scripting import run_script
from stagewise.recipes.base import make_phases
from stagewise.runs.start import make_setup
from stagewise.study.spec import Images, Training
from stagewise.training.checkpoint import Checkpoint
from stagewise.training.schedules import steps as decay
from stagewise.training.trainer import Trainer, predict

CPU = torch.device("cpu")
COLUMNS = ("arm", "seed", "test_accuracy", "train_loss")
Outcome = tuple[float, float]
"""Test accuracy in percent, and the last epoch's mean training loss."""


class TorchDraws(TrainingBatches):
    """Our batches, with order and views from torch's own generator."""

    def draw(self, epoch: int) -> tuple[Tensor, Tensor]:
        """Images and views of an epoch."""
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
        count = len(self.data.train.labels)
        index = torch.randperm(count, generator=generator)[: len(self) * self.batch_size]
        return index, torch.randint(self.views, (len(index),), generator=generator)


class PilBatches(TrainingBatches):
    """torchvision's augmentation of PIL images, one by one, in our order."""

    def batch(self, index: Tensor, view: Tensor) -> Batch:
        """The images, in views that torch's global generator chooses."""
        own = super().batch(index, view)
        pixels = channels_last(self.data.train)
        augment = augmentation(pixels.shape[1])
        images = torch.stack([augment(Image.fromarray(pixels[i])) for i in index.tolist()])
        return replace(own, images=images.contiguous(memory_format=torch.channels_last))


def channels_last(split: Split) -> Any:
    """Images as torchvision's CIFAR data set has them: (N, H, W, C)."""
    return split.images.permute(0, 2, 3, 1).contiguous().numpy()


@torch.no_grad()
def tested(network: nn.Module, split: Split) -> float:
    """Test accuracy in percent, of images that torchvision made tensors."""
    network.eval()
    right = 0
    pixels = channels_last(split)
    for start in range(0, len(pixels), 500):
        images = torch.stack([TO_TENSOR(image) for image in pixels[start : start + 500]])
        logits: Tensor = network(images).logits
        right += int((logits.argmax(1) == split.labels[start : start + 500]).sum())
    network.train()
    return 100 * right / len(pixels)


def our_test(network: Network, data: TaskData) -> float:
    """Test accuracy in percent, of images that our loop normalised."""
    answers = predict(network, data, data.test).mean(0).argmax(1)
    return 100 * (answers == data.test.labels).double().mean().item()


def our_step(kind: type[TrainingBatches]) -> Callable[..., Outcome]:
    """Our trainer on batches of a kind."""

    def train(network: Network, data: TaskData, settings: Training, seed: int) -> Outcome:
        needs = Needs(teacher=False)
        method = make_method({"method": "ce"}, make_setup(needs, network, None, data, seed))
        with TemporaryDirectory(prefix="stagewise-bench-") as folder:
            trainer = Trainer(
                network,
                method,
                {"ce": 1.0},
                None,
                kind(data, seed=seed, settings=settings),
                make_phases({"recipe": "one_stage"}, epochs=settings.epochs, lr=settings.lr),
                settings,
                checkpoint=Checkpoint(Path(folder)),
                progress=Progress(f"{kind.__name__}, seed {seed}", settings.epochs, False),
            )
            history = trainer.run()
        test = tested(network, data.test) if kind is PilBatches else our_test(network, data)
        return test, history[-1]["train_loss"]

    return train


def torch_step(layout: torch.memory_format) -> Callable[..., Outcome]:
    """``torch.optim.SGD`` and autograd on our batches, in a memory layout."""

    def train(network: Network, data: TaskData, settings: Training, seed: int) -> Outcome:
        network.to(memory_format=layout).train()
        optimiser = torch.optim.SGD(
            network.parameters(),
            lr=settings.lr,
            momentum=settings.momentum,
            weight_decay=settings.weight_decay,
        )
        batches = TrainingBatches(data, seed=seed, settings=settings)
        for epoch in range(settings.epochs):
            rate = settings.lr * decay(epoch * len(batches), len(batches), settings.epochs)
            optimiser.param_groups[0]["lr"] = rate
            total = 0.0
            for batch in batches.epoch(epoch):
                images = batch.images.contiguous(memory_format=layout)
                loss = cross_entropy(network(images).logits, batch.labels)
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                total += loss.item() * len(images)
        return our_test(network, data), total / len(data.train.labels)

    return train


def published(network: Network, data: TaskData, settings: Training, seed: int) -> Outcome:
    """The whole published-style loop."""
    pixels, labels = channels_last(data.train), data.train.labels.numpy()
    loop = PublishedLoop(network, pixels, labels, settings.batch_size, 0, CPU)
    an_epoch = len(loop.loader)
    for epoch in range(settings.epochs):
        rate = settings.lr * decay(epoch * an_epoch, an_epoch, settings.epochs)
        loop.optimiser.param_groups[0]["lr"] = rate
        loss = loop.train(an_epoch)
    return tested(network, data.test), loss


ARMS: dict[str, Callable[[Network, TaskData, Training, int], Outcome]] = {
    "ours": our_step(TrainingBatches),
    "published style": published,
    "our batches, torch's step": torch_step(torch.contiguous_format),
    "our batches, torch's step, channels last": torch_step(torch.channels_last),
    "PIL batches, our step": our_step(PilBatches),
    "our batches by torch's generator, our step": our_step(TorchDraws),
}


def finished(out: Path) -> set[tuple[str, int]]:
    """Arm and seed of the rows that are there."""
    if not out.exists():
        return set()
    with out.open(encoding="utf-8", newline="") as stream:
        return {(row["arm"], int(row["seed"])) for row in csv.DictReader(stream)}


def main() -> None:
    """Train what is not there yet, seed by seed, every arm."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--data", type=Path, default=Path("data/loops/prepared.safetensors"))
    options.add_argument("--network", default="wrn16-1")
    options.add_argument("--epochs", type=int, default=12)
    options.add_argument("--seeds", type=int, nargs="+", default=list(range(8)))
    options.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    options.add_argument("--out", type=Path, default=Path("benchmarks/results/loops.csv"))
    given = options.parse_args()
    torch.set_num_threads(1)
    settings = Training(epochs=given.epochs, schedule="steps", evaluate_every=given.epochs)
    data = load_task(given.data, Images(images="few"), CPU)
    there = finished(given.out)
    if not there:
        given.out.write_text(",".join(COLUMNS) + "\n", encoding="utf-8")
    for seed, arm in ((s, a) for s in given.seeds for a in given.arms if (a, s) not in there):
        architecture = Architecture(given.network, {}, len(data.classes), *data.shape)
        network = build(architecture, seed)
        seeded(seed, "training")
        test, loss = ARMS[arm](network, data, settings, seed)
        row = [arm, seed, f"{test:.2f}", f"{loss:.5f}"]
        with given.out.open("a", encoding="utf-8", newline="") as stream:
            csv.writer(stream, lineterminator="\n").writerow(row)
        print(*row, sep=", ", flush=True)


if __name__ == "__main__":
    run_script(main)
