"""What this machine offers; no setting of a study, so it never reruns anything."""

import os
from pathlib import Path


def default_device() -> str:
    """``STAGEWISE_DEVICE`` where it is set, else ``cuda`` with an NVIDIA GPU, else ``cpu``."""
    return os.environ.get("STAGEWISE_DEVICE") or (
        "cuda" if Path("/dev/nvidia0").exists() else "cpu"
    )
