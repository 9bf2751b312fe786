"""A reflector against a real API server: it is killed, frozen, made to forget, and spoken for by a proxy."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from speaker.cluster.kube import client, mirror
from speaker.cluster.kube.client import Api, ApiError, Resource, Why
from tests.kube.apiserver import NOBODY, ApiServer
from tests.kube.proxy import Fault, Proxy
from tests.kube.watcher import NODES, until, watching


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The same rules with shorter times."""
    for name, value in {"WATCH_LEAST": 2, "WATCH_MORE": 0, "GRACE": 1.0, "LIST_SECONDS": 5.0, "PAUSE_MOST": 1.0,
                        "RELIST_FIRST": 0.5, "PAUSE_FIRST": 0.2}.items():  # fmt: skip
        monkeypatch.setattr(mirror, name, value)
    return


async def test_the_listing_is_whole_and_then_each_change_is_seen(server: ApiServer) -> None:
    for number in range(120):
        server.put_node(f"n{number:03}", f"10.0.0.{number + 1}")
    async with watching(server.kubeconfig()) as seen:
        await until(lambda: seen.mirror.whole, 20, "the listing")
        assert seen.told == 1  # three pages are one listing
        assert len(seen.names) == 120
        await asyncio.to_thread(server.put_node, "late", "10.0.1.1")
        print(f"a new Node was seen {await until(lambda: 'late' in seen.names, 5, 'it is seen'):.3f} s after its PUT")
        await asyncio.to_thread(server.delete, "/api/v1/nodes/n000")
        await until(lambda: "n000" not in seen.names, 5, "it is gone")


async def test_heartbeats_are_not_told(server: ApiServer) -> None:
    server.put_node("a", "10.0.0.1")
    async with watching(server.kubeconfig()) as seen:
        await until(lambda: seen.mirror.whole, 20, "the listing")
        for _ in range(20):
            await asyncio.to_thread(server.put_node, "a", "10.0.0.1", labels={"turn": str(_)})
        await asyncio.to_thread(server.put_node, "b", "10.0.0.2")
        await until(lambda: "b" in seen.names, 5, "it is seen")
        assert seen.told <= 3  # b is made in two steps


async def test_the_server_ends_the_watch_and_it_goes_on(server: ApiServer, hasty: None) -> None:
    """Four ends, a write in each watch and between them: none is lost, none is told twice, nothing is listed anew."""
    async with watching(server.kubeconfig()) as seen:
        await until(lambda: seen.mirror.whole, 20, "the listing")
        for number in range(20):
            await asyncio.to_thread(server.put_node, f"n{number:02}", f"10.0.0.{number + 1}")
            await asyncio.sleep(0.4)
        await until(lambda: len(seen.names) == 20, 5, "all are seen")
        assert seen.mirror.listings == 1
        assert seen.trouble == ""
        assert [len(names) for names in seen.seen] == sorted(len(names) for names in seen.seen)


async def test_a_killed_api_server_changes_nothing_and_is_found_again(server: ApiServer) -> None:
    server.put_node("a", "10.0.0.1")
    async with watching(server.kubeconfig()) as seen:
        await until(lambda: seen.mirror.whole, 20, "the listing")
        await asyncio.to_thread(server.kill_api)
        try:
            took = await until(lambda: seen.trouble == "unreachable", 10, "trouble is told")
            assert seen.names == ("a",)
        finally:
            await asyncio.to_thread(server.start_api)
        back = await until(lambda: not seen.trouble, 12, "trouble is over")
        await asyncio.to_thread(server.put_node, "b", "10.0.0.2")
        await until(lambda: seen.names == ("a", "b"), 5, "the next write is seen")
        print(f"killed: told after {took:.1f} s, over {back:.1f} s after the API server was ready")


async def test_what_it_missed_while_the_api_was_away_comes_by_a_new_listing(server: ApiServer) -> None:
    """etcd is written to and compacted meanwhile, so that the old resourceVersion is answered with 410."""
    for name, address in (("a", "10.0.0.1"), ("b", "10.0.0.2")):
        server.put_node(name, address)
    async with watching(server.kubeconfig()) as seen:
        await until(lambda: seen.mirror.whole, 20, "the listing")
        await asyncio.to_thread(server.kill_api)
        server.delete_behind_its_back("b")
        server.compact()
        assert seen.names == ("a", "b")
        await asyncio.to_thread(server.start_api)
        await until(lambda: seen.names == ("a",), 12, "the Node that went is gone")
        await until(lambda: not seen.trouble, 12, "trouble is over")
        assert seen.mirror.listings == 2


async def test_a_frozen_api_server_is_told_by_its_silence(server: ApiServer, hasty: None) -> None:
    """SIGSTOP: the kernel goes on acknowledging TCP, so only a deadline tells."""
    server.put_node("a", "10.0.0.1")
    async with watching(server.kubeconfig()) as seen:
        await until(lambda: seen.mirror.whole, 20, "the listing")
        server.freeze()
        try:
            took = await until(lambda: seen.trouble in ("silent", "unreachable"), 20, "silence is told")
        finally:
            server.thaw()
        back = await until(lambda: not seen.trouble, 10, "trouble is over")
        await asyncio.to_thread(server.put_node, "b", "10.0.0.2")
        await until(lambda: seen.names == ("a", "b"), 5, "the next write is seen")
        print(f"frozen: told after {took:.1f} s, over {back:.1f} s after it went on")


