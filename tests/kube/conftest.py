"""The API server that these tests share: started once, on loopback, with MetalLB's definitions."""

import asyncio
import inspect
import subprocess
from collections.abc import Iterator

import pytest

from tests.app.loop import pytest_pyfunc_call, runner
from tests.conftest import ROOT
from tests.kube.apiserver import ApiServer

__all__ = ["pytest_pyfunc_call", "runner"]


@pytest.fixture(scope="session")
def api_server() -> Iterator[ApiServer]:
    """A real one. Debian's etcd is installed where it is missing, which needs root."""
    done = subprocess.run([ROOT / "scripts/debian", "etcd-server"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"no etcd: {done.stdout}{done.stderr}")
    server = ApiServer().start()
    try:
        server.install_metallb()
        yield server
    finally:
        server.close()


@pytest.fixture
def server(api_server: ApiServer) -> ApiServer:
    """The same, without nodes, pools and peers, and with no rights for the user `onepeer`."""
    api_server.revoke()
    api_server.delete_nodes()
    for kind in ("v1beta1/{}/ipaddresspools", "v1beta1/{}/bgpadvertisements", "v1beta2/{}/bgppeers"):
        api_server.delete("/apis/metallb.io/" + kind.format("namespaces/metallb-system"))
    return api_server


@pytest.fixture(autouse=True)
def _loop(request: pytest.FixtureRequest, runner: asyncio.Runner) -> Iterator[None]:
    """Tests here are coroutines. A TLS connection that was closed needs some turns of the loop to be so."""
    yield
    if inspect.iscoroutinefunction(request.function):
        runner.run(asyncio.sleep(0.1))
