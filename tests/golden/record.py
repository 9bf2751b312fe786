#!/usr/bin/env python3
"""Records the sessions of the Debian daemons anew: `record.py [DAEMON[-CASE]]...`, as root; all unless named.

Each recording is tests/golden/DAEMON-CASE.json; README.md beside this file says what stands in it. `expect`
is what tshark reads in the bytes, and is refused here when that is not what the daemon was told to announce.
"""

import asyncio
import sys
import tempfile
from pathlib import Path

import golden_tshark
from golden_daemons import DAEMONS, FEEDERS, LATER, OWN4, OWN6, PEER4, PEER6, Case, Daemon
from golden_net import Lab
from golden_peer import FULL, PLAIN, RawPeer, open_message, update, withdrawal

HERE = Path(__file__).parent
REASON = "planned work"
FED = ("192.168.30.1/32", "192.168.30.2/32")  # what the feeders announce; the second one withdraws the first
CASES = (
    Case(
        "ibgp",
        "in the same AS, towards a peer that knows families and AS4 only, shut down with a reason",
        64512,
        capabilities=PLAIN,
        reason=REASON,
    ),
    Case(
        "ibgp-full",
        "in the same AS, towards a peer that offers everything (ADD-PATH, graceful restart, extended"
        " messages, ...), shut down with a reason",
        64512,
        capabilities=FULL,
        reason=REASON,
    ),
    Case(
        "ibgp-addpath",
        "as a reflector that sends the paths of two clients over ADD-PATH, ended by SIGTERM",
        64512,
        capabilities=FULL,
        feeders=True,
    ),
    Case(
        "ibgp-over-ipv6",
        "in the same AS, the TCP session over IPv6, ended by SIGTERM",
        64512,
        capabilities=PLAIN,
        over_ipv6=True,
    ),
    Case(
        "ebgp",
        "in another AS, with a hold time of 9 s, so that several KEEPALIVEs are among the bytes, ended by SIGTERM",
        65010,
        hold_time=9,
        capabilities=PLAIN,
    ),
    Case(
        "ebgp-as4",
        "in an AS above 65535, towards a peer that offers everything, shut down with a reason",
        4200000010,
        capabilities=FULL,
        reason=REASON,
    ),
)


# GoBGP 3.10 and OpenBGPD 7.7 do not know extended messages, and BIRD puts at most 256 prefixes into one.
EXTENDED = Case(
    "ibgp-extended",
    "in the same AS, extended messages agreed: 1000 prefixes in one UPDATE",
    64512,
    capabilities=FULL,
    many=1000,
    reason=REASON,
)


async def record(daemon: Daemon, peer_namespace: str) -> bytes:
    """One whole session; returns what the daemon sent."""
    case = daemon.case
    daemon.start()
    feeders = [RawPeer(open_message(case.asn, 90, address, PLAIN)) for address in FEEDERS if case.feeders]
    for feeder, address in zip(feeders, FEEDERS, strict=False):
        await feeder.dial(daemon.lab, peer_namespace, address, OWN4)
        await feeder.established()
        feeder.send(b"".join(update(prefix, address) for prefix in FED))
    peer = RawPeer(open_message(case.peer_asn, case.hold_time, PEER4, case.capabilities))
    await peer.dial(daemon.lab, peer_namespace, case.peer, case.own)
    await peer.established()
    await peer.quiet(4 if case.hold_time > 9 else 7)
    for prefix in LATER:
        await peer.after(daemon.announce, prefix)
    for prefix in LATER:
        await peer.after(daemon.withdraw, prefix)
    for feeder in feeders[1:]:
        feeder.send(withdrawal(FED[0]))
        await peer.quiet(4)
    if case.reason:
        await peer.after(daemon.shutdown, case.reason)
    else:
        await peer.after(daemon.terminate)
        await asyncio.wait_for(peer.closed.wait(), 10)
    for each in (*feeders, peer):
        await each.end()
    return peer.stream


def check(expect: golden_tshark.Expect, case: Case) -> None:
    """ValueError when what was read is not what the daemon was told to say."""
    fed = FED if case.feeders else ()
    wanted = {"announce": {*case.first, *LATER, *fed}, "withdraw": {*LATER, *fed[:1]}}
    for key, prefixes in wanted.items():
        read = [one for message in expect["messages"] for one in message.get(key, ())]
        if {prefix for prefix, _ in read} != prefixes:
            raise ValueError(f"{case.name}: {key}: {read} instead of {sorted(prefixes)}")
        if any((path_id is not None) != case.feeders for _, path_id in read):
            raise ValueError(f"{case.name}: {key}: path identifiers without ADD-PATH, or none with it: {read}")


def make(kind: type[Daemon], case: Case) -> None:
    """Record one case of one daemon into its file."""
    with tempfile.TemporaryDirectory(prefix=f"golden-{kind.name}-") as name, Lab(Path(name)) as lab:
        inside = lab.namespace("daemon", f"{OWN4}/24", f"{OWN6}/64")
        outside = lab.namespace("peer", f"{PEER4}/24", f"{PEER6}/64", *(f"{one}/24" for one in FEEDERS))
        try:
            stream = asyncio.run(record(kind(lab, inside, case), outside))
        except BaseException:
            for log in sorted(lab.folder.glob("*.log")):
                print(f"--- {log.name}\n{log.read_text(errors='replace')[-3000:]}", file=sys.stderr)
            raise
    opening = open_message(case.peer_asn, case.hold_time, PEER4, case.capabilities)
    expect = golden_tshark.decode(opening, stream)
    check(expect, case)
    recording = {
        "what": f"{kind.name} {case.what}.",
        "daemon": f"{kind.name} {kind.version()}",
        "sent_open": opening.hex(),
        "stream": stream.hex(),
        "expect": expect,
    }
    (HERE / f"{kind.name}-{case.name}.json").write_text(golden_tshark.dump(recording))
    print(f"{kind.name}-{case.name}: {len(stream)} bytes, {len(expect['messages'])} messages", flush=True)


def main(wanted: list[str]) -> None:
    """Record what is named, or everything."""
    for kind in DAEMONS:
        for case in (*CASES, EXTENDED) if kind.name == "frr" else CASES:
            if not wanted or kind.name in wanted or f"{kind.name}-{case.name}" in wanted:
                make(kind, case)


if __name__ == "__main__":
    main(sys.argv[1:])
