"""What BFD with many nodes costs: `python -m tests.bfd.bench [NODES] [MS]`, in shares of a core.

The nodes are one process in a namespace of its own that sends for all of them, each every MS milliseconds.
"""

import asyncio
import os
import resource
import socket
import sys
import time
from collections import Counter
from ipaddress import IPv4Address

from speaker.bfd.packet import Control, State, pack, parse
from speaker.host.bfd import PORT, Bfd
from tests.lab import Lab

OURS = IPv4Address("10.1.0.1")
FIRST = IPv4Address("10.1.1.0")
SECONDS = 10.0
TURN = 0.01


def nodes(count: int, pause: float) -> None:
    """Be so many nodes, until killed."""
    addresses = [FIRST + at for at in range(count)]
    senders = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in addresses]
    for address, sender in zip(addresses, senders, strict=True):
        sender.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 255)
        sender.bind((str(address), 49152))
        sender.connect((str(OURS), PORT))
    listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listener.bind(("", PORT))
    listener.setblocking(False)
    discriminators: dict[int, int] = {}
    due, turn = [time.monotonic() + pause * at / count for at in range(count)], 0.0
    while True:
        time.sleep(TURN)
        for _ in range(count):
            try:
                control = parse(listener.recv(64))
            except BlockingIOError:
                break
            assert isinstance(control, Control)
            discriminators[control.yours] = control.mine
        turn = time.monotonic()
        for at, (address, sender) in enumerate(zip(addresses, senders, strict=True)):
            if turn >= due[at]:
                due[at] += pause
                yours = discriminators.get(int(address), 0)
                state, interval = State.UP if yours else State.DOWN, round(pause * 1e6)
                sender.send(pack(Control(state, int(address), yours, 3, interval, interval)))


async def measure(count: int, pause: float) -> None:
    """Run Onepeer's end of it, and say what it took."""
    said: Counter[str] = Counter()
    up = asyncio.Event()

    def told(what: object) -> None:
        said[str(what)] += 1
        if said["Up"] == count:
            up.set()

    end = Bfd([OURS], pause, lambda change: told(change.state), told)
    end.watch(FIRST + at for at in range(count))
    task = asyncio.create_task(end.run())
    await up.wait()
    said.clear()
    began, used = time.monotonic(), time.process_time()
    await asyncio.sleep(SECONDS)
    share = (time.process_time() - used) / (time.monotonic() - began)
    task.cancel()
    end.close()
    print(
        f"{count} nodes, a packet in {1e3 * pause:g} ms: {100 * share:.1f} % of a core; changes: {dict(said) or 'none'}"
    )


def main() -> None:
    """See the module."""
    count, milliseconds = int((sys.argv[1:] or ["1000"])[0]), float((sys.argv[2:] or ["300"])[0])
    resource.setrlimit(resource.RLIMIT_NOFILE, (8192, 8192))
    if os.environ.get("ONEPEER_BENCH_NODES"):
        nodes(count, milliseconds / 1e3)
    with Lab() as lab:
        onepeer, others = lab.host("onepeer", f"{OURS}/16"), lab.host("nodes", "10.1.0.2/16")
        others.ip(*(f"addr add {FIRST + at}/16 dev eth0" for at in range(count)))
        command = (sys.executable, "-m", "tests.bfd.bench", *sys.argv[1:])
        others.start(*command, log="nodes.log", env={"ONEPEER_BENCH_NODES": "1"})
        onepeer.inside(asyncio.run, measure(count, milliseconds / 1e3))


if __name__ == "__main__":
    main()
