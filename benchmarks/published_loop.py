"""The training loop that distillation papers publish, written anew from how RepDistiller and
mdistiller work, as the opponent of the benchmark. Nothing in it is slower than there.

Images are PIL images, augmented one by one by torchvision in loader workers; tensors are float32 in
PyTorch's default layout; the teacher runs at every step although its answers repeat; loss and
accuracies are read at every batch; the optimiser is ``torch.optim.SGD``. What a method adds is a
``Criterion`` (``published_losses.py``).
"""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from stagewise.methods.base import Setup
from stagewise.models.features import Features

TO_TENSOR = transforms.Compose(
    [
        transforms.ToTensor(),
        transforms.Normalize((0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)),
    ]
)
"""With the mean and deviation of CIFAR-100."""


def augmentation(size: int) -> Any:
    """PIL image → (C, size, size) tensor: random crop after padding by 4, flip, normalised."""
    crop = transforms.RandomCrop(size, padding=4)
    return transforms.Compose([crop, transforms.RandomHorizontalFlip(), TO_TENSOR])


class Images(Dataset[tuple[Any, ...]]):
    """uint8 images (N, H, W, C) as torchvision's CIFAR data set gives them: image and label, and
    maybe more that a method asks for."""

    def __init__(self, pixels: np.ndarray, labels: np.ndarray) -> None:
        self.pixels, self.labels = pixels, labels
        self.transform = augmentation(pixels.shape[1])

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        image = self.transform(Image.fromarray(self.pixels[index]))
        return image, int(self.labels[index])


class AverageMeter:
    """A running mean."""

    def __init__(self) -> None:
        self.sum = self.count = 0.0

    def update(self, value: float, n: int) -> None:
        """Add a batch's mean of ``n`` values."""
        self.sum += value * n
        self.count += n


def accuracy(output: Tensor, target: Tensor) -> list[Tensor]:
    """Top-1 and top-5 accuracy in percent."""
    _, prediction = output.topk(5, 1, True, True)
    right = prediction.t().eq(target.view(1, -1).expand(5, len(target)))
    return [right[:k].reshape(-1).float().sum(0, keepdim=True) * 100 / len(target) for k in (1, 5)]


def plain(module: Any, device: torch.device) -> Any:
    """A module on the device, in PyTorch's default layout."""
    return module.to(device).to(memory_format=torch.contiguous_format)


class PublishedLoop:
    """Training of ``student`` (a network that returns features) with the labels, endlessly."""

    def __init__(
        self,
        student: nn.Module,
        pixels: np.ndarray,
        labels: np.ndarray,
        batch_size: int,
        workers: int,
        device: torch.device,
        *,
        dataset: type[Images] = Images,
        more: Iterable[nn.Parameter] = (),
    ) -> None:
        """``more``: parameters to train beside the student's."""
        self.device = device
        self.student = plain(student, device).train()
        self.optimiser = torch.optim.SGD(
            [*student.parameters(), *more], lr=0.05, momentum=0.9, weight_decay=5e-4
        )
        self.loader = DataLoader(
            dataset(pixels, labels),
            batch_size=batch_size,
            shuffle=True,
            num_workers=workers,
        )
        self.batches = self._batches()

    def _batches(self) -> Iterator[list[Tensor]]:
        while True:
            yield from self.loader

    def forward(self, images: Tensor, target: Tensor, *more: Tensor) -> tuple[Tensor, Tensor]:
        """Cross-entropy, and the logits (B, classes) whose accuracies are read."""
        logits: Tensor = self.student(images).logits
        return cross_entropy(logits, target), logits

    def train(self, steps: int) -> float:
        """``steps`` steps; returns their mean loss."""
        losses, top1, top5 = AverageMeter(), AverageMeter(), AverageMeter()
        for _ in range(steps):
            images, target, *more = (part.to(self.device) for part in next(self.batches))
            loss, logits = self.forward(images.float(), target, *more)
            acc1, acc5 = accuracy(logits, target)
            losses.update(loss.item(), len(target))
            top1.update(acc1[0].item(), len(target))
            top5.update(acc5[0].item(), len(target))
            self.optimiser.zero_grad()
            loss.backward()
            self.optimiser.step()
        return losses.sum / losses.count


class Criterion(nn.Module):
    """What a method's published script makes of a batch.

    Its layers are trained with the student, but for those of ``teachers``, which were trained
    before on the frozen teacher. ``dataset``: what its loader reads.
    """

    dataset: type[Images] = Images

    def __init__(self, setup: Setup) -> None:
        """``setup``: what our method is built from, of which only shapes are read."""
        super().__init__()
        self.teachers: nn.Module = nn.Identity()

    def train(self, mode: bool = True) -> "Criterion":
        """All but ``teachers``."""
        super().train(mode)
        self.teachers.eval()
        return self

    def run(
        self, student: nn.Module, teacher: nn.Module, images: Tensor, target: Tensor, *more: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The loss, and the logits (B, classes) whose accuracies are read."""
        features: Features = student(images)
        with torch.no_grad():
            answers: Features = teacher(images)
        loss: Tensor = self(features, answers, target, *more)
        return loss, features.logits


class PublishedDistillation(PublishedLoop):
    """Distillation of ``teacher`` into the student by a ``criterion``."""

    def __init__(self, criterion: Criterion, teacher: nn.Module, *arguments: Any) -> None:
        """``arguments``: the loop's, up to its device."""
        criterion.teachers.requires_grad_(False)
        learnt = [p for p in criterion.parameters() if p.requires_grad]
        super().__init__(*arguments, dataset=criterion.dataset, more=learnt)
        self.criterion = plain(criterion, self.device).train()
        self.teacher = plain(teacher, self.device).eval()

    def forward(self, images: Tensor, target: Tensor, *more: Tensor) -> tuple[Tensor, Tensor]:
        """The criterion's loss, and the logits."""
        loss, logits = self.criterion.run(self.student, self.teacher, images, target, *more)
        return loss, logits
