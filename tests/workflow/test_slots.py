"""Each job gets a GPU of its own: the slot logic, without any GPU."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import os, sys
from pathlib import Path
from stagewise.process.machine import claim_gpu
print(claim_gpu(Path(sys.argv[1]), Path(sys.argv[2])), os.environ.get("CUDA_VISIBLE_DEVICES"))
sys.stdout.flush()
sys.stdin.read()
"""


class Jobs:
    """Processes that claim a GPU and hold it until they end."""

    def __init__(self, folder: Path) -> None:
        self.slots, self.devices = folder / "slots", folder / "dev"
        self.devices.mkdir()
        self.running: list[subprocess.Popen[str]] = []

    def gpus(self, count: int) -> None:
        """Device files as NVIDIA's driver makes them."""
        for name in ("nvidiactl", "nvidia-uvm", *(f"nvidia{n}" for n in range(count))):
            (self.devices / name).touch()

    def start(self, visible: str | None = None) -> subprocess.Popen[str]:
        """One job; ``CUDA_VISIBLE_DEVICES`` only where given."""
        environment = {k: v for k, v in os.environ.items() if k != "CUDA_VISIBLE_DEVICES"}
        environment |= {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
        job = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(self.slots), str(self.devices)],
            env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.running.append(job)
        return job

    def claim(self, visible: str | None = None) -> str:
        """The GPU that a new job gets; it must be all that the job sees."""
        return self.answer(self.start(visible))

    def answer(self, job: subprocess.Popen[str]) -> str:
        assert job.stdout is not None
        claimed, seen = job.stdout.readline().split()
        assert claimed == seen
        return claimed

    def end(self, number: int, how: signal.Signals) -> None:
        self.running[number].send_signal(how)
        self.running[number].wait()


@pytest.fixture
def jobs(tmp_path):
    made = Jobs(tmp_path)
    yield made
    for job in made.running:
        job.kill()
        job.communicate()


def test_jobs_that_start_together_get_different_gpus(jobs):
    jobs.gpus(4)
    started = [jobs.start() for _ in range(4)]
    assert sorted(jobs.answer(job) for job in started) == ["0", "1", "2", "3"]


def test_more_jobs_than_gpus_share_them_evenly(jobs):
    jobs.gpus(2)
    assert [jobs.claim() for _ in range(5)] == ["0", "1", "0", "1", "0"]


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_job_that_ends_frees_its_gpu(jobs, how):
    jobs.gpus(3)
    assert [jobs.claim() for _ in range(3)] == ["0", "1", "2"]
    jobs.end(1, how)
    assert jobs.claim() == "1"


def test_a_job_chooses_among_the_gpus_that_it_was_given(jobs):
    jobs.gpus(8)
    assert [jobs.claim("2, 5"), jobs.claim("2,5")] == ["2", "5"]
    assert jobs.claim("MIG-GPU-1/2/0") == "MIG-GPU-1/2/0"
    assert jobs.claim() == "0"


def test_ten_gpus_count_as_ten(jobs):
    jobs.gpus(11)
    assert [jobs.claim() for _ in range(3)] == ["0", "1", "2"]


def test_without_a_gpu_nothing_is_claimed(jobs):
    job = jobs.start()
    assert job.stdout is not None
    assert job.stdout.readline() == "None None\n"
    job = jobs.start("")
    assert job.stdout is not None
    assert job.stdout.readline().split() == ["None"]
    assert not jobs.slots.exists()


@pytest.mark.parametrize(("device", "claimed"), [("cuda", ["3.1"]), ("cuda:1", []), ("cpu", [])])
def test_training_claims_a_gpu_where_none_is_named(tmp_path, device, claimed):
    script = Path(__file__).resolve().parents[2] / "scripts/train.py"
    files = [f"--{name}=none" for name in ("data", "out", "work")]
    command = [sys.executable, script, "--spec", "{}", "--device", device, *files]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "3,4"}
    subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True)
    assert [path.name for path in tmp_path.glob("work/gpu-slots/*/*")] == claimed
