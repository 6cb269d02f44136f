"""Exits on the stages of a backbone (paper B), and a network cut at one of them.

An exit is a head on the map of a stage; the last one is the backbone's own classifier. Heads are
files in ``heads/``. An exit is called by the number of its stage, whichever others there are: its
head is the part ``exits.2``, behind the second stage, and its weights are named ``exits.1.…``,
counted from 0.
"""

from collections.abc import Collection, Sequence

import torch
from torch import Tensor, nn

from stagewise.models.features import Features, Network, Paths
from stagewise.models.heads.base import Head, Site, make_head

Answer = tuple[int, Tensor, Tensor]
"""Of an exit: its stage, the vector (B, C) that its linear layer gets, and logits (B, classes)."""


class MultiExit(Network):
    """A backbone with exits; the last exit is the backbone's own classifier."""

    wanted: Collection[str] | None = None
    """Heads that run (see ``run_to``)."""

    def __init__(
        self, backbone: Network, head: str, example: Tensor, places: Sequence[int] = ()
    ) -> None:
        """``example``: (2, channels, H, W), a dry run on which tells the shapes of the taps.
        ``places``: numbers of the stages with a head, rising, the last stage not among them; all
        others where it is empty.

        Raises:
            LookupError: there is no such head.
            ValueError: there are no such places.
        """
        super().__init__()
        self.backbone = backbone
        self.stages = backbone.stages
        early = range(1, len(self.stages))
        self.heads_at = tuple(places or early)
        if not {*self.heads_at} <= {*early} or [*self.heads_at] != sorted({*self.heads_at}):
            raise ValueError(f"places: {[*places]} do not rise from 1 to at most {len(early)}")
        backbone.eval()
        with torch.no_grad():
            maps = backbone.exit_maps(backbone(example).taps)
        shapes = [tap.shape for tap in maps]
        classes = backbone.classifier.out_features
        self.exits = nn.ModuleDict()
        for place in self.heads_at:
            site = Site(backbone, self.stages[place - 1], shapes[place - 1 :], classes)
            self.exits[str(place - 1)] = make_head(head, site)

    @property
    def places(self) -> tuple[int, ...]:
        """The stage of every exit, the last one's included, in the order of ``Features.exits``
        where all stages run."""
        return (*self.heads_at, len(self.stages))

    def initialise(self) -> None:
        """Heads that are networks themselves start as these do."""
        super().initialise()
        for module in self.exits.modules():
            if isinstance(module, Network):
                module.initialise()

    def head(self, place: int) -> Head:
        """The head behind a stage."""
        head = self.exits[str(place - 1)]
        assert isinstance(head, Head)
        return head

    def parts(self) -> dict[str, nn.Module]:
        """The backbone's parts, and ``exits.1`` …; the last exit is the ``classifier``."""
        early = {f"exits.{place}": self.head(place) for place in self.heads_at}
        return {**self.backbone.parts(), **early}

    def classifiers(self) -> list[nn.Linear]:
        """The last layer of each exit, then the backbone's classifier."""
        return [*linear_layers(self.exits), *self.backbone.classifiers()]

    def paths(self) -> Paths:
        """Stem, stages and head of each early exit; of the last one, the backbone."""
        *names, classifier = [*self.backbone.parts()]
        early = (
            (*names[: names.index(self.stages[place - 1]) + 1], f"exits.{place}")
            for place in self.heads_at
        )
        return (*early, (*names, classifier))

    def run_to(self, depth: int | None, exits: Collection[str] | None = None) -> None:
        """From now on, run no more than so many stages, and their exits, or those with these heads;
        None is everything."""
        self.backbone.run_to(depth)
        self.wanted = exits

    def tap_blocks(self) -> None:
        """From now on, tap every block of the backbone's stages as well."""
        self.backbone.tap_blocks()

    def forward(self, images: Tensor) -> Features:
        """Features of the backbone with ``exits`` filled in; where not all stages run, those of the
        deepest exit that does, with its map's channels as ``pooled``."""
        if self.backbone.depth is not None:
            x, taps = self.backbone.walk(images)
            found = self._early(self.backbone.exit_maps(taps))
            return self._with(found, Features(found[-1][2], taps, x.mean((2, 3))))
        features: Features = self.backbone(images)
        maps = self.backbone.exit_maps(features.taps)
        last = len(maps), maps[-1].mean((2, 3)), features.logits
        return self._with([*self._early(maps), last], features)

    def _early(self, maps: list[Tensor]) -> list[Answer]:
        """Of the heads that run, on the maps of their stages."""
        reached = [place for place in self.heads_at if place <= len(maps)]
        if self.wanted is not None:
            reached = [place for place in reached if f"exits.{place}" in self.wanted]
        return [(place, *self.head(place).answer(maps[place - 1])) for place in reached]

    def _with(self, found: list[Answer], features: Features) -> Features:
        places, vectors, answers = zip(*found, strict=True)
        return features._replace(exits=answers, exit_vectors=vectors, exit_places=places)


class CutNetwork(Network):
    """What one early exit of a network needs, and nothing else; answers as that exit did."""

    def __init__(self, whole: MultiExit, place: int) -> None:
        """``place``: the stage of the exit. Takes ``whole`` apart."""
        super().__init__()
        self.backbone = whole.backbone
        self.stages = self.backbone.stages = whole.stages[:place]
        for name in self.backbone.parts().keys() - {"stem", *self.stages}:
            delattr(self.backbone, name)
        self.place = place
        self.exits = nn.ModuleDict({str(place - 1): whole.head(place)})

    def parts(self) -> dict[str, nn.Module]:
        """Stem, stages, and the head."""
        return {**self.backbone.parts(), f"exits.{self.place}": self.exits[str(self.place - 1)]}

    def classifiers(self) -> list[nn.Linear]:
        """The head's last layer."""
        return linear_layers(self.exits)

    def run_to(self, depth: int | None, exits: Collection[str] | None = None) -> None:
        """All stages run, as the one exit is behind the last."""

    def tap_blocks(self) -> None:
        """From now on, tap every block of the stages as well."""
        self.backbone.tap_blocks()

    def forward(self, images: Tensor) -> Features:
        """Features of the stages, with the exit's ``logits``, and the mean of the last map as
        ``pooled``."""
        x, taps = self.backbone.walk(images)
        logits = self.exits[str(self.place - 1)](self.backbone.exit_maps(taps)[-1])
        return Features(logits, taps, x.mean((2, 3)))


def linear_layers(heads: nn.Module) -> list[nn.Linear]:
    """The layers of heads that give class scores."""
    return [layer for layer in heads.modules() if isinstance(layer, nn.Linear)]
