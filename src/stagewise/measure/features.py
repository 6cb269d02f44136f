"""How good features are, and how alike: a refitted ridge classifier, and linear CKA."""

import torch
from torch import Tensor
from torch.nn.functional import one_hot


def linear_cka(start: Tensor, now: Tensor) -> float:
    """Linear CKA of two feature matrices (n, C), columns centred: 1 for the same up to rotation.

    Kornblith et al. 2019 (arXiv 1905.00414), in its feature form.
    """
    start, now = start - start.mean(0), now - now.mean(0)
    cross = (start.T @ now).square().sum()
    return float(cross / ((start.T @ start).norm() * (now.T @ now).norm()))


def ridge_accuracy(features: Tensor, labels: Tensor, test: Tensor, test_labels: Tensor) -> float:
    """Percent right of a ridge classifier fitted on (n, C) features; the penalty is 1e-3 of their
    mean square."""
    mean, scale = features.mean(0), features.std() + 1e-12
    design = torch.cat([(features - mean) / scale, torch.ones(len(features), 1)], 1).double()
    check = torch.cat([(test - mean) / scale, torch.ones(len(test), 1)], 1).double()
    gram = design.T @ design
    penalty = 1e-3 * gram.diagonal().mean() * torch.eye(len(gram), dtype=torch.float64)
    target = one_hot(labels).double()
    answer = check @ torch.linalg.solve(gram + penalty, design.T @ target)
    return 100 * float((answer.argmax(1) == test_labels).double().mean())
