# SPDX-License-Identifier: Apache-2.0
"""A Slurm cluster of its own for a test: real daemons, on one machine, without systemd, up in a second.

Every host ("head", "n1", "n2", ...) is a set of namespaces: its own network, host name, processes and /dev/shm. The head
has slurmctld and munged and is the switch that the nodes' cables end in. A host ends with the process that holds its
namespaces, and with it all that runs there: nothing is left, not even after a kill of the test.

By hand:  tests/slurm/cluster.py COMMAND...    starts one, runs the command on the head, stops it"""
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

NEEDED = ["slurmctld", "slurmd", "munged", "sbatch", "srun", "unshare", "nsenter", "ip"]
PATH = os.environ["PATH"] + ":/usr/sbin:/sbin"

CONFIGURATION = """\
ClusterName=quern
SlurmctldHost=head({net}.254)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
# A requeued job waits as long as credentials last: 120 s where nobody says else.
AuthInfo=socket={folder}/munge.socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmctldPidFile={folder}/slurmctld.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdSpoolDir={folder}/%n
TmpFS={folder}/%n-tmp
SlurmdPidFile={folder}/%n.pid
SlurmdLogFile={folder}/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
MailProg=/bin/true
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
DefMemPerCPU=400
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_min_interval=100000,bf_interval=1
SlurmdParameters=config_overrides
SlurmdTimeout=10
KillWait=5
ReturnToService=2
MinJobAge=86400
NodeName=n[1-{n_nodes}] CPUs={cpus} RealMemory={memory}
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
PartitionName=other Nodes=ALL MaxTime=INFINITE State=UP
"""


def why_not():
    """Why there can be no cluster here; None if there can."""
    missing = [name for name in NEEDED if shutil.which(name, path=PATH) is None]
    if missing:
        return f"not installed: {' '.join(missing)} (scripts/install-packages test)"
    allowed = subprocess.run(["unshare", "--net", "--uts", "--mount", "--pid", "--fork", "true"], capture_output=True, check=False)
    return None if allowed.returncode == 0 else "namespaces are not allowed here"


def become_root():
    """A user who is not root goes on as root of a namespace of his own, where that is allowed: starts the program anew."""
    own = ["unshare", "--user", "--map-root-user"]
    if os.geteuid() != 0 and subprocess.run([*own, "true"], capture_output=True, check=False).returncode == 0:
        os.execvp(own[0], [*own, sys.executable, *sys.argv])


def die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


