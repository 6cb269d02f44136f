"""The images that an observer looks at, and the ways to look that leave a network as it is."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from stagewise.data.batches import TaskData
from stagewise.models.features import Batch

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
LIMIT = 1024
"""Images of a split that are looked at, at most."""


def stratified(labels: Tensor, limit: int, *key: int) -> Tensor:
    """Numbers of at most ``limit`` images, ascending, int64 on the labels' device: a random draw in
    which every class has its share, up to one image; all where there are no more.

    A class's images stand, in random order, at even distances on a line as long for every class,
    from a random start; the draw is what comes first. ``key`` seeds it.
    """
    if len(labels) <= limit:
        return torch.arange(len(labels), device=labels.device)
    random, classes = np.random.default_rng(key), labels.cpu().numpy()
    place = np.empty(len(classes))
    for label in np.unique(classes):
        own = random.permutation(np.flatnonzero(classes == label))
        place[own] = (np.arange(len(own)) + random.random()) / len(own)
    chosen = np.sort(np.argsort(place, kind="stable")[:limit])
    return torch.from_numpy(chosen).to(labels.device)


def probe_batch(data: TaskData, seed: int) -> tuple[Batch, int]:
    """The images of a probe, as they are, and how many of them are training images; these come
    first, with their numbers in the training set, then validation images, numbered -1.

    Runs of one ``seed`` on the same data get the same images.
    """
    train, validation = data.train, data.validation
    index = stratified(train.labels, LIMIT, seed, 0)
    held_out = stratified(validation.labels, LIMIT, seed, 1)
    images = torch.cat([train.images[index], validation.images[held_out]])
    labels = torch.cat([train.labels[index], validation.labels[held_out]])
    number = torch.cat([index, torch.full_like(held_out, -1)])
    batch = Batch(data.normalise(images), labels, number, torch.zeros_like(number), labels)
    return batch, len(index)


@contextmanager
def batch_statistics(modules: Iterable[nn.Module]) -> Iterator[None]:
    """Within it, batch norm takes the mean and the deviation of what it is shown.

    Its running ones, their count and its momentum stay as they are; so does every mode, behind it.
    """
    norms = [m for root in modules for m in root.modules() if isinstance(m, NORMS)]
    before = [(norm.training, norm.track_running_stats) for norm in norms]
    try:
        for norm in norms:  # in training mode without tracking, torch leaves the buffers alone
            norm.training, norm.track_running_stats = True, False
        yield
    finally:
        for norm, (training, tracking) in zip(norms, before, strict=True):
            norm.training, norm.track_running_stats = training, tracking


@contextmanager
def with_gradients(parameters: Iterable[Tensor]) -> Iterator[None]:
    """Within it, gradients can be taken with respect to all of these, frozen ones too."""
    frozen = [parameter for parameter in parameters if not parameter.requires_grad]
    try:
        for parameter in frozen:
            parameter.requires_grad_(True)
        yield
    finally:
        for parameter in frozen:
            parameter.requires_grad_(False)
