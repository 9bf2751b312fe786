"""Why is a path not where it should be? Each reason, and what to do next.

A reason is a fault, or it is not: a node that was taken out on purpose, or a Service that nobody could announce because
nothing runs behind it, is told and raises no alarm.
"""

from enum import StrEnum


class Reason(StrEnum):
    """`word, fault, next step`. The word is what `explain`, metrics, Events and the page print."""

    fault: bool
    next_step: str

    def __new__(cls, word: str, fault: bool, next_step: str) -> "Reason":
        """The member, a str that is its word."""
        member = str.__new__(cls, word)
        member._value_ = word
        member.fault, member.next_step = fault, next_step
        return member

    # ---- of a node
    SPEAKER_NOT_RUNNING = (
        "speaker-not-running", True,
        "No ready pod of MetalLB's speaker is on this node: kubectl get pods -o wide in MetalLB's namespace.",
    )  # fmt: skip
    FRR_NOT_RUNNING = (
        "frr-k8s-not-running", True,
        "The speaker runs, and no ready pod of frr-k8s, which dials for it, is on this node: kubectl get pods -o wide "
        "in MetalLB's namespace.",
    )  # fmt: skip
    NO_BGP_PEER = (
        "no-bgp-peer", True,
        "No BGPPeer for this node names our address and port: compare kubectl get bgppeers with onepeer check.",
    )  # fmt: skip
    WRONG_PORT = (
        "wrong-port", True,
        "It calls our address at another port, see the detail: correct peerPort in its BGPPeer, or our listen.port.",
    )  # fmt: skip
    NEVER_DIALED = (
        "never-dialed", True,
        "No call of its speaker comes: does it run; a firewall, or another source address? From the node: "
        "nc -vz to our address and port; in the log: stranger_refused.",
    )  # fmt: skip
    WRONG_PASSWORD = (
        "wrong-password", True,
        "The kernel drops calls for their TCP MD5 signature: compare nodes.password_file with the BGPPeer's "
        "passwordSecret.",
    )  # fmt: skip
    BLOCKED = (
        "blocked-here", True,
        "Its calls reach this host and get no further, or our answers do not get back: look for a firewall here "
        "(nft list ruleset), and on the node.",
    )  # fmt: skip
    REFUSED = "refused", True, "It dials, and gets no session; the detail says why."
    SESSION_LOST = "session-lost", True, "It had a session; the detail says how that ended, and its speaker's log why."
    SILENT = "node-silent", True, "It does not answer on its link: is the node, or its cable, down?"
    NOTHING_ANNOUNCED = (
        "announces-nothing", True,
        "Its session is up and empty, while its peers announce: look at the speaker's log on this node.",
    )  # fmt: skip
    NOT_READY = "node-not-ready", False, "Kubernetes says that the node is not ready: kubectl describe node."
    DRAINED = "drained", False, "It was drained on purpose: onepeer undrain brings it back."
    EXCLUDED = (
        "excluded", False,
        "Its label node.kubernetes.io/exclude-from-external-load-balancers keeps MetalLB from announcing from it. "
        "Where MetalLB has --ignore-exclude-lb and its pods do not show it, set nodes.kubernetes.ignore_exclude_lb.",
    )  # fmt: skip
    NOT_SELECTED = "not-selected", False, "nodes.kubernetes.selector leaves it out: change that, or the Node's labels."
    NO_OWN_ADDRESS = (
        "no-own-address", False,
        "It has no address that it could dial us from, or another Node has it: onepeer status says which.",
    )  # fmt: skip
    NO_NETWORK = (
        "network-unavailable", False,
        "Kubernetes says that its network is unavailable, so MetalLB announces nothing from it: kubectl describe "
        "node.",
    )  # fmt: skip
    NOT_MEANT = (
        "left-out-by-metallb", False,
        "The nodeSelectors of all BGPAdvertisements to us leave it out: change those, or the Node's labels.",
    )  # fmt: skip
    # ---- of a path
    NOT_ANNOUNCED = (
        "not-announced", True,
        "The node announces others, not this: look at the speaker's log on this node for the Service.",
    )  # fmt: skip
    OUTSIDE = (
        "prefix-not-allowed", True,
        "It is announced, and outside the pools that we know and guard.prefixes: add it there.",
    )  # fmt: skip
    NEXT_HOP = (
        "next-hop-not-own", True,
        "It is announced with a next hop that is no address of the node: annotate the Node, or add it to the roster.",
    )  # fmt: skip
    KEPT_OUT = "refused-by-guard", True, "It is announced, and kept out; the detail says why."
    # ---- of a service
    NO_ADDRESS = "no-address", False, "MetalLB has given it no address: kubectl describe service."
    NO_ENDPOINTS = "no-endpoints", False, "It has no pod that can serve: kubectl get endpointslices."
    NO_LOCAL_ENDPOINTS = (
        "no-local-endpoints", True,
        "externalTrafficPolicy is Local, and its pods are on nodes that may not announce: compare kubectl get "
        "endpointslices with the nodeSelectors of the BGPAdvertisement, and the Nodes' labels.",
    )  # fmt: skip
    NO_POOL = "not-in-a-pool", False, "Its address is in no IPAddressPool: it is not MetalLB's, or the pool has shrunk."
    NO_ADVERTISEMENT = (
        "no-advertisement", True,
        "No BGPAdvertisement takes its pool to anybody: make one, or correct its `peers`. Where MetalLB announces the "
        "pool on layer 2, name it in nodes.kubernetes.other_pools.",
    )  # fmt: skip
    ELSEWHERE = (
        "announced-elsewhere", False,
        "Its pool is in nodes.kubernetes.other_pools, or the `peers` of its BGPAdvertisements are other BGPPeers than "
        "ours.",
    )  # fmt: skip
    NOT_CHOSEN = (
        "service-not-selected", False,
        "The serviceSelectors of the BGPAdvertisements to us leave it out: change those, or the Service's labels.",
    )  # fmt: skip
    NO_NODE = "no-node", True, "No node may announce it: look at the nodeSelectors of its BGPAdvertisement."
    OTHER_CLASS = (
        "other-class", False,
        "Its loadBalancerClass is another implementation's. Where MetalLB has it as --lb-class and its pods do not "
        "show that, set nodes.kubernetes.load_balancer_class.",
    )  # fmt: skip
    # ---- of a router
    ROUTER_DOWN = "router-session-down", True, "The router gets nothing: onepeer status says why."


BY_GUARD = {"prefix-not-allowed": Reason.OUTSIDE, "next-hop-not-own": Reason.NEXT_HOP, "node-silent": Reason.SILENT}
"""What the guard (rib/guard.py) calls it."""