class Cluster:
    """Use it in a `with`. `run(command...)` runs on the head, where sbatch and its kind find the cluster."""

    def __init__(self, n_nodes=2, cpus=2, memory=2000, net="10.78.0"):
        self.n_nodes, self.cpus, self.memory, self.net = n_nodes, cpus, memory, net
        self.nodes = [f"n{i + 1}" for i in range(n_nodes)]
        self.holders = {}  # host: the process that holds its namespaces
        self.insides = {}  # host: the first process inside
        self.folder = None

    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix="quern-slurm-")
        os.chmod(self.folder, 0o755)
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for holder in reversed(list(self.holders.values())):
            holder.kill()
            holder.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def address(self, host):
        return f"{self.net}.{254 if host == 'head' else host[1:]}"

    def path(self, name):
        return os.path.join(self.folder, name)

    def start(self):
        os.makedirs(self.path("state"))
        with open(self.path("munge.key"), "wb", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
            file.write(os.urandom(128))
        with open(self.path("hosts"), "w", encoding="ascii") as file:
            file.write("127.0.0.1 localhost\n")
            file.writelines(f"{self.address(host)} {host}\n" for host in ["head", *self.nodes])
        with open(self.path("slurm.conf"), "w", encoding="ascii") as file:
            file.write(CONFIGURATION.format(**vars(self)))
        self.start_host("head")
        self.must("head", "ip", "link", "add", "switch", "type", "bridge")
        self.must("head", "ip", "address", "add", f"{self.address('head')}/24", "dev", "switch")
        self.must("head", "ip", "link", "set", "switch", "up")
        self.must("head", "munged", "--force", f"--key-file={self.path('munge.key')}", f"--socket={self.path('munge.socket')}",
                  f"--pid-file={self.path('munge.pid')}", f"--log-file={self.path('munge.log')}", f"--seed-file={self.path('munge.seed')}")
        self.must("head", "slurmctld", "-f", self.path("slurm.conf"))
        for node in self.nodes:
            self.start_node(node)
        self.wait_until(lambda: len(self.run("sinfo", "-h", "-N", "-t", "idle", "-p", "main").stdout.splitlines()) == self.n_nodes,
                        30, "the nodes are not idle")

    def start_host(self, host):
        inside = (f'hostname {host} && mount -t proc proc /proc && mount -t tmpfs tmpfs /dev/shm && '
                  f'mount --bind {self.path("hosts")} /etc/hosts && ip link set lo up && echo up && exec sleep infinity')
        holder = subprocess.Popen(["unshare", "--net", "--uts", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", inside],
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, preexec_fn=die_with_parent)
        self.holders[host] = holder
        if holder.stdout.readline() != "up\n":
            raise RuntimeError(f"host {host} did not start")
        with open(f"/proc/{holder.pid}/task/{holder.pid}/children", encoding="ascii") as file:
            self.insides[host] = file.read().split()[0]

    def start_node(self, node):
        self.start_host(node)
        os.makedirs(self.path(node), exist_ok=True)
        os.makedirs(self.path(f"{node}-tmp"), exist_ok=True)
        subprocess.run(["ip", "link", "add", node, "netns", self.insides["head"], "type", "veth", "peer", "name", "cable",
                        "netns", self.insides[node]], check=True)
        self.must("head", "ip", "link", "set", node, "master", "switch", "up")
        self.must(node, "ip", "address", "add", f"{self.address(node)}/24", "dev", "cable")
        self.must(node, "ip", "link", "set", "cable", "up")
        self.must(node, "slurmd", "-f", self.path("slurm.conf"), "-N", node)

    def cut(self, node):
        """Pulls the node's cable."""
        self.must("head", "ip", "link", "set", node, "down")

    def on(self, host, *command, folder=None, environment=None, timeout=60):
        """Runs a command on a host; what it printed and its exit code."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("QUERN_")}
        variables = {**inherited, "PATH": PATH, "SLURM_CONF": self.path("slurm.conf"), "OMPI_ALLOW_RUN_AS_ROOT": "1",
                     "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", **(environment or {})}
        enter = ["nsenter", "-t", self.insides[host], "-n", "-u", "-m", "-p", f"--wd={folder or self.folder}", "--"]
        return subprocess.run([*enter, *command], env=variables, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              errors="replace", timeout=timeout, check=False)

    def run(self, *command, **how):
        return self.on("head", *command, **how)

    def must(self, host, *command):
        done = self.on(host, *command)
        if done.returncode != 0:
            raise RuntimeError(f"{host}: {' '.join(command)}: {done.stderr}")
        return done.stdout

    def wait_until(self, is_so, seconds, what):
        end = time.monotonic() + seconds
        while not is_so():
            if time.monotonic() > end:
                raise RuntimeError(f"{what} after {seconds} s; {self.run('squeue', '-t', 'all').stdout}")
            time.sleep(0.1)

    def job(self, number):
        """What Slurm says of a job: {"JobState": "COMPLETED", "ExitCode": "0:0", ...}."""
        text = self.must("head", "scontrol", "--oneliner", "show", "job", str(number)).splitlines()[0]
        return dict(word.partition("=")[::2] for word in text.split() if "=" in word)

    def wait_job(self, number, seconds=60):
        """Waits until a job has ended; what Slurm says of it."""
        self.wait_until(lambda: self.run("squeue", "-h", "-j", number).stdout == "", seconds, f"job {number} has not ended")
        return self.job(number)


def cluster_of_tests():
    """A cluster for a program of tests, which is left out (77) where there can be none."""
    become_root()
    reason = why_not()
    if reason is not None:
        print(f"left out: {reason}")
        sys.exit(77)
    return Cluster()


if __name__ == "__main__":
    become_root()
    REASON = why_not()
    if REASON is not None:
        sys.exit(REASON)
    with Cluster() as by_hand:
        DONE = by_hand.run(*(sys.argv[1:] or ["sinfo"]), folder=os.getcwd(), timeout=None)
        print(DONE.stdout, end="")
        print(DONE.stderr, end="", file=sys.stderr)
    sys.exit(DONE.returncode)
