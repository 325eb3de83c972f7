"""A real Slurm of three nodes on this machine, for the tests of one run: no root, systemd, cgroups or munge."""

import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.patience import PATIENCE_SECONDS
from tests.support.ports import free_ports

NEEDED = ("slurmctld", "slurmd", "sbatch", "squeue", "sinfo", "scancel")
NODES = 3
NODE_MEMORY_MIB = 1000
NODE_GPUS = 2
GPU_TYPE = "fake"
ACCOUNT = "physics"
# How long its programs wait for one another: longer than a machine stands still, shorter than executors wait for them.
PATIENT, IMPATIENT = "MessageTimeout=25", "MessageTimeout=5"
PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"

CONFIGURATION = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/none
CredType=cred/none
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
SchedulerType=sched/backfill
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SchedulerParameters=sched_min_interval=0,batch_sched_delay=0,bf_interval=1
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=250
GresTypes=gpu
SlurmdParameters=config_overrides
PropagateResourceLimits=NONE
MpiDefault=none
ReturnToService=2
MaxJobCount=20000
MinJobAge={forget_after_seconds}
KillWait=5
{patient}
AccountingStorageType=accounting_storage/none
NodeName=n0 Port={first_node_port} Feature=local,first {node}
NodeName=n[1-{last}] Port=[{node_ports}] Feature=local {node}
PartitionName=debug Nodes=ALL Default=YES DefaultTime=10 MaxTime=60 State=UP
PartitionName=accounts Nodes=n0 AllowAccounts={account} DefaultTime=10 MaxTime=60 State=UP
PartitionName=urgent Nodes=n0 PriorityTier=10 DefaultTime=10 MaxTime=60 State=UP
"""
NODE = "NodeHostname={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory={memory} Gres=gpu:{gpu_type}:{gpus} State=UNKNOWN"
# GPUs need files, and any will do. Slurm gives each job CUDA_VISIBLE_DEVICES for its own.
GPUS = """\
NodeName=n[0-{last}] Name=gpu Type={gpu_type} File=/dev/null
NodeName=n[0-{last}] Name=gpu Type={gpu_type} File=/dev/zero
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlurmCluster:
    folder: Path

    @property
    def environment(self) -> Mapping[str, str]:
        """The environment of an agent beside this cluster, its secret included."""
        return {
            "PATH": PATH,
            "SLURM_CONF": str(self.folder / "slurm.conf"),
            "RAINBOW_SECRET": "the agent's own",
            "SBATCH_PARTITION": "no-such-partition",
        }

    def run(self, *command: str) -> str:
        done = subprocess.run(
            command, env=dict(self.environment), capture_output=True, text=True, timeout=PATIENCE_SECONDS
        )
        return done.stdout

    @contextmanager
    def without_controller(self) -> Iterator[None]:
        self._stop_controller()
        try:
            with self.impatient():
                yield
        finally:
            self._start_controller()

    @contextmanager
    def impatient(self) -> Iterator[None]:
        """Commands that begin meanwhile give a controller that does not answer up soon."""
        file = self.folder / "slurm.conf"
        patient = file.read_text()
        file.write_text(patient.replace(PATIENT, IMPATIENT))
        try:
            yield
        finally:
            file.write_text(patient)

    def start(self) -> None:
        for name in ("state", "spool", "log"):
            (self.folder / name).mkdir()
        (self.folder / "slurm.conf").write_text(self._configuration())
        (self.folder / "gres.conf").write_text(GPUS.format(last=NODES - 1, gpu_type=GPU_TYPE))
        self._start_controller()
        for node in range(NODES):
            self.run("slurmd", "-f", self.environment["SLURM_CONF"], "-N", f"n{node}")
        _wait_for(self._idle, f"{NODES} idle nodes; see {self.folder}/log")

    def stop(self) -> None:
        self.run("scancel", "--quiet", "--me")
        for node in range(NODES):
            _stop(self.folder / f"slurmd-n{node}.pid", signal.SIGTERM)
        self._stop_controller()

    def _start_controller(self) -> None:
        self.run("slurmctld", "-f", self.environment["SLURM_CONF"])
        _wait_for(lambda: "UP" in self.run("scontrol", "ping"), f"a controller; see {self.folder}/log")

    def _stop_controller(self) -> None:
        _stop(self.folder / "slurmctld.pid", signal.SIGTERM)

    def _idle(self) -> bool:
        idle = self.run("sinfo", "--noheader", "--partition=debug", "--states=idle", "--format=%D")
        return idle.strip() == str(NODES)

    def _configuration(self) -> str:
        first, host = free_ports(NODES + 1), socket.gethostname().partition(".")[0]
        return CONFIGURATION.format(
            folder=self.folder,
            host=host,
            user=getpass.getuser(),
            controller_port=first,
            first_node_port=first + 1,
            node_ports=f"{first + 2}-{first + NODES}",
            last=NODES - 1,
            node=NODE.format(host=host, memory=NODE_MEMORY_MIB, gpu_type=GPU_TYPE, gpus=NODE_GPUS),
            account=ACCOUNT,
            patient=PATIENT,
            # The shortest that Slurm knows, so that the tests see records leave the queue.
            forget_after_seconds=4,
        )


def missing_commands() -> list[str]:
    return [command for command in NEEDED if not shutil.which(command, path=PATH)]


def _stop(pid_file: Path, how: signal.Signals) -> None:
    try:
        pid = int(pid_file.read_text())
        os.kill(pid, how)
    except (FileNotFoundError, ValueError, ProcessLookupError):
        return
    _wait_for(lambda: not Path(f"/proc/{pid}").exists(), f"process {pid} to end")


def _wait_for(ready: Callable[[], bool], what: str, *, seconds: float = PATIENCE_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            raise RuntimeError(f"waited {seconds} s for {what}")
        time.sleep(0.05)
