"""A real Prometheus beside Onepeer, with the rules that deploy/ ships: what an operator's alerting would say."""

import json

import yaml

from tests.e2e.apiserver import ROOT
from tests.lab import Host, wait_until

RULES = ROOT / "deploy/prometheus/alerts.yaml"
URL = "http://127.0.0.1:9091"


class Prometheus:
    """Scrapes this host's Onepeer each second. The rules, and how often they are evaluated, are the shipped ones."""

    def __init__(self, host: Host, target: str) -> None:
        self._host = host
        self._folder = host.folder / "prometheus"
        self._folder.mkdir(exist_ok=True)
        settings = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
            "rule_files": [str(RULES)],
            "scrape_configs": [{"job_name": "onepeer", "static_configs": [{"targets": [target]}]}],
        }
        (self._folder / "prometheus.yml").write_text(yaml.safe_dump(settings))

    def start(self) -> None:
        """Returns when it answers."""
        files = (f"--config.file={self._folder}/prometheus.yml", f"--storage.tsdb.path={self._folder}/data")
        address = URL.removeprefix("http://")
        self.process = self._host.start("prometheus", *files, f"--web.listen-address={address}", log="prometheus.log")
        ready = ("curl", "-s", "-m", "2", f"{URL}/-/ready")
        wait_until(lambda: "Ready" in self._host.run(*ready, check=False), 20, "Prometheus answers", seen=self._said)

    def alerts(self) -> set[tuple[str, ...]]:
        """Those whose expression is true, `for` or not: name, node and reason, where they have such labels."""
        found = [one["labels"] for one in self._get("alerts")["alerts"]]
        return {tuple(one[key] for key in ("alertname", "node", "reason") if key in one) for one in found}

    def _get(self, what: str) -> dict[str, list[dict[str, dict[str, str]]]]:
        said = self._host.run("curl", "-s", "-m", "2", f"{URL}/api/v1/{what}", check=False)
        return json.loads(said)["data"] if said.startswith("{") else {"result": [], "alerts": []}

    def _said(self) -> str:
        return self.process.output()[-2000:]
