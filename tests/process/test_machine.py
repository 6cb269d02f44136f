"""What the machine says of itself."""

import platform
from pathlib import Path

from stagewise.process.machine import processor


def test_the_processor_has_the_name_that_the_kernel_gives(tmp_path: Path) -> None:
    file = tmp_path / "cpuinfo"
    file.write_text("processor\t: 0\nmodel name\t: Some CPU @ 2 GHz: new\nmodel name\t: other\n")
    assert processor(file) == "Some CPU @ 2 GHz: new"


def test_a_processor_without_a_name_has_its_kind(tmp_path: Path) -> None:
    """ARM's kernels give none, and other systems have no such file."""
    file = tmp_path / "cpuinfo"
    assert platform.machine() in processor(file)
    file.write_text("processor\t: 0\nFeatures\t: fp asimd\n")
    assert platform.machine() in processor(file)
