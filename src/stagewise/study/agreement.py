"""Whether a record says what was planned: settings, data, parents, code."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from stagewise.errors import UserError
from stagewise.study.spec import PruneSpec, TrainSpec

MOST = 4
"""Differences of one run that a message lists."""


@dataclass(frozen=True)
class Made:
    """What a run was made from, or is to be. What is empty is not known, and not compared.

    ``spec``: as it is written. ``data``: SHA-256 of the prepared data. ``parents``: role → SHA-256
    of the parent's weights. ``code``: fingerprint. ``model``: SHA-256 of the run's own weights.
    """

    spec: dict[str, Any]
    data: str = ""
    parents: dict[str, str] = field(default_factory=dict)
    code: str = ""
    model: str = ""


def stated(record: Any) -> Made:
    """What a record's content says; raises ``UserError`` where it is none."""
    try:
        parents = {role: parent["sha256"] for role, parent in record.get("parents", {}).items()}
        sums = [record.get(name, "") for name in ("data_sha256", "code", "model_sha256")]
        spec = record["spec"]
    except (AttributeError, KeyError, TypeError):
        raise UserError("no record of a run") from None
    if not isinstance(spec, dict) or not all(
        isinstance(s, str) for s in (*sums, *parents.values())
    ):
        raise UserError("no record of a run")
    data, code, model = sums
    return Made(spec, data, parents, code, model)


def differences(found: Made, planned: Made) -> str:
    """In what a run is not as planned, in words; empty where it is."""
    lines = [*_settings(*_comparable(found.spec, planned.spec))] if planned.spec else []
    sums = {"data": (found.data, planned.data), "code": (found.code, planned.code)}
    sums |= {
        f"weights of its {role}": (found.parents.get(role, ""), planned.parents[role])
        for role in planned.parents
    }
    lines += [
        f"{what} {was:.8}, now {now:.8}"
        for what, (was, now) in sums.items()
        if was and now and was != now
    ]
    more = [f"and {len(lines) - MOST} more"] if len(lines) > MOST else []
    return ", ".join([*lines[:MOST], *more])


def _comparable(*specs: dict[str, Any]) -> Iterable[Any]:
    """Specs with all defaults, so that it does not matter which ones are written; as they are
    where one is of another state of the code and cannot be read."""
    try:
        return [_kind(spec).read(spec).settings() for spec in specs]
    except (UserError, LookupError, TypeError, ValueError):
        return specs


def _kind(spec: dict[str, Any]) -> type[TrainSpec | PruneSpec]:
    return PruneSpec if "criterion" in spec else TrainSpec


def _settings(found: Any, planned: Any, key: str = "") -> Iterator[str]:
    """``training.epochs 1, planned 7`` for every setting that is not as planned."""
    if isinstance(found, dict) and isinstance(planned, dict):
        for name in sorted({*found, *planned}):
            inner = f"{key}.{name}" if key else name
            yield from _settings(found.get(name, _ABSENT), planned.get(name, _ABSENT), inner)
    elif found != planned:
        yield f"{key!s:.60} {_value(found)}, planned {_value(planned)}"


_ABSENT = object()


def _value(value: Any) -> str:
    return "none" if value is _ABSENT else f"{value!r:.40}"
