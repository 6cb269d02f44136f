"""Methods that show each image more than once: HSAKD, SSKD, MLKD."""

import random
from copy import deepcopy

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageEnhance, ImageOps
from published_loop import TO_TENSOR, Criterion, Images
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity, cross_entropy, kl_div, log_softmax, softmax
from torchvision import transforms

from published_losses.common import Maps, soft_targets
from stagewise.methods._rotations import RotationHeads
from stagewise.methods.base import Setup
from stagewise.methods.rotation_heads import Method as TeacherHeads
from stagewise.models.features import Features


class HSAKD(Criterion):
    """Yang et al. 2021: four rotations, a head on every stage."""

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        assert isinstance(setup.teacher_part, TeacherHeads)
        stages = setup.network.stages
        self.heads = RotationHeads(setup.network, setup.student, setup.classes, stages)
        self.teachers = deepcopy(setup.teacher_part.heads)

    def run(
        self, student: nn.Module, teacher: nn.Module, images: Tensor, target: Tensor, *more: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Each image is followed by itself, turned."""
        turned = torch.stack([torch.rot90(images, k, (2, 3)) for k in range(4)], 1)
        loss, logits = super().run(student, teacher, turned.view(-1, *images.shape[1:]), target)
        return loss, logits[0::4]

    def forward(self, student: Features, teacher: Features, target: Tensor) -> Tensor:
        """Labels of the upright images, KD of all, by the network and by every head."""
        own = self.heads(student)
        with torch.no_grad():
            other = self.teachers(teacher)
        loss = cross_entropy(student.logits[0::4], target)
        for head, theirs in zip(own, other, strict=True):
            loss = loss + soft_targets(head, theirs.detach(), 3.0)
        return loss + soft_targets(student.logits, teacher.logits, 3.0)


class TurnedImages(Images):
    """Each image four times, turned; cropped, and not flipped."""

    def __init__(self, pixels: np.ndarray, labels: np.ndarray) -> None:
        super().__init__(pixels, labels)
        crop = transforms.RandomCrop(pixels.shape[1], padding=4)
        self.transform = transforms.Compose([crop, TO_TENSOR])

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image, label = super().__getitem__(index)
        return torch.stack([torch.rot90(image, k, (1, 2)) for k in range(4)]), label


class SSKD(Criterion):
    """Xu et al. 2020: four rotations, cosines between turned and upright images."""

    dataset = TurnedImages
    wrong_kept = 0.75

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        assert setup.teacher is not None
        self.head = self.projection(setup.student.pooled.shape[1])
        self.teachers = self.projection(setup.teacher.pooled.shape[1])

    @staticmethod
    def projection(width: int) -> nn.Sequential:
        """Two layers."""
        return nn.Sequential(
            nn.Linear(width, width), nn.ReLU(inplace=True), nn.Linear(width, width)
        )

    def run(
        self, student: nn.Module, teacher: nn.Module, images: Tensor, target: Tensor, *more: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The loader has turned the images."""
        loss, logits = super().run(student, teacher, images.view(-1, *images.shape[2:]), target)
        return loss, logits[0::4]

    @staticmethod
    def similarity(embedded: Tensor, upright: Tensor) -> Tensor:
        """Cosines (3B, B), of vectors that are repeated for each other."""
        count = int(upright.sum())
        nor = embedded[upright].unsqueeze(2).expand(-1, -1, 3 * count).transpose(0, 2)
        aug = embedded[~upright].unsqueeze(2).expand(-1, -1, count)
        return cosine_similarity(aug, nor, dim=1)

    @staticmethod
    def kept(answers: Tensor, wanted: Tensor, share: float) -> Tensor:
        """Rows that the teacher gets right, and a share of the others, those it ranks best."""
        order = torch.argsort(answers, dim=1, descending=True)
        rank = torch.argmax(torch.eq(order, wanted.unsqueeze(1)).long(), dim=1)
        index = torch.argsort(rank)
        wrong = torch.nonzero(rank, as_tuple=True)[0].numel()
        return torch.sort(index[: len(rank) - wrong + int(wrong * share)])[0]

    def forward(self, student: Features, teacher: Features, target: Tensor) -> Tensor:
        """Four terms."""
        count = len(target)
        upright = torch.arange(4 * count, device=target.device) % 4 == 0
        answers = teacher.logits
        with torch.no_grad():
            theirs = self.similarity(self.teachers(teacher.pooled), upright)
        own = self.similarity(self.head(student.pooled), upright)

        wanted = target.unsqueeze(1).expand(-1, 3).contiguous().view(-1)
        all_turned = self.kept(softmax(answers[~upright] / 4, dim=1), wanted, 1.0)
        wanted = torch.arange(count, device=target.device).unsqueeze(1).expand(-1, 3)
        rows = self.kept(theirs, wanted.contiguous().view(-1), self.wrong_kept)

        label = cross_entropy(student.logits[upright], target)
        soft = soft_targets(student.logits[upright], answers[upright])
        turned = soft_targets(student.logits[~upright][all_turned], answers[~upright][all_turned])
        similar = soft_targets(own[rows], theirs[rows], 0.5)
        return 0.1 * label + 0.9 * soft + 2.7 * turned + 10 * similar


STRONG = {
    "AutoContrast": lambda image, share: ImageOps.autocontrast(image),
    "Brightness": lambda image, share: ImageEnhance.Brightness(image).enhance(0.05 + 0.9 * share),
    "Color": lambda image, share: ImageEnhance.Color(image).enhance(0.05 + 0.9 * share),
    "Contrast": lambda image, share: ImageEnhance.Contrast(image).enhance(0.05 + 0.9 * share),
    "Equalize": lambda image, share: ImageOps.equalize(image),
    "Identity": lambda image, share: image,
    "Posterize": lambda image, share: ImageOps.posterize(image, 4 + int(4 * share)),
    "Rotate": lambda image, share: image.rotate(60 * share - 30),
    "Sharpness": lambda image, share: ImageEnhance.Sharpness(image).enhance(0.05 + 0.9 * share),
    "ShearX": lambda image, share: moved(image, shear_x=0.6 * share - 0.3),
    "ShearY": lambda image, share: moved(image, shear_y=0.6 * share - 0.3),
    "Solarize": lambda image, share: ImageOps.solarize(image, int(256 * share)),
    "TranslateX": lambda image, share: moved(image, x=(0.6 * share - 0.3) * image.size[0]),
    "TranslateY": lambda image, share: moved(image, y=(0.6 * share - 0.3) * image.size[1]),
}
"""Operations of the strong view: of an image and where in its range the degree is, 0 to 1."""


def moved(
    image: Image.Image, shear_x: float = 0, shear_y: float = 0, x: float = 0, y: float = 0
) -> Image.Image:
    """Sheared and shifted."""
    matrix = (1, shear_x, x, shear_y, 1, y)
    return image.transform(image.size, Image.Transform.AFFINE, matrix)


def strong(image: Image.Image) -> Image.Image:
    """Two operations, then a grey square."""
    for operation in random.choices(list(STRONG.values()), k=2):
        image = operation(image, random.random())
    width, height = image.size
    x, y, side = random.uniform(0, width), random.uniform(0, height), width // 2
    left, top = max(0, int(x - side / 2)), max(0, int(y - side / 2))
    corner = (min(width, left + side), min(height, top + side))
    image = image.copy()
    ImageDraw.Draw(image).rectangle((left, top, *corner), (127, 127, 127))
    return image


class TwoViews(Images):
    """A weak and a strong view of each image."""

    def __init__(self, pixels: np.ndarray, labels: np.ndarray) -> None:
        super().__init__(pixels, labels)
        crop, flip, to_tensor = self.transform.transforms
        self.strong = transforms.Compose([crop, flip, strong, to_tensor])

    def __getitem__(self, index: int) -> tuple[Tensor, int, Tensor]:
        image = Image.fromarray(self.pixels[index])
        return self.transform(image), int(self.labels[index]), self.strong(image)


class MLKD(Criterion):
    """Jin et al. 2023, as it is meant: masks that select, strong answers of the strong view."""

    dataset = TwoViews
    weight, temperatures = 0.9, (4.0, 2.0, 3.0, 5.0, 6.0)

    def run(
        self, student: nn.Module, teacher: nn.Module, images: Tensor, target: Tensor, *more: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Each network sees one view after the other."""
        own = [student(view).logits for view in (images, more[0])]
        with torch.no_grad():
            other = [teacher(view).logits for view in (images, more[0])]
        return self.loss(own, other, target), own[0]

    @staticmethod
    def less_sure(confidence: Tensor) -> Tensor:
        """Where it is not above its median, which NumPy finds."""
        return confidence.le(float(np.percentile(confidence.cpu().numpy().flatten(), 50)))

    @staticmethod
    def soft(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
        """T² KL of each image, (B,)."""
        log_p = log_softmax(student / temperature, dim=1)
        divergence = kl_div(log_p, softmax(teacher / temperature, dim=1), reduction="none")
        return divergence.sum(1) * temperature**2

    @staticmethod
    def relations(student: Tensor, teacher: Tensor) -> Tensor:
        """Squared differences of the rows' products, a sum for each row, over the rows."""
        own, other = torch.mm(student, student.t()), torch.mm(teacher, teacher.t())
        return ((other - own) ** 2 / len(student)).sum(1)

    def loss(self, own: Maps, other: Maps, target: Tensor) -> Tensor:
        """Labels, answers and relations, at five temperatures."""
        sure = softmax(other[0], dim=1)
        images, classes = self.less_sure(sure.max(dim=1)[0]), self.less_sure(sure.sum(dim=0))
        loss = 0.1 * (cross_entropy(own[0], target) + cross_entropy(own[1], target))
        for temperature in self.temperatures:
            p_s, p_t = (softmax(z / temperature, dim=1) for z in (own[0], other[0]))
            weak = (self.soft(own[0], other[0], temperature) * images).mean()
            strong_view = self.soft(own[1], other[1], temperature).mean()
            of_images = (self.relations(p_s, p_t) * images).sum()
            of_classes = (self.relations(p_s.t(), p_t.t()) * classes).sum()
            loss = loss + self.weight * (weak + strong_view + of_images + of_classes)
        return loss
