#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs an Open MPI program on hosts that are emulated on this machine: network namespaces on one bridge, each
with its own name and /dev/shm, so that MPI takes them for machines. Needs root and iproute2; what it makes it
removes. The cable of a host has a bandwidth (tc tbf) and, if asked for, a delay each way, for which frames are
carried by this program; that takes processor time, so keep the bandwidth to some 100 Mbit/s then.

usage: bench/emulated_hosts.py [--hosts N] [--ranks R] [--mbit M] [--delay MS] PROGRAM [ARGUMENT...]
"""
import argparse
import collections
import ctypes
import fcntl
import os
import select
import struct
import subprocess
import sys
import tempfile
import time

NETWORK = "10.97.0"
BRIDGE = f"qn{os.getpid()}"  # namespace of the bridge; those of hosts are called so with -1, -2, ... behind it
LAST_FRAMES = 256  # taken from a cable at a time


def run(*words):
    subprocess.run(words, check=True)


def name(host):
    return f"{BRIDGE}-{host}"


def enter(namespace):
    libc = ctypes.CDLL(None, use_errno=True)
    with open(f"/run/netns/{namespace}") as file:
        if libc.setns(file.fileno(), 0x40000000) != 0:  # CLONE_NEWNET
            raise OSError(ctypes.get_errno(), f"cannot enter {namespace}")


def make_tap(device):
    tap = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    # TUNSETIFF with IFF_TAP | IFF_NO_PI
    fcntl.ioctl(tap, 0x400454CA, struct.pack("16sH22x", device.encode(), 0x1002))
    run("ip", "link", "set", device, "mtu", "9000")
    return tap


def make_host(host, mbit, delay):
    """Returns the two ends of a cable with a delay, else nothing."""
    run("ip", "netns", "add", name(host))
    run("ip", "-n", name(host), "link", "set", "lo", "up")
    ends = ()
    if delay > 0:
        enter(BRIDGE)
        far = make_tap(f"cable{host}")
        enter(name(host))
        ends = (make_tap("eth0"), far)
    else:
        run("ip", "-n", BRIDGE, "link", "add", f"cable{host}", "mtu", "9000", "type", "veth",
            "peer", "name", "eth0", "mtu", "9000", "netns", name(host))
    run("ip", "-n", BRIDGE, "link", "set", f"cable{host}", "master", "bridge", "up")
    run("ip", "-n", name(host), "addr", "add", f"{NETWORK}.{host}/24", "dev", "eth0")
    run("ip", "-n", name(host), "link", "set", "eth0", "up")
    for namespace, device in ((name(host), "eth0"), (BRIDGE, f"cable{host}")):
        if mbit > 0:
            run("tc", "-n", namespace, "qdisc", "add", "dev", device, "root", "tbf", "rate", f"{mbit}mbit",
                "burst", "256k", "latency", "200ms")
    return ends


def make_hosts(wanted, folder):
    run("ip", "netns", "add", BRIDGE)
    run("ip", "-n", BRIDGE, "link", "set", "lo", "up")
    run("ip", "-n", BRIDGE, "link", "add", "bridge", "type", "bridge")
    run("ip", "-n", BRIDGE, "link", "set", "bridge", "mtu", "9000")
    run("ip", "-n", BRIDGE, "link", "set", "bridge", "up")
    run("ip", "-n", BRIDGE, "addr", "add", f"{NETWORK}.254/24", "dev", "bridge")
    cables = [make_host(host, wanted.mbit, wanted.delay) for host in range(1, wanted.hosts + 1)]
    with open(f"{folder}/hosts", "w") as file:
        file.write("127.0.0.1 localhost\n")
        file.writelines(f"{NETWORK}.{host} {name(host)}\n" for host in range(1, wanted.hosts + 1))
    with open(f"{folder}/hostfile", "w") as file:
        file.writelines(f"{name(host)} slots={wanted.ranks}\n" for host in range(1, wanted.hosts + 1))
    with open(f"{folder}/agent", "w") as file:  # what mpirun starts its daemon on a host with
        file.write(f"""#!/bin/sh
host=$1; shift
exec ip netns exec $host unshare --uts --mount --propagation private sh -c "
hostname $host; mount -t tmpfs tmpfs /dev/shm; mount --bind {folder}/hosts /etc/hosts; $*"
""")
    os.chmod(f"{folder}/agent", 0o755)
    return [cable for cable in cables if cable]


def remove_hosts(n_hosts):
    for namespace in [name(host) for host in range(1, n_hosts + 1)] + [BRIDGE]:
        left = subprocess.run(["ip", "netns", "pids", namespace], capture_output=True, text=True).stdout.split()
        subprocess.run(["kill", "-9", *left], stderr=subprocess.DEVNULL) if left else None
        subprocess.run(["ip", "netns", "del", namespace], stderr=subprocess.DEVNULL)


def carry_frames(cables, delay, child):
    """Until the child has ended, each frame comes out of the other end of its cable after the delay."""
    other = {a: b for ends in cables for a, b in (ends, ends[::-1])}
    under_way = collections.deque()
    while child.poll() is None:
        wait = 0.2 if not under_way else max(0.0, under_way[0][0] - time.monotonic())
        for end in select.select(list(other), [], [], min(wait, 0.2))[0]:
            for _ in range(LAST_FRAMES):
                try:
                    under_way.append((time.monotonic() + delay, other[end], os.read(end, 65536)))
                except BlockingIOError:
                    break
        while under_way and under_way[0][0] <= time.monotonic():
            try:
                os.write(under_way[0][1], under_way[0][2])
            except OSError:
                pass  # the host's queue is full: the frame is lost, and TCP sends it again
            under_way.popleft()


def launcher(n_ranks, folder, program="mpirun"):
    return ["ip", "netns", "exec", BRIDGE, program, "--hostfile", f"{folder}/hostfile", "-n", str(n_ranks),
            "--map-by", "slot", "--oversubscribe", "--mca", "plm", "rsh", "--mca", "plm_rsh_agent", f"{folder}/agent",
            "--mca", "routed", "direct", "--mca", "pml", "ob1", "--mca", "btl", "self,vader,tcp",
            "--mca", "btl_tcp_if_include", f"{NETWORK}.0/24", "--mca", "oob_tcp_if_include", f"{NETWORK}.0/24",
            "--mca", "mpi_yield_when_idle", "1"]


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split("usage: ")[1].strip())
    parser.add_argument("--hosts", type=int, default=2)
    parser.add_argument("--ranks", type=int, default=2, help="of each host")
    parser.add_argument("--mbit", type=int, default=1000)
    parser.add_argument("--delay", type=float, default=0, help="milliseconds each way")
    parser.add_argument("program", nargs=argparse.REMAINDER)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        try:
            cables = make_hosts(wanted, folder)
            command = launcher(wanted.hosts * wanted.ranks, folder) + wanted.program
            environment = os.environ | {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
            child = subprocess.Popen(command, env=environment)
            carry_frames(cables, wanted.delay / 1000, child)
            return child.wait()
        finally:
            remove_hosts(wanted.hosts)


if __name__ == "__main__":
    sys.exit(main())
