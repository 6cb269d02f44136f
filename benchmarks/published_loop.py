"""The training loop that distillation papers publish, written anew from how RepDistiller and
mdistiller work, as the opponent of the benchmark. Nothing in it is slower than there.

Images are PIL images, augmented one by one by torchvision in loader workers; tensors are float32 in
PyTorch's default layout; the teacher runs at every step although its answers repeat; loss and
accuracies are read at every batch; the optimiser is ``torch.optim.SGD``.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, kl_div, log_softmax, softmax
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

TEMPERATURE = 4.0
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


class Images(Dataset[tuple[Tensor, int]]):
    """uint8 images (N, H, W, C) as torchvision's CIFAR data set gives them."""

    def __init__(self, pixels: np.ndarray, labels: np.ndarray) -> None:
        self.pixels, self.labels = pixels, labels
        self.transform = augmentation(pixels.shape[1])

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
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
    ) -> None:
        self.device = device
        self.student = student.to(device, memory_format=torch.contiguous_format).train()
        self.optimiser = torch.optim.SGD(
            student.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4
        )
        self.loader = DataLoader(
            Images(pixels, labels),
            batch_size=batch_size,
            shuffle=True,
            num_workers=workers,
        )
        self.batches = self._batches()

    def _batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        while True:
            yield from self.loader

    def loss(self, images: Tensor, target: Tensor, logits: Tensor) -> Tensor:
        """Cross-entropy."""
        return cross_entropy(logits, target)

    def train(self, steps: int) -> float:
        """``steps`` steps; returns their mean loss."""
        losses, top1, top5 = AverageMeter(), AverageMeter(), AverageMeter()
        for _ in range(steps):
            images, target = next(self.batches)
            images, target = images.float().to(self.device), target.to(self.device)
            logits = self.student(images).logits
            loss = self.loss(images, target, logits)
            acc1, acc5 = accuracy(logits, target)
            losses.update(loss.item(), len(target))
            top1.update(acc1[0].item(), len(target))
            top5.update(acc5[0].item(), len(target))
            self.optimiser.zero_grad()
            loss.backward()
            self.optimiser.step()
        return losses.sum / losses.count


class PublishedDistillation(PublishedLoop):
    """KD of ``teacher`` into the student."""

    def __init__(self, teacher: nn.Module, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.teacher = teacher.to(self.device, memory_format=torch.contiguous_format).eval()

    def loss(self, images: Tensor, target: Tensor, logits: Tensor) -> Tensor:
        """0.1 · cross-entropy + 0.9 · KD."""
        with torch.no_grad():
            answer = self.teacher(images).logits
        soft = kl_div(
            log_softmax(logits / TEMPERATURE, dim=1),
            softmax(answer / TEMPERATURE, dim=1),
            reduction="sum",
        )
        loss = 0.1 * super().loss(images, target, logits)
        return loss + 0.9 * soft * TEMPERATURE**2 / len(target)
