"""A Slurm of the tests' own: munged, slurmctld and slurmd in a folder, on ports that were free."""

import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

PROGRAMS = {
    "munged": "munge",
    "slurmctld": "slurm-wlm",
    "slurmd": "slurm-wlm",
    "sbatch": "slurm-wlm",
}
SECONDS = 30
CONF = """
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
JobRequeue=1
KillWait=120
MinJobAge=600
ReturnToService=2
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
SlurmctldPort={controller}
SlurmdPort={worker}
NodeName={host} NodeAddr=127.0.0.1 CPUs={cores} State=UNKNOWN
PartitionName=batch Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def found(program):
    return shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")


def missing():
    """The Debian packages that would be needed."""
    return sorted({package for name, package in PROGRAMS.items() if found(name) is None})


class Slurm:
    """Started in a folder; `stop` ends exactly what was started."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.env = os.environ | {"SLURM_CONF": str(folder / "slurm.conf")}
        self._daemons = []
        for name in ("state", "spool"):
            (folder / name).mkdir()
        folder.chmod(0o755)  # munge trusts no folder that others may write to
        (folder / "munge.key").write_bytes(os.urandom(128))
        (folder / "munge.key").chmod(0o400)
        host = socket.gethostname().partition(".")[0]
        (folder / "slurm.conf").write_text(
            CONF.format(
                host=host, user=getpass.getuser(), folder=folder, cores=os.cpu_count(),
                controller=_free_port(), worker=_free_port(),
            )
        )  # fmt: skip
        try:
            self._start("munged", "--foreground", "--force", *(
                f"--{name}={folder / f'munge.{end}'}" for name, end in
                (("key-file", "key"), ("socket", "socket"), ("pid-file", "pid"),
                 ("log-file", "log"), ("seed-file", "seed"))))  # fmt: skip
            self._until(lambda: (folder / "munge.socket").exists(), "munge")
            self._start("slurmctld", "-D", "-c")
            self._start("slurmd", "-D", "-c")
            self._until(self._idle, "the node")
        except BaseException:
            self.stop()
            raise

    def said(self, *command):
        """The answer of one of Slurm's commands."""
        told = subprocess.run(
            [found(command[0]), *command[1:]], env=self.env, capture_output=True, text=True,
            stdin=subprocess.DEVNULL, timeout=60,
        )  # fmt: skip
        assert told.returncode == 0, f"{command}: {told.stderr}"
        return told.stdout.strip()

    def _idle(self):
        try:
            return self.said("sinfo", "-h", "-o", "%t") == "idle"
        except AssertionError:  # the controller is not up yet
            return False

    def submit(self, *arguments, **env):
        """Submit a batch job; return its number."""
        told = subprocess.run(
            [found("sbatch"), "--parsable", *arguments], env=self.env | env, check=True,
            capture_output=True, text=True, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        return told.stdout.strip()

    def state(self, job):
        """Of a job or a task of an array: RUNNING, COMPLETED, FAILED, TIMEOUT, …"""
        return self._shown(job, "JobState")

    def restarts(self, job):
        """How often a job or a task of an array was requeued."""
        return int(self._shown(job, "Restarts"))

    def _shown(self, job, key):
        told = self.said("scontrol", "-o", "show", "job", job)
        return told.partition(f" {key}=")[2].partition(" ")[0]

    def told(self, jobs):
        """What a failure wants to know of jobs: what Slurm shows, and how its logs end."""
        shown = [self.said("scontrol", "show", "job", job) for job in jobs]
        logs = [path.read_text(errors="replace")[-4000:] for path in self.folder.glob("*d.log")]
        return "\n".join([*shown, *logs])

    def queued(self):
        """The numbers of all that waits or runs."""
        return self.said("squeue", "-h", "-r", "-o", "%i %t").splitlines()

    def stop(self):
        with contextlib.suppress(Exception):
            self.said("scancel", "--full", "--user", getpass.getuser())
            self._until(lambda: not self.queued(), "the queue")
        for process in reversed(self._daemons):
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _start(self, name, *arguments):
        with (self.folder / f"{name}.out").open("wb") as out:
            self._daemons.append(subprocess.Popen(
                [found(name), *arguments], env=self.env, stdout=out, stderr=out,
                stdin=subprocess.DEVNULL, start_new_session=True,
            ))  # fmt: skip

    def _until(self, true, what):
        end = time.monotonic() + SECONDS
        while not true():
            if time.monotonic() > end:
                told = [
                    f"{path.name}: {path.read_text(errors='replace')[-800:]}"
                    for path in sorted([*self.folder.glob("*.log"), *self.folder.glob("*.out")])
                ]
                raise TimeoutError("\n".join([f"{what} did not come in {SECONDS} s", *told]))
            time.sleep(0.1)


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
