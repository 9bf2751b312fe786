"""Candidates on a real API server: who leads, and what becomes of it when the server is away."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from speaker.cluster.kube.candidate import Candidate
from speaker.cluster.kube.client import Api
from speaker.cluster.kube.lease import Lease
from speaker.cluster.kube.secret import shared_key
from tests.app.stage import until
from tests.kube.apiserver import ApiServer

NAMESPACE = "default"


@asynccontextmanager
async def candidates(server: ApiServer, name: str, *names: str) -> AsyncIterator[list[Lease]]:
    """At work on one Lease of that name, which is not there yet."""
    api = Api(server.kubeconfig())
    made = [Lease(api, NAMESPACE, name, Candidate(one, f"{one}:1791", 4.0), lambda: None, lambda: 0.0) for one in names]
    tasks = [asyncio.create_task(lease.run()) for lease in made]
    try:
        yield made
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await api.close()


def leaders(leases: list[Lease]) -> list[str]:
    now = asyncio.get_running_loop().time()
    return [lease.candidate.name for lease in leases if lease.candidate.leads(now)]


async def test_one_leads_and_hands_the_lease_to_another(server: ApiServer) -> None:
    async with candidates(server, "onepeer-one", "a", "b", "c") as leases:
        await until(lambda: leaders(leases), "somebody leads")
        (first,) = leaders(leases)
        giver = next(lease for lease in leases if lease.candidate.name == first)
        heir = next(lease for lease in leases if lease.candidate.name != first)
        assert await giver.give(heir.candidate.name)
        assert leaders(leases) == []
        heir.look()
        await until(lambda: leaders(leases) == [heir.candidate.name], "the other has it")
        path = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/onepeer-one"
        found = await asyncio.to_thread(server.request, "GET", path)
        assert found["spec"]["holderIdentity"] == heir.candidate.name
        assert found["metadata"]["annotations"]["onepeer.io/channel"] == f"{heir.candidate.name}:1791"


async def test_with_the_api_server_away_nobody_leads_and_the_last_one_holds_on(server: ApiServer) -> None:
    clock = asyncio.get_running_loop().time
    async with candidates(server, "onepeer-two", "a", "b") as leases:
        await until(lambda: leaders(leases), "somebody leads")
        (first,) = leaders(leases)
        await asyncio.to_thread(server.kill_api)
        try:
            await until(lambda: not leaders(leases), "its time is over", 10)
            assert [one.candidate.name for one in leases if one.candidate.holds_on(clock())] == [first]
            assert all(one.trouble is not None for one in leases)
        finally:
            await asyncio.to_thread(server.start_api)
        await until(lambda: leaders(leases) == [first], "it leads again", 15)


async def test_replicas_that_start_together_share_one_key(server: ApiServer) -> None:
    apis = [Api(server.kubeconfig()) for _ in range(3)]
    keys = await asyncio.gather(*(shared_key(api, NAMESPACE) for api in apis))
    assert len(set(keys)) == 1
    assert len(keys[0]) == 32
    for api in apis:
        await api.close()
