"""One pruning run from its spec: load, prune, measure, and leave the run folder."""

import time
from pathlib import Path

import torch

from stagewise.data.batches import load_task
from stagewise.files import write_json
from stagewise.models.store import BUILDING
from stagewise.pruning.prune import prune
from stagewise.pruning.reach import Limits
from stagewise.runs.folder import timing, write_run
from stagewise.runs.start import Inputs, load_parent
from stagewise.study.spec import PruneSpec


def prune_run(spec: PruneSpec, inputs: Inputs, out: Path, *, code: str) -> None:
    """Prune the parent ``init`` and write the folder of a run without any recovery.

    Raises:
        UserError: inputs do not fit, or the ratio cannot be reached.
    """
    began = time.perf_counter()
    torch.set_num_threads(spec.threads)
    device = torch.device("cpu")
    data = load_task(inputs.data, spec.data, device)
    with BUILDING:
        network, architecture = load_parent(inputs, "init", data)
        pruned, measured = prune(
            network,
            architecture,
            criterion=spec.criterion,
            ratio=spec.ratio,
            limits=Limits(spec.min_channels, spec.min_share, spec.round_to, spec.keep),
            tolerance=spec.tolerance,
            seed=spec.seed,
            one_shot=spec.one_shot,
            data=data,
        )
    write_json(out / "pruning.json", pruned.pruned)
    write_run(
        out,
        network,
        pruned,
        data,
        spec=spec,
        inputs=inputs,
        checksums=inputs.sha256(),
        code=code,
        protocol={
            "epochs": 0,
            "steps_per_epoch": 0,
            "dtype": "float32",
            "device": device.type,
        },
        pruning=measured,
    )
    cpu = {"rest": round(time.process_time(), 3)}
    timing(out, 0.0, time.perf_counter() - began, 0, device, cpu)
    print(f"{out}: {measured['ratio_reached']:.2f}x fewer MACs")
