"""What a study would take on a GPU that is not at hand: a range from its published rate, no
measurement."""

from stagewise.forecast.estimate import Forecast, span

RATES = {"T4": 8.1e12, "A100": 19.5e12, "H100": 67e12, "RTX 4090": 82.6e12}
"""GPU → operations a second of float32 matrix products, without TF32, by its maker's data sheet."""
SHARES = 0.5, 0.05
"""Parts of that rate that training may reach: large batches of wide networks, and small networks,
which wait for launches and memory."""


def gpu_seconds(macs: float, name: str) -> tuple[float, float]:
    """The least and the most that so many multiply-adds, two operations each, would take."""
    low, high = (2 * macs / (RATES[name] * share) for share in SHARES)
    return low, high


def gpu_sentence(found: Forecast, name: str) -> str:
    """The range in words."""
    low, high = gpu_seconds(sum(row.macs for row in found.rows), name)
    rate = RATES[name] / 1e12
    shares = " and ".join(f"{100 * share:.0f} %" for share in SHARES)
    return (
        f"On one {name}, which is not at hand: between {span(low)} and {span(high)} of computing,"
        f" at {shares} of its published {rate:g} TFLOP/s (float32). This is no measurement."
    )
