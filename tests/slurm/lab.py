"""A real Slurm cluster on one machine: every host is a namespace of its own, with its own address and processes.

So scripts run as they would on a cluster, hosts can crash, and links can be cut. Needs root, iproute2, util-linux,
slurmctld, slurmd, slurm-client and munge; writes nothing outside of its folder. GPUs are device files that do nothing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

TOOLS = ("slurmctld", "slurmd", "sbatch", "munged", "ip", "nsenter", "unshare", "setpriv", "pgrep", "ps")
WITH_US = ("setpriv", "--pdeathsig", "KILL")  # who starts the lab takes it along, whatever ends him
CTL = "ctl"  # the controller, which is the login node, too

SLURM_CONF = """
ClusterName=lab
SlurmctldHost=ctl({net}.250)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={lab}/run/munge.sock
StateSaveLocation={lab}/state
SlurmdSpoolDir={lab}/state/slurmd.%n
SlurmctldPidFile={lab}/run/slurmctld.pid
SlurmdPidFile={lab}/run/slurmd.%n.pid
SlurmctldLogFile={lab}/log/slurmctld.log
SlurmdLogFile={lab}/log/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=0
SlurmdParameters=config_overrides
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
ReturnToService=2
MpiDefault=none
KillWait={kill_wait}
MinJobAge=600
SlurmdTimeout=15
GresTypes=gpu
DefMemPerCPU=500
NodeName=n[1-{nodes}] NodeAddr={net}.[1-{nodes}] CPUs=4 RealMemory=8000 Gres=gpu:2 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=1-0 DefaultTime=10 PriorityTier=1 GraceTime=60
PartitionName=urgent Nodes=ALL MaxTime=1-0 DefaultTime=10 PriorityTier=10 PreemptMode=OFF
"""
CGROUP_CONF = (
    "CgroupPlugin=cgroup/v1\nCgroupAutomount=no\nConstrainCores=no\nConstrainRAMSpace=no\nConstrainDevices=no\n"
)
HOST = """
hostname "$1"; mount --bind "$2/etc/hosts" /etc/hosts; shift 2
"$@" & trap "exit 0" TERM; while :; do sleep 3600 & wait $!; done
"""


def missing() -> str:
    """Why there can be no lab here; "" if there can."""
    lacking = [tool for tool in TOOLS if shutil.which(tool) is None]
    if lacking:
        return f"Slurm is not installed: {', '.join(lacking)} missing"
    if os.geteuid():
        return "a Slurm cluster of namespaces needs root"
    if subprocess.run(["unshare", "--net", "--pid", "--fork", "true"], capture_output=True).returncode:
        return "this machine allows no namespaces"
    return ""


class Lab:
    """A controller and nodes n1, n2, ... with 4 cores and 2 GPUs each."""

    def __init__(self, nodes: int = 2, kill_wait: int = 8) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="slurm-", dir="/tmp"))  # a short path: sockets lie in it
        number = os.getpid() % 200
        self._net, self._prefix, self.nodes = f"10.{number + 20}.7", f"l{number}", [f"n{i + 1}" for i in range(nodes)]
        self._hosts: dict[str, subprocess.Popen[bytes]] = {}
        self._munged: subprocess.Popen[bytes] | None = None
        self._kill_wait = kill_wait

    def start(self) -> None:
        """Raises AssertionError if the nodes are not up after 30 s."""
        self._write()
        sh = self._sh
        sh(f"ip route replace blackhole {self._net}.0/24")  # nothing for these addresses can ever leave by mistake
        sh(f"ip netns add {self._prefix}-sw", f"ip -n {self._prefix}-sw link add br0 type bridge")
        sh(f"ip -n {self._prefix}-sw link set br0 up")
        for host in (CTL, *self.nodes):
            own = f"{self._prefix}-{host}"
            sh(f"ip netns add {own}", f"ip -n {own} link set lo up")
            sh(f"ip link add e0 netns {own} type veth peer name v-{host} netns {self._prefix}-sw")
            sh(f"ip -n {self._prefix}-sw link set v-{host} master br0", f"ip -n {self._prefix}-sw link set v-{host} up")
            sh(f"ip -n {own} addr add {self._address(host)}/24 dev e0", f"ip -n {own} link set e0 up")
            sh(f"ip -n {own} route add default via {self._net}.254")  # to nobody: programs find their address by it
        run = self.path / "run"
        files = {
            "key-file": "munge/key",
            "log-file": "munge/log",
            "seed-file": "munge/seed",
            "pid-file": "run/munged.pid",
        }
        options = [f"--{name}={self.path}/{file}" for name, file in files.items()]
        command = ["munged", "--foreground", "--force", f"--socket={run}/munge.sock", *options]
        self._munged = subprocess.Popen([*WITH_US, *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self._up(CTL, "slurmctld", "-D", "-c")
        for host in self.nodes:
            self.boot(host)
        self.until(lambda: self.ask("sinfo -h -N -p main -t idle -o %N").split() == self.nodes, 30)

    def stop(self) -> None:
        for host in self._hosts:
            self.crash(host)
        if self._munged is not None:
            self._munged.terminate()
            self._munged.wait()
        for host in (CTL, *self.nodes, "sw"):
            subprocess.run(["ip", "netns", "del", f"{self._prefix}-{host}"], capture_output=True)
        subprocess.run(["ip", "route", "del", "blackhole", f"{self._net}.0/24"], capture_output=True)
        shutil.rmtree(self.path, ignore_errors=True)

    def run(self, *command: str, host: str = CTL, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command on a host."""
        init = subprocess.run(
            ["pgrep", "-P", str(self._hosts[host].pid)], capture_output=True, text=True
        ).stdout.split()[0]
        inside = ["nsenter", "-t", init, "-m", "-p", "-u", "-i", "-n", "--", "env", "-C", str(cwd or self.path)]
        return subprocess.run([*inside, *command], capture_output=True, text=True, env=self._environment())

    def ask(self, command: str) -> str:
        """What a command without spaces in its words prints on the controller."""
        return self.run(*command.split()).stdout.strip()

    def job(self, job: str) -> dict[str, str]:
        """What Slurm knows of a job."""
        words = self.ask(f"scontrol show job -o {job}").split()
        return dict(word.split("=", 1) for word in words if "=" in word)

    def boot(self, host: str) -> None:
        self._up(host, "slurmd", "-D", "-N", host)

    def crash(self, host: str) -> None:
        """Every process of the host dies at once."""
        self._hosts[host].kill()  # unshare --kill-child: with it goes the namespace's first process, and so all
        self._hosts[host].wait()

    def cut(self, host: str) -> None:
        self._sh(f"ip -n {self._prefix}-sw link set v-{host} down")

    @staticmethod
    def until(happens: Callable[[], object], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not happens():
            assert time.monotonic() < deadline, "it never happened"
            time.sleep(0.3)

    def processes(self) -> list[str]:
        """The command lines on the nodes, less those of the nodes themselves."""
        found = "\n".join(self.run("ps", "-eo", "args", host=host).stdout for host in self.nodes).splitlines()
        own = ("COMMAND", "ps ", "bash -c \nhostname", "slurmd", "sleep 3600")
        return [line for line in found if line.strip() and not line.startswith(own) and "hostname" not in line]

    def _address(self, host: str) -> str:
        return f"{self._net}.{250 if host == CTL else host[1:]}"

    def _write(self) -> None:
        for folder in ("etc", "munge", "state", "log", "run", "gpu"):
            (self.path / folder).mkdir(mode=0o700 if folder == "munge" else 0o755)
        self.path.chmod(0o755)
        (self.path / "munge" / "key").write_bytes(os.urandom(128))
        (self.path / "munge" / "key").chmod(0o600)
        for number in range(2):
            self._sh(f"mknod {self.path}/gpu/nvidia{number} c 1 3")  # another /dev/null
        etc, count = self.path / "etc", len(self.nodes)
        named = (CTL, *self.nodes[:-1])  # as on some clusters, not all names resolve
        lines = [f"{self._address(host)} {host}" for host in named]
        (etc / "hosts").write_text("\n".join(["127.0.0.1 localhost", *lines, ""]))
        (etc / "slurm.conf").write_text(
            SLURM_CONF.format(lab=self.path, net=self._net, nodes=count, kill_wait=self._kill_wait)
        )
        (etc / "gres.conf").write_text(f"NodeName=n[1-{count}] Name=gpu File={self.path}/gpu/nvidia[0-1]\n")
        (etc / "cgroup.conf").write_text(CGROUP_CONF)

    def _up(self, host: str, *daemon: str) -> None:
        namespaces = ["--mount", "--pid", "--uts", "--ipc", "--fork", "--kill-child", "--mount-proc"]
        with (self.path / "log" / f"{host}.log").open("ab") as log:
            outside = [*WITH_US, "ip", "netns", "exec", f"{self._prefix}-{host}", "unshare", *namespaces]
            self._hosts[host] = subprocess.Popen(
                [*outside, "bash", "-c", HOST, "init", host, str(self.path), *daemon],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment(),
                start_new_session=True,
            )
        time.sleep(0.2)

    def _environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("SLURM_", "SBATCH_", "RAY_", "I2IBENCH_"))}
        return kept | {"SLURM_CONF": str(self.path / "etc" / "slurm.conf")}

    @staticmethod
    def _sh(*commands: str) -> None:
        for command in commands:
            done = subprocess.run(command.split(), capture_output=True, text=True)
            assert done.returncode == 0, f"{command}: {done.stderr}"
