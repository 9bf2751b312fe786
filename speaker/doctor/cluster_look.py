"""What does the API server say to us, as the user that Onepeer is?"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from speaker.cluster.kube.bgppeers import PeerFacts, peer_facts, peers_in
from speaker.cluster.kube.client import Api, ApiError, Resource, Why
from speaker.cluster.kube.secret import own_namespace
from speaker.cluster.kube.steward import replica_name
from speaker.config import Settings
from speaker.doctor.facts import ClusterFacts, Right
from speaker.doctor.rights import METALLB, review, rights

SECONDS: Final = 5.0
"""For one request."""

_REVIEWS: Final = Resource("authorization.k8s.io", "v1", "selfsubjectaccessreviews")


async def look_at_cluster(settings: Settings) -> ClusterFacts:
    """Never raises: what cannot be known is told."""
    assert settings.nodes.kubernetes is not None
    namespace = settings.nodes.kubernetes.metallb_namespace
    api = Api(settings.nodes.kubernetes.kubeconfig)
    wanted = rights(settings, own_namespace())
    try:
        first = await _allowed(api, wanted[0])  # one before the many: where nobody answers, one waits
        allowed = [first, *await asyncio.gather(*(_allowed(api, right) for right in wanted[1:]))]
        missing = [kind for kind in ("ipaddresspools", "bgpadvertisements") if await _unknown(api, kind, namespace)]
        peers = await _peers(api, peers_in(namespace), missing)
    except ApiError as error:
        return ClusterFacts(unreachable=str(error))
    finally:
        await api.close()
    denied: Sequence[Right] = [right for right, may in zip(wanted, allowed, strict=True) if not may]
    return ClusterFacts(denied=tuple(denied), peers=peers, missing=tuple(missing), replica=replica_name())


async def _allowed(api: Api, right: Right) -> bool:
    answer = await api.send("POST", _REVIEWS.path(), [], review(right), SECONDS)
    return bool(answer.get("status", {}).get("allowed"))


async def _unknown(api: Api, kind: str, namespace: str) -> bool:
    """Whether the API server does not know this kind of object."""
    try:
        await api.get(Resource(METALLB, "v1beta1", kind, namespace).path(), [("limit", "1")], SECONDS)
    except ApiError as error:
        if error.why in (Why.NOT_FOUND, Why.FORBIDDEN):
            return error.why is Why.NOT_FOUND
        raise
    return False


async def _peers(api: Api, resource: Resource, missing: list[str]) -> dict[str, PeerFacts] | None:
    """By name; None where they are not ours to list, or not known, which goes to `missing`."""
    try:
        answer = await api.get(resource.path(), [], SECONDS)
    except ApiError as error:
        if error.why is Why.NOT_FOUND:
            missing.append(resource.plural)
        if error.why in (Why.NOT_FOUND, Why.FORBIDDEN):
            return None
        raise
    return {facts.name: facts for facts in map(peer_facts, answer.get("items") or ())}
