"""A Slurm cluster of one node on this machine: the real controller and node daemon, for as long as a test runs."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

DAEMONS = ("slurmctld", "slurmd")
START_S = 20.0

# One user, one machine: no keys between daemons, no control groups, and a scheduler that does not wait to save work.
# The GPUs are two files that exist everywhere; nothing ever opens them.
_CONFIG = """\
ClusterName=test
SlurmctldHost=localhost
SlurmctldPort={controller}
SlurmdPort={node}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/none
CredType=cred/none
StateSaveLocation={root}/state
SlurmdSpoolDir={root}/spool
SlurmctldPidFile={root}/slurmctld.pid
SlurmdPidFile={root}/slurmd.pid
SlurmctldLogFile={root}/slurmctld.log
SlurmdLogFile={root}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerType=sched/builtin
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0,sched_interval=1
ReturnToService=2
SlurmdParameters=config_overrides
KillWait=2
GresTypes=gpu
NodeName=localhost CPUs=64 RealMemory=64000 Gres=gpu:a100:2 State=UNKNOWN
PartitionName=main Nodes=localhost Default=YES MaxTime=INFINITE State=UP
PartitionName=short Nodes=localhost MaxTime=5 State=UP
PartitionName=closed Nodes=localhost State=DOWN
"""


def missing() -> str:
    """Why no cluster can be started here, or empty."""
    absent = [name for name in ("sbatch", *DAEMONS) if not find(name)]
    return f"Slurm is not installed ({', '.join(absent)} not found)" if absent else ""


def find(name: str) -> str | None:
    """Path of one of Slurm's programs; those of the system's administrator may not be on the PATH."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


class SlurmCluster:
    """A cluster with the partitions `main`, `short` (5 minutes at most) and `closed`, of 64 CPUs and 2 GPUs in all.

    Args:
        root: A new directory for its files.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._daemons: list[subprocess.Popen[bytes]] = []
        root.mkdir()
        for name in ("state", "spool"):
            (root / name).mkdir()
        controller, node = _free_ports(2)
        values = {"controller": controller, "node": node, "user": getpass.getuser(), "root": root}
        (root / "slurm.conf").write_text(_CONFIG.format(**values))
        (root / "gres.conf").write_text("NodeName=localhost Name=gpu Type=a100 File=/dev/null,/dev/zero\n")
        self.env = {**os.environ, "SLURM_CONF": str(root / "slurm.conf")}

    def start(self) -> None:
        """Starts both daemons and waits until the node takes jobs.

        Raises:
            RuntimeError: It does not, with what the daemons said last.
        """
        self._daemons = [self._spawn("slurmctld", "-D"), self._spawn("slurmd", "-D", "-N", "localhost")]
        self._until_it_takes_jobs()

    def stop(self) -> None:
        """Ends all jobs and both daemons."""
        if self._daemons and self._daemons[0].poll() is None:
            self.ask("scancel", "--quiet", f"--user={getpass.getuser()}")
            deadline = time.monotonic() + 5.0
            while self.ask("squeue", "--noheader").strip() and time.monotonic() < deadline:
                time.sleep(0.05)
        for daemon in reversed(self._daemons):
            daemon.terminate()
        for daemon in reversed(self._daemons):
            try:
                daemon.wait(5.0)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        self._daemons.clear()

    def ask(self, name: str, *arguments: str) -> str:
        """What one of Slurm's programs prints; nothing when it fails."""
        program = find(name) or name
        done = subprocess.run(
            [program, *arguments], env=self.env, capture_output=True, text=True, check=False, timeout=30
        )
        return done.stdout if done.returncode == 0 else ""

    def _spawn(self, name: str, *options: str) -> subprocess.Popen[bytes]:
        with (self._root / f"{name}.out").open("ab") as out:
            return subprocess.Popen(
                [find(name) or name, *options], env=self.env, stdout=out, stderr=out, start_new_session=True
            )

    def _until_it_takes_jobs(self) -> None:
        deadline = time.monotonic() + START_S
        while self.ask("sinfo", "--noheader", "-p", "main", "-o", "%T").strip() != "idle":
            if time.monotonic() > deadline or any(daemon.poll() is not None for daemon in self._daemons):
                said = "".join((self._root / f"{name}.out").read_text()[-600:] for name in DAEMONS)
                self.stop()
                raise RuntimeError(f"the cluster did not start: {said}")
            time.sleep(0.05)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()
