"""A finished run, opened: the files in its folder, and its network."""

from pathlib import Path

from stagewise.analysis.records.run_files import RunFiles
from stagewise.errors import UserError
from stagewise.files import sha256_file
from stagewise.models.features import Network
from stagewise.models.store import Architecture, load_network


def finished(run: Path) -> tuple[RunFiles, Network, Architecture]:
    """The files of a run, its network and what that was built from.

    Raises:
        UserError: the run is not whole, or its weights are not those that its record tells of.
    """
    files, weights = RunFiles(run), run / "model.safetensors"
    stated = files.record.model_sha256
    if not weights.is_file():
        raise UserError(f"{weights}: no such weight file; run the step that writes it")
    if sha256_file(weights) != stated:
        raise UserError(
            f"{weights}: is not the file that the run's record.json tells of; delete {run} and run"
            " again"
        )
    return files, *load_network(weights)
