"""How many images a study has, as far as planning knows."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from stagewise.errors import UserError
from stagewise.files import read_json
from stagewise.schemas import checked
from stagewise.study.config import Config
from stagewise.study.config.source import class_count, image_size, source_fact
from stagewise.study.spec import Images

SPLITS = ("train", "validation", "test")

TEST_SHARE = 0.2
"""Images of a test set of its own, as a share of the others, where the source does not say."""


@dataclass(frozen=True)
class DataSize:
    """Images of a study: ``counts`` of the three splits over all classes, ``few`` and ``classes``
    by task, and the shape of one image."""

    classes: dict[str, int]
    counts: dict[str, int]
    few: dict[str, int | None]
    channels: int
    size: int

    def images(self, task: str, split: str) -> int:
        """Images of a task in ``train``, ``validation`` or ``test``; classes count as equal."""
        return round(self.counts[split] * self.classes[task] / self.classes["all"])

    def training(self, seen: Images) -> int:
        """Training images that a run sees."""
        few = self.few.get(seen.task) if seen.images == "few" else None
        return self.images(seen.task, "train") if few is None else few * self.classes[seen.task]

    @property
    def bytes(self) -> int:
        """All images, a byte a pixel."""
        return sum(self.counts.values()) * self.channels * self.size**2


def data_size(config: Config, summary: Path) -> DataSize:
    """From what the source states, else from the summary of the prepared data, if any.

    Raises:
        UserError: neither says how many classes or images there are.
    """
    data, classes = config.data, class_count(config)
    images, size = source_fact(config, "IMAGES"), image_size(config)
    channels = source_fact(config, "CHANNELS") or 3
    if classes and images and size:
        counts = _splits(config, _all_images(data.classes, classes, images))
    elif summary.exists() and size:
        problem, mend = f"{summary}: is no summary of data", "delete it and run again"
        known = checked(read_json(summary), "study/summary.schema.yaml", problem, mend)
        classes, channels = len(known["classes"]), len(known["mean"])
        counts = {split: known["counts"][f"{split}.labels"] for split in SPLITS}
    else:
        raise UserError(
            f"data.source: '{data.source}' does not say how many images it has before they are"
            " here; run `snakemake data` first"
        )
    source = len(data.source_classes)
    few = {"all": data.student_images_per_class, "target": data.target_images_per_class}
    tasks = {"all": classes, "source": source, "target": classes - source}
    return DataSize(tasks, counts, few, channels, size)


def _all_images(wanted: int | Sequence[int] | None, classes: int, images: int | list[int]) -> int:
    """Images of the classes in use, without a test set of its own."""
    if isinstance(images, int):
        return classes * images
    numbers = range(classes) if wanted is None or isinstance(wanted, int) else wanted
    return sum(images[number] for number in numbers)


def _splits(config: Config, images: int) -> dict[str, int]:
    data = config.data
    validation = round(data.validation * images)
    if source_fact(config, "HAS_TEST"):
        test, rest = round(TEST_SHARE * images), images - validation
    else:
        test = round(data.test * images)
        rest = images - validation - test
    return {"train": rest, "validation": validation, "test": test}
