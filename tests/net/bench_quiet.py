"""What does a router's host hear of a process that is killed while both ends send?

`python -m tests.net.bench_quiet [KILLS]` counts the FIN and RST of the connection that reach the router's link, for so
many kills with the rule of nf_tables and as many without.
"""

import os
import random
import select
import signal
import socket
import sys
import time
from ipaddress import ip_address

from speaker.net.orphans import bury
from speaker.net.quiet import keep_quiet, speak_again
from tests.lab import Host, Lab

HERE, THERE = ip_address("192.168.3.10"), ip_address("192.168.3.1")
KEEPALIVE = b"\xff" * 16 + b"\0\x13\4"
BEFORE, AFTER = (0.02, 0.06), 0.2
"""Seconds of traffic before the kill, and after."""

_IP, _OUTGOING, _RCVBUFFORCE, _FIN_OR_RST = 0x0800, 4, 33, 0x05


def talk(sock: socket.socket) -> None:
    """Be the process that is killed: always writing, and never reading all."""
    while True:
        sock.send(KEEPALIVE * 50)
        time.sleep(0.0005)


def one(ours: Host, router: Host, port: int, quiet: bool) -> tuple[int, bool]:
    """FIN and RST that came, and whether the router's end was closed."""
    with router.socket() as listening, ours.socket() as mine:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((str(THERE), 179))
        listening.listen()
        mine.bind((str(HERE), port))
        mine.connect((str(THERE), 179))
        peer, _ = listening.accept()
        if quiet:
            ours.inside(keep_quiet, (HERE, port), (THERE, 179))
        pid = os.fork()
        if not pid:
            listening.close()
            peer.close()
            talk(mine)
    capture = router.inside(socket.socket, socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_IP))
    capture.setsockopt(socket.SOL_SOCKET, _RCVBUFFORCE, 8 << 20)
    kill_at = time.monotonic() + random.uniform(*BEFORE)
    end, killed, heard, closed = kill_at + AFTER, False, 0, False
    with capture, peer:
        while (now := time.monotonic()) < end:
            if not killed and now >= kill_at:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                killed = True
            ready, _, _ = select.select([capture] if closed else [capture, peer], [], [], 0.001)
            if capture in ready:
                packet, sender = capture.recvfrom(2048)
                # Of this connection: what the router's end of the one before says last is answered with a RST.
                tcp = sender[2] != _OUTGOING and packet[9] == socket.IPPROTO_TCP
                heard += tcp and packet[20:22] == port.to_bytes(2) and bool(packet[33] & _FIN_OR_RST)
            try:
                if not closed:
                    closed = peer in ready and peer.recv(1 << 16) == b""
                    peer.send(KEEPALIVE, socket.MSG_DONTWAIT)
            except BlockingIOError:
                pass
            except ConnectionError:
                closed = True
        capture.close()
        ours.inside(bury, [HERE])
    ours.inside(speak_again, HERE)
    return heard, closed


def main(kills: int) -> None:
    with Lab() as lab:
        ours, router = lab.host("ours", f"{HERE}/24"), lab.host("router", f"{THERE}/24")
        for quiet in (True, False):
            runs = [one(ours, router, 20000 + 1000 * quiet + at, quiet) for at in range(kills)]
            told, ended = sum(heard for heard, _ in runs), sum(closed for _, closed in runs)
            name = "with the rule" if quiet else "without"
            print(f"{name}: {kills} kills, {told} FIN or RST at the router, {ended} connections ended")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 50)
