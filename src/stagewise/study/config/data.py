"""The block ``data``."""

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Le, Lt, MaxLen, MinLen

from stagewise.study.config.blocks import Open, Places, Seed, Share, Text, Unique, optional

Count = Annotated[int, Ge(1)]
Numbers = tuple[Annotated[int, Ge(0)], ...]
Classes = Annotated[Numbers, MaxLen(100_000), Unique()]


@dataclass(frozen=True, kw_only=True)
class Data(Open):
    """A data source and how its images are split; further keys are options of the source."""

    source: Text
    """File in `data/sources/`."""
    mirrors: Places = ()
    """Where else a download may come from: URLs or local paths, tried in this order."""
    classes: (
        Annotated[int, Ge(2), Le(100_000)]
        | Annotated[Numbers, MinLen(2), MaxLen(100_000), Unique()]
        | None
    ) = None
    """How many classes are used, the first ones, or a list of class numbers; null is all."""
    image_size: Annotated[int, Ge(4), Le(512)] | None = optional()
    """Pixels of an image's side; those of the source where it does not say."""
    validation: Annotated[float, Ge(0), Lt(1)] = 0.2
    """Share of the images that choices are made on; with 0 all are trained on, nothing chosen."""
    test: Share = 0.3
    """Share of the images for the test set, where the source has none of its own."""
    split_seed: Seed = 0
    """Seed of the splits, and of the few images that students see."""
    duplicates_together: bool | None = optional()
    """Whether images with the same pixels are kept on one side of the splits; where it does not
    say, one's own are, and published sets are split as papers split them."""
    student_images_per_class: Count | None = None
    """Training images of each class that students see; null is all."""
    target_images_per_class: Count | None = None
    """The same on the target classes of `two_stage`."""
    source_classes: Classes = ()
    """Classes of the pretraining, numbered as in `classes`; all others are the target."""
