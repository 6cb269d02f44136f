"""The files that other programs run: ONNX, torch's own format, and ONNX in eight bits."""

import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from torch import Tensor, nn
from torch.export import ExportedProgram

from stagewise.files import atomic
from stagewise.ship.parts import NextPart

KEY = "stagewise"
"""Of the metadata, JSON, that every file has: ONNX's among its properties, torch's as an extra."""

Given = Sequence[Tensor]
"""What a module takes."""


def traced(module: nn.Module, given: Given) -> ExportedProgram:
    """The graph of a module, for batches of any size."""
    batch = torch.export.Dim("batch")
    shapes: Any = tuple({0: batch} for _ in given)
    return torch.export.export(
        module, tuple(given), dynamic_shapes=(shapes,) if isinstance(module, NextPart) else shapes
    )


def write_torch(program: ExportedProgram, path: Path, told: dict[str, Any]) -> None:
    """A file for ``torch.export.load``."""
    stream = io.BytesIO()
    torch.export.save(program, stream, extra_files={KEY: json.dumps(told)})
    _write(path, stream.getvalue())


def write_onnx(program: ExportedProgram, path: Path, told: dict[str, Any]) -> None:
    """A file for ONNX runtimes: ``images`` or what the part before ``left.0`` …, to ``logits`` and
    what it leaves for the next."""
    inputs, outputs = (len(names) for names in _names(program))
    later = [f"left.{number}" for number in range(max(inputs, outputs))]
    exported = torch.onnx.export(
        program,
        dynamo=True,
        verbose=False,
        input_names=later[:inputs] if told["exit"] not in (None, 1) else ["images"],
        output_names=["logits", *(f"{name}.on" for name in later[: outputs - 1])],
    )
    assert exported is not None
    _write(path, _told(exported.model_proto, told))


def _names(program: ExportedProgram) -> tuple[Sequence[str], Sequence[str]]:
    signature = program.graph_signature
    return signature.user_inputs, signature.user_outputs


def write_int8(source: Path, path: Path, seen: Iterable[Given], told: dict[str, Any]) -> None:
    """An ONNX file in eight bits, weights by channel; the ranges are those of ``seen``."""
    with TemporaryDirectory() as folder:
        ready, made = Path(folder, "ready.onnx"), Path(folder, "made.onnx")
        quant_pre_process(str(source), str(ready))
        quantize_static(
            ready,
            made,
            _Seen(ready, seen),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        _write(path, _told(onnx.load(made), told))


class _Seen(CalibrationDataReader):  # type: ignore[misc]  # untyped
    """What a network is shown while its ranges are measured."""

    def __init__(self, model: Path, seen: Iterable[Given]) -> None:
        self.names = [given.name for given in onnx.load(model).graph.input]
        self.seen = iter(seen)

    def get_next(self) -> dict[str, NDArray[np.generic]] | None:
        """Of each input, the next batch; None at the end."""
        given = next(self.seen, None)
        if given is None:
            return None
        return {name: t.numpy() for name, t in zip(self.names, given, strict=True)}


def _told(model: onnx.ModelProto, told: dict[str, Any]) -> bytes:
    """The file's bytes, with the metadata; without where in whose folders the code stood."""
    graph = model.graph
    for noted in (graph, *graph.node, *graph.value_info, *graph.initializer, *graph.input):
        del noted.metadata_props[:]
    onnx.helper.set_model_props(model, {KEY: json.dumps(told)})
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def _write(path: Path, content: bytes) -> None:
    with atomic(path, len(content)) as temporary:
        temporary.write_bytes(content)
