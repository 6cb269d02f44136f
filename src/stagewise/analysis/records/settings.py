"""What a run was told: the one place of the analysis that looks into a record's ``settings``."""

from dataclasses import dataclass, field
from typing import Any

from stagewise.files import canonical_json, sha256_text


@dataclass(frozen=True)
class Settings:
    """A run's settings, with all defaults.

    Text and mappings are empty and numbers None where a kind of run has no such setting: pruning
    trains nothing. ``checksum``: equal for equal specs. ``method`` and ``recipe`` are files.
    """

    checksum: str
    network: str = ""
    images: str = ""
    method: str = ""
    method_options: dict[str, Any] = field(default_factory=dict)
    weights: dict[str, float] = field(default_factory=dict)
    recipe_options: dict[str, Any] = field(default_factory=dict)
    epochs: int | None = None
    batch_size: int | None = None
    lr: float | None = None


def read_settings(record: dict[str, Any]) -> Settings:
    """Of a record: its ``settings``, or its ``spec`` where that has all defaults, as records had
    before they kept both."""
    spec = record.get("settings", record["spec"])
    training = spec.get("training", {})
    method, method_options = _entry(spec, "method")
    return Settings(
        checksum=sha256_text(canonical_json(record["spec"]))[:12],
        network=_entry(spec, "network")[0],
        images=spec.get("data", {}).get("images", ""),
        method=method,
        method_options=method_options,
        weights=spec.get("weights", {}),
        recipe_options=_entry(spec, "recipe")[1],
        **{name: training.get(name) for name in ("epochs", "batch_size", "lr")},
    )


def _entry(spec: dict[str, Any], kind: str) -> tuple[str, dict[str, Any]]:
    """Name and options of ``{kind: name, option: value, …}``."""
    entry = dict(spec.get(kind, {}))
    return entry.pop(kind, ""), entry
