"""What goes into a network and what comes out: features by name, no hooks, no positional lists."""

from collections.abc import Collection, Iterable
from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy
from dataclasses import dataclass, field
from typing import NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

Paths = tuple[tuple[str, ...], ...]
"""Names of the parts that lead to each exit, its head last; exits shallow to deep."""


@dataclass(frozen=True)
class Batch:
    """One training batch of B images: normalised ``images`` (B, C, H, W); ``labels``, ``index``
    (each image's number in the training set) and ``view`` (the number of the crop and flip that was
    drawn of it), int64 (B,) each; ``target``: what the student should answer, the labels, or where
    images are mixed (B, classes) probabilities; ``step`` and ``progress``: the run's steps and
    epochs done before this one, () each, int64 and float32."""

    images: Tensor
    labels: Tensor
    index: Tensor
    view: Tensor
    target: Tensor
    step: Tensor = field(default_factory=lambda: torch.zeros((), dtype=torch.int64))
    progress: Tensor = field(default_factory=lambda: torch.zeros(()))


def full(values: Tensor) -> Tensor:
    """Half types as float32; float32 and float64 as they are."""
    return values.float() if values.dtype in (torch.float16, torch.bfloat16) else values


def precision_of(tap: Tensor) -> AbstractContextManager[object]:
    """In which layers go on from a tap as the network made it: autocast where that gave half
    precision. What they return may be half too."""
    if tap.dtype != torch.bfloat16:
        return nullcontext()
    return torch.autocast(tap.device.type, tap.dtype, cache_enabled=False)


class Features(NamedTuple):
    """Output of a network for a batch of B images.

    ``logits``: (B, classes), of the last classifier. ``taps``: name → (B, C, H, W), the outputs of
    the stem and of each stage that the CRD benchmark compares, ``<stage>.pre``, what their ReLU
    gets, and on request ``<stage>.0``, ``<stage>.1`` …, the outputs of each block. Outputs are
    post-activation, but raw where the network activates later (``wrn``, but for its blocks) or not
    (``mobilenetv2``). ``pooled``: (B, C), the vector before the classifier. ``exits``: logits of
    every exit that runs, shallow to deep, the last being ``logits``; empty where the network has
    one exit. ``exit_vectors``: (B, C) for each of these, the mean over space that its linear layer
    gets (of the last one, of the last stage's map). ``exit_places``: the numbers of the stages
    behind which these exits stand; empty where not told.
    Taps may be bfloat16 (autocast): a loss on them starts with ``full``.
    """

    logits: Tensor
    taps: dict[str, Tensor]
    pooled: Tensor
    exits: tuple[Tensor, ...] = ()
    exit_vectors: tuple[Tensor, ...] = ()
    exit_places: tuple[int, ...] = ()

    def float(self) -> "Features":
        """The same with logits, pooled vector and exits in ``full`` precision; taps stay as they
        are."""
        return self._replace(
            logits=full(self.logits),
            pooled=full(self.pooled),
            exits=tuple(full(logits) for logits in self.exits),
            exit_vectors=tuple(full(vectors) for vectors in self.exit_vectors),
        )

    @property
    def places(self) -> tuple[int, ...]:
        """The stage of each of ``exits``, each of the first ones where not told; of the one answer,
        1."""
        return self.exit_places or tuple(range(1, max(1, len(self.exits)) + 1))

    @property
    def answer(self) -> Tensor:
        """(B, classes): the mean of the exits' logits, or the one exit's."""
        return torch.stack(self.exits).mean(0) if self.exits else self.logits


LAYERS = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear, nn.BatchNorm2d)
"""Layers that hold weights."""


