"""A Slurm cluster of one node on this machine: loopback only, one dummy GPU, daemons of our own."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol")
# In /etc/slurm, because jobs are not told of another place.
CONFIG = Path("/etc/slurm")
SLURM_CONF = """\
ClusterName={name}
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=sched_interval=1,batch_sched_delay=0,sched_min_interval=0
MinJobAge=3600
BatchStartTimeout=1
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=6000 Gres=gpu:dummy:1 State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP DefMemPerCPU=500
"""
GRES_CONF = "NodeName={host} Name=gpu Type=dummy File=/dev/null\n"


def wait_until(condition: Callable[[], object], what: str, seconds: float = 60) -> None:
    """Wait for a condition; fail with ``what`` when it does not come."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{what} did not happen in {seconds:g} s"
        time.sleep(0.1)


def free_ports(count: int) -> list[int]:
    """TCP ports of the loopback that nobody uses."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


class Cluster:
    """Daemons that this process started, and what Slurm says about its jobs."""

    wait_until = staticmethod(wait_until)

    def __init__(self, folder: Path) -> None:
        self.folder, self.name = folder, f"stagewise{os.getpid()}"
        self.cpus = min(2, os.cpu_count() or 1)
        self.daemons: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        """Write the configuration, start all daemons, wait for the node."""
        host = socket.gethostname()
        for name in ("state", "spool"):
            (self.folder / name).mkdir()
        values = {"name": self.name, "host": host, "folder": self.folder, "cpus": self.cpus}
        slurm = SLURM_CONF.format(ports=free_ports(2), **values)
        (CONFIG / "slurm.conf").write_text(slurm)
        (CONFIG / "gres.conf").write_text(GRES_CONF.format(host=host))
        key = self.folder / "munge.key"
        key.touch(0o600)
        key.write_bytes(os.urandom(64))
        self.daemon(
            "munged", "--foreground", "--force", f"--key-file={key}",
            *(f"--{kind}-file={self.folder}/munge.{kind}" for kind in ("pid", "log", "seed")),
            f"--socket={self.folder}/munge.socket",
        )  # fmt: skip
        wait_until((self.folder / "munge.socket").exists, "munged")
        self.daemon("slurmctld", "-D")
        self.daemon("slurmd", "-D", "-N", host)
        wait_until(lambda: "State=IDLE" in self.ask("node", host), "the node's start")

    def daemon(self, name: str, *arguments: str) -> None:
        """Start one daemon, its messages in a file."""
        with open(self.folder / f"{name}.out", "ab") as log:
            self.daemons[name] = subprocess.Popen([name, *arguments], stdout=log, stderr=log)

    def stop(self) -> None:
        """End what was started, by process id."""
        for pid in self.job_processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for name in ("slurmd", "slurmctld", "munged"):
            if name in self.daemons:
                self.daemons[name].terminate()
                self.daemons[name].wait(30)

    def reboot_node(self) -> None:
        """The node loses power, its jobs with it, and comes back."""
        self.daemons["slurmd"].kill()
        self.daemons["slurmd"].wait()
        for pid in self.job_processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        # Slurm takes a batch job younger than BatchStartTimeout + 10 s for one that still starts.
        time.sleep(12)
        self.daemon("slurmd", "-D", "-b", "-N", socket.gethostname())

    def ask(self, kind: str, *names: str) -> str:
        """``scontrol show``; nothing while the controller does not answer."""
        command = ["scontrol", "show", kind, *names, "--oneliner"]
        return subprocess.run(command, capture_output=True, text=True).stdout

    def jobs(self) -> list[dict[str, str]]:
        """Every job that the controller has seen, finished ones too."""
        lines = self.ask("job").splitlines()
        return [dict(re.findall(r"(\w+)=(\S*)", line)) for line in lines if "JobId=" in line]

    def job_processes(self) -> list[int]:
        """Processes of this cluster's jobs, and the slurmstepd that each job step runs under."""
        mark = f"SLURM_CLUSTER_NAME={self.name}".encode()
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if mark in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
        parents = set()
        for pid in found:
            with contextlib.suppress(OSError):
                status = Path(f"/proc/{pid}/status").read_text()
                parents.add(int(re.search(r"PPid:\t(\d+)", status)[1]))  # type: ignore[index]
        for pid in parents:
            with contextlib.suppress(OSError):
                if Path(f"/proc/{pid}/comm").read_text().strip() == "slurmstepd":
                    found.insert(0, pid)
        return found


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A running cluster; ``/etc/slurm`` is as it was afterwards."""
    missing = [name for name in PROGRAMS if not shutil.which(name)]
    assert not missing, (
        f"{', '.join(missing)} missing:"
        " apt-get install --no-install-recommends slurm-wlm munge, and pip install"
        " snakemake-executor-plugin-slurm"
    )
    assert os.geteuid() == 0, "Slurm's daemons need root and write /etc/slurm: run this as root"
    folder = Path(tempfile.mkdtemp(prefix="slurm-", dir="/tmp"))  # sockets need short paths
    folder.chmod(0o755)
    CONFIG.mkdir(exist_ok=True)
    files = [CONFIG / "slurm.conf", CONFIG / "gres.conf"]
    before = {path: path.read_bytes() if path.exists() else None for path in files}
    running = Cluster(folder)
    try:
        running.start()
        yield running
    finally:
        running.stop()
        for path, content in before.items():
            path.unlink(missing_ok=True)
            if content is not None:
                path.write_bytes(content)
        shutil.rmtree(folder)
