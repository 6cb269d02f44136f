"""Exits on the stages of a backbone (paper B), and a network cut at one of them.

An exit is a head on the map of a stage; the last one is the backbone's own classifier. Heads are
files in ``heads/``. An exit is called by the number of its stage, whichever others there are: its
head is the part ``exits.2``, behind the second stage, and its weights are named ``exits.1.…``,
counted from 0.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from stagewise.models.features import Features, Network
from stagewise.models.heads.base import Site, make_head


class MultiExit(Network):
    """A backbone with exits; the last exit is the backbone's own classifier."""

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

    def head(self, place: int) -> nn.Module:
        """The head behind a stage."""
        return self.exits[str(place - 1)]

    def parts(self) -> dict[str, nn.Module]:
        """The backbone's parts, and ``exits.1`` …; the last exit is the ``classifier``."""
        early = {f"exits.{place}": self.head(place) for place in self.heads_at}
        return {**self.backbone.parts(), **early}

    def classifiers(self) -> list[nn.Linear]:
        """The last layer of each exit, then the backbone's classifier."""
        return [*linear_layers(self.exits), *self.backbone.classifiers()]

    def run_to(self, depth: int | None) -> None:
        """From now on, run no more than so many stages, and their exits; None is everything."""
        self.backbone.run_to(depth)

    def tap_blocks(self) -> None:
        """From now on, tap every block of the backbone's stages as well."""
        self.backbone.tap_blocks()

    def forward(self, images: Tensor) -> Features:
        """Features of the backbone with ``exits`` filled in; where not all stages run, those of the
        deepest exit that does, with its map's channels as ``pooled``."""
        if self.backbone.depth is not None:
            x, taps = self.backbone.walk(images)
            exits = self._early(taps)
            return Features(exits[-1], taps, x.mean((2, 3)), exits)
        features: Features = self.backbone(images)
        return features._replace(exits=(*self._early(features.taps), features.logits))

    def _early(self, taps: dict[str, Tensor]) -> tuple[Tensor, ...]:
        """Logits of the heads whose stages run."""
        maps = self.backbone.exit_maps(taps)
        places = [place for place in self.heads_at if place <= len(maps)]
        return tuple(self.head(place)(maps[place - 1]) for place in places)


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

    def run_to(self, depth: int | None) -> None:
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
