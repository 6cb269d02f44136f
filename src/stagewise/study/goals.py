"""What a target may ask of a network, and when it is reached."""

QUANTITIES = ("latency", "macs", "parameters", "bytes")
"""In milliseconds, counts and bytes."""


BUSY = 0.3
"""Cores that other processes may take before a machine counts as busy."""


def amount(value: float) -> str:
    """A quantity as readers see it."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def bound(goal: str | float, reference: float) -> float:
    """What must not be exceeded: the number that is given, or by a factor like ``2x`` less than the
    ``reference`` takes."""
    return reference / float(goal[:-1]) if isinstance(goal, str) else float(goal)