class Network(nn.Module):
    """Base of all networks: named parts that phases train or freeze."""

    stages: tuple[str, ...]
    """Names of the stages, shallow to deep; each is a tap."""

    classifier: nn.Linear

    depth: int | None = None
    """Stages that run (see ``run_to``)."""

    block_taps = False
    """Whether ``taps`` holds the outputs of single blocks too (see ``tap_blocks``)."""

    def initialise(self) -> None:
        """Draw new weights for every layer from torch's global generator."""
        for module in self.modules():
            if isinstance(module, LAYERS):
                module.reset_parameters()

    def start_classifier(self, layer: nn.Linear) -> None:
        """Turn a linear layer's start, drawn as torch does, into that of this family's classifiers;
        here they are the same."""

    def parts(self) -> dict[str, nn.Module]:
        """Part name → module, shallow to deep; together they hold every parameter."""
        return dict(self.named_children())

    def backbone_parameters(self) -> dict[str, nn.Parameter]:
        """Name → parameter, of those outside every classifier."""
        heads = {id(p) for layer in self.classifiers() for p in layer.parameters()}
        return {name: p for name, p in self.named_parameters() if id(p) not in heads}

    def backbone_parts(self) -> tuple[str, ...]:
        """The parts that hold some of them, shallow to deep."""
        own = {id(p) for p in self.backbone_parameters().values()}
        parts = self.parts().items()
        return tuple(n for n, part in parts if any(id(p) in own for p in part.parameters()))

    def classifiers(self) -> list[nn.Linear]:
        """Every layer whose outputs are class scores, the final one last; pruning keeps these."""
        return [self.classifier]

    def run_to(self, depth: int | None, exits: Collection[str] | None = None) -> None:
        """From now on, run no more than so many stages, and no classifier; None is everything.
        ``exits``: of a network that has several, the heads of those that run."""
        self.depth = depth

    def paths(self) -> Paths:
        """The parts that lead to each exit, shallow to deep, its head last; here, one exit: all
        parts."""
        return (tuple(self.parts()),)

    @property
    def running(self) -> tuple[str, ...]:
        """The stages that run."""
        return self.stages[: self.depth]

    def tap_blocks(self) -> None:
        """From now on, tap every block of every stage as well."""
        self.block_taps = True

    def exit_maps(self, taps: dict[str, Tensor]) -> list[Tensor]:
        """What the exits of the stages get: (B, C, H, W) each, shallow to deep."""
        return [self.exit_map(stage, taps) for stage in self.running]

    def exit_map(self, stage: str, taps: dict[str, Tensor]) -> Tensor:
        """What an exit of a stage gets: (B, C, H, W)."""
        return taps[stage]

    def after(self, stage: str, x: Tensor) -> Tensor:
        """What the layer behind a stage (or ``stem``) gets of its output; here, all of it."""
        return x

    def walk(self, images: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """(B, C, H, W) images → the last stage's output, and all taps.

        For networks whose stem is a module or a list of blocks, whose stages are lists of blocks,
        and whose blocks return what their last ReLU gets.
        """
        return self.through(("stem", *self.running), images)

    def through(self, names: Iterable[str], x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The output of the last of the named parts, which ``x`` goes through, and all taps."""
        taps: dict[str, Tensor] = {}
        for name in names:
            part = self.get_submodule(name)
            blocks = part if isinstance(part, nn.ModuleList) else [part]
            pre = x
            for number, block in enumerate(blocks):
                pre = block(x)
                x = relu(pre)
                if self.block_taps and name != "stem":
                    taps[f"{name}.{number}"] = x
            taps |= {name: x, f"{name}.pre": pre}
            x = self.after(name, x)
        return x, taps

    def pool(self, x: Tensor) -> Tensor:
        """The pooled vector (B, C) of what ``walk`` returns."""
        return x.mean((2, 3))

    # -- branches ----------------------------------------------------------------------------

    def branch(self, stage: str, tap: Tensor, classes: int) -> Self:
        """A network of its own that starts where ``stage`` ends, with new weights: copies of the
        stages behind it, or behind the last one a further stage of its kind; pooling; a classifier
        for ``classes``. ``tap``, (B, C, H, W), is the stage's; ``resume`` runs the branch."""
        branch = deepcopy(self).requires_grad_(True)
        behind = self.stages.index(stage) + 1
        for name in ("stem", *self.stages[:behind]):
            delattr(branch, name)
        branch.stages = self.stages[behind:]
        if not branch.stages:
            branch.stages = ("further",)
            last = self.get_submodule(self.stages[-1])
            assert isinstance(last, nn.ModuleList)
            branch.further = self.further_stage(last, tap.shape[1])
        branch.classifier = nn.Linear(self.classifier.in_features, classes)
        branch.initialise()
        return branch

    def further_stage(self, last: nn.ModuleList, channels: int) -> nn.ModuleList:
        """New blocks like those of the ``last`` stage that keep its map's shape, with ``channels``;
        here, none."""
        return nn.ModuleList()

    def resume(self, stage: str, taps: dict[str, Tensor]) -> Tensor:
        """Logits (B, classes) of a branch, from the taps of the network that it starts from."""
        logits: Tensor = self.classifier(self.resumed(stage, taps))
        return logits

    def resumed(self, stage: str, taps: dict[str, Tensor]) -> Tensor:
        """The pooled vector (B, C) of a branch."""
        return self.pool(self.go_on(stage, self.stages, taps)[0])

    def left_behind(self, stage: str) -> tuple[str, ...]:
        """The taps of a stage that what follows it needs."""
        return (stage,)

    def go_on(
        self, stage: str, names: Iterable[str], taps: dict[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """What ``through`` returns of the named stages, from the taps that ``stage`` left."""
        return self.through(names, self.after(stage, taps[stage]))
