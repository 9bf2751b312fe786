"""Asking the servers as their clients do."""

from pathlib import Path

import aiohttp


async def get(url: str, socket: Path | None = None, **headers: str) -> tuple[int, str, str]:
    """Status, content type and body of a GET, over TCP or a Unix socket."""
    connector = aiohttp.UnixConnector(str(socket)) if socket else aiohttp.TCPConnector()
    timeout = aiohttp.ClientTimeout(total=10)
    async with (
        aiohttp.ClientSession(connector=connector, timeout=timeout) as client,
        client.get(url, headers=headers) as response,
    ):
        return response.status, response.headers["Content-Type"], await response.text()
