"""Settings of a cluster, as the tests of the pure parts want them."""

from pathlib import Path
from tempfile import TemporaryDirectory

import yaml

from speaker.config import Settings, load


def settings(**more: object) -> Settings:
    """Listening on one address of each family; `nodes` and other keys as given."""
    tree = {
        "asn": 64512,
        "router_id": "192.0.2.10",
        "listen": {"addresses": ["192.168.3.10", "fd00:3::10"]},
        "routers": [{"address": "192.168.3.1", "name": "edge"}],
        "nodes": {"kubernetes": {}},
        **more,
    }
    with TemporaryDirectory() as folder:
        path = Path(folder) / "onepeer.yaml"
        path.write_text(yaml.safe_dump(tree))
        return load(path)
