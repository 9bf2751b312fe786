"""Does the cluster let Onepeer work, and does MetalLB dial it? Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from speaker.cluster.kube.bgppeers import Apply, PeerFacts, PeerKeeper, wanted_peers
from speaker.config import Settings
from speaker.doctor.facts import ClusterFacts, Facts
from speaker.doctor.findings import Finding, ok, problem, warning


def cluster(facts: Facts) -> Iterator[Finding]:
    """The API server, its definitions, our rights there, MetalLB's peers."""
    said = facts.cluster
    if said is None:
        return
    if said.unreachable is not None:
        way_out = "run it in Onepeer's pod, or see nodes.kubernetes.kubeconfig; Onepeer itself keeps its last roster"
        yield problem("the API server does not answer as it should", said.unreachable, way_out)
        return
    yield ok("the API server answers")
    for kind in said.missing:
        why = f"the API server does not know {kind}"
        yield problem("MetalLB's definitions are not all there", why, "install MetalLB 0.13 or later")
    for right in said.denied:
        where = f" in {right.namespace}" if right.namespace else ""
        kind = f"{right.resource}.{right.group}" if right.group else right.resource
        way_out = "kubectl apply -k deploy/overlays/replicas" if facts.settings.replicas else "kubectl apply -k deploy"
        yield problem(f"not allowed: {right.verb} {kind}{where}", f"it is for: {right.why}", way_out)
    if not said.denied:
        yield ok("RBAC: every verb that these settings need is allowed")
    if said.peers is not None:
        yield from _peers(facts.settings, said, said.peers)


def _peers(settings: Settings, said: ClusterFacts, present: Mapping[str, PeerFacts]) -> Iterator[Finding]:
    assert settings.nodes.kubernetes is not None
    manage = settings.nodes.kubernetes.bgp_peers.manage
    keeper = PeerKeeper(settings, said.replica, 0.0)
    steps = [step for step in keeper.decide(present, None, (), 0.0) if isinstance(step, Apply)]
    foreign = set(keeper.foreign(present))
    for step in steps:
        if manage:
            way_out = "a running Onepeer puts it right within seconds, or its log says why not (cluster_refused)"
            yield warning(f"BGPPeer {step.name} is not as it should be", step.why, way_out)
        else:
            why = f"{step.why}, and nodes.kubernetes.bgp_peers.manage is false"
            yield problem(f"BGPPeer {step.name} is not as it should be", why, "onepeer check prints it: kubectl apply")
    for name in sorted(foreign):
        yield _foreign(settings, present[name])
    changed = {step.name for step in steps} | foreign
    for body in wanted_peers(settings):
        name = str(body["metadata"]["name"])
        if name in present and name not in changed:
            yield ok(f"BGPPeer {name} is as it should be")


def _foreign(settings: Settings, peer: PeerFacts) -> Finding:
    wanted = {"peerASN": settings.asn, "myASN": settings.nodes.asn}
    wrong = [f"{key} is {peer.spec.get(key)}, not {asn}" for key, asn in wanted.items() if peer.spec.get(key) != asn]
    if wrong:
        way_out = "it was not made by Onepeer, so Onepeer leaves it: correct it, or delete it for Onepeer's own"
        return problem(f"BGPPeer {peer.name} brings no session up", "; ".join(wrong), way_out)
    return ok(f"BGPPeer {peer.name} was not made by Onepeer, which leaves it alone; nodes dial us by it")