@pytest.mark.parametrize(
    ("fault", "trouble"),
    [
        (Fault.GARBAGE, "nonsense"),
        (Fault.HTML, "nonsense"),
        (Fault.CUT, ""),
        (Fault.ERROR, "failed"),
        (Fault.BUSY, "busy"),
        (Fault.SILENT, "silent"),
        (Fault.CLOSE, ""),
        (Fault.GONE, ""),
    ],
    ids=lambda value: value.name if isinstance(value, Fault) else "",
)
async def test_whatever_the_way_there_does_the_nodes_stay(
    server: ApiServer, hasty: None, fault: Fault, trouble: str
) -> None:
    """Nothing is lost from what is known, it is not asked in a loop, and the end of it is noticed."""
    server.put_node("a", "10.0.0.1")
    async with Proxy(server) as proxy, watching(server.kubeconfig(port=proxy.port)) as seen:
        await until(lambda: seen.mirror.whole, 20, "the listing")
        proxy.set(fault)
        proxy.asked.clear()
        if trouble:
            await until(lambda: seen.trouble == trouble, 15, f"{trouble} is told")
        await asyncio.sleep(2)
        assert seen.names == ("a",)
        assert len(proxy.asked) < 20
        proxy.set(Fault.NONE)
        await asyncio.to_thread(server.put_node, "b", "10.0.0.2")
        await until(lambda: seen.names == ("a", "b") and not seen.trouble, 10, "all is well again")


async def test_a_slow_listing_is_waited_for(server: ApiServer) -> None:
    for number in range(8):
        server.put_node(f"n{number}", f"10.0.0.{number + 1}")
    async with Proxy(server) as proxy:
        proxy.fault = Fault.SLOW
        async with watching(server.kubeconfig(port=proxy.port)) as seen:
            await until(lambda: seen.mirror.whole, 25, "the listing")
            assert len(seen.names) == 8


async def test_the_same_garbage_again_and_again_is_stepped_over(server: ApiServer, hasty: None) -> None:
    server.put_node("a", "10.0.0.1")
    async with Proxy(server) as proxy, watching(server.kubeconfig(port=proxy.port)) as seen:
        await until(lambda: seen.mirror.whole, 20, "the listing")
        proxy.set(Fault.GARBAGE)
        await asyncio.to_thread(server.put_node, "b", "10.0.0.2")
        await until(lambda: seen.names == ("a", "b"), 20, "a listing shows what the watch cannot")


# ---- one request


async def error_of(api: Api, resource: Resource = NODES) -> ApiError:
    try:
        with pytest.raises(ApiError) as raised:
            await api.get(resource.path(), [], 5)
    finally:
        await api.close()
    return raised.value


async def test_a_missing_role_is_named_with_the_way_out(server: ApiServer) -> None:
    error = await error_of(Api(server.kubeconfig(NOBODY)))
    assert error.why is Why.FORBIDDEN
    assert 'User "nobody" cannot list resource "nodes"' in str(error)
    assert "deploy/" in error.way_out


async def test_a_wrong_token_a_missing_kind_and_a_missing_server_are_told_apart(server: ApiServer) -> None:
    assert (await error_of(Api(server.kubeconfig("wrong")))).why is Why.UNAUTHORIZED
    kind = Resource("metallb.io", "v1beta1", "nothings", "metallb-system")
    error = await error_of(Api(server.kubeconfig()), kind)
    assert error.why is Why.NOT_FOUND
    assert str(error).startswith("nothings.metallb.io in metallb-system: the API server says 404")
    assert (await error_of(Api(server.kubeconfig(port=1)))).why is Why.UNREACHABLE


async def test_a_server_that_our_ca_did_not_sign_is_not_asked(server: ApiServer, tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(
        server.kubeconfig().read_text().replace(str(server.certificate), "/etc/ssl/certs/ca-certificates.crt")
    )
    assert (await error_of(Api(path))).why is Why.UNTRUSTED


@pytest.mark.parametrize("content", ["", "nonsense: [", "{}", "clusters: 3", '{"current-context": "x"}'])
async def test_a_kubeconfig_that_is_none_is_told(tmp_path: Path, content: str) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(content)
    error = await error_of(Api(path))
    assert error.why is Why.CONFIGURATION
    assert "nodes.kubernetes.kubeconfig" in error.way_out


async def test_outside_a_pod_there_is_no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    error = await error_of(Api(None))
    assert error.why is Why.CONFIGURATION


async def test_a_replaced_token_is_taken_up_after_a_refusal(server: ApiServer) -> None:
    path = server.kubeconfig("wrong")
    api = Api(path)
    with pytest.raises(ApiError):
        await api.get(NODES.path(), [], 5)
    path.write_text(server.kubeconfig().read_text())
    try:
        assert (await api.get(NODES.path(), [], 5))["kind"] == "NodeList"
    finally:
        await api.close()


def test_each_exception_of_the_library_has_its_meaning() -> None:
    """A new one of theirs must not end a task of ours."""
    from kubernetes.aio.client import exceptions
    from kubernetes.aio.config import ConfigException

    named = [value for value in vars(exceptions).values() if isinstance(value, type) and issubclass(value, Exception)]
    for kind in (*named, ConfigException):
        with pytest.raises(ApiError), client._translated("/api/v1/nodes"):
            raise kind("said")
