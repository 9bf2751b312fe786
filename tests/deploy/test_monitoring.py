"""deploy/prometheus and deploy/grafana work with Prometheus as Debian has it, and ask for nothing that is not there."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from speaker.audit.reasons import Reason
from speaker.serve.metrics import ROWS, Scrape, exposition
from tests.conftest import ROOT
from tests.serve.example import Example, busy

DEPLOY = Path(__file__).parents[2] / "deploy"
ALERTS, ALERTS_TEST = DEPLOY / "prometheus/alerts.yaml", DEPLOY / "prometheus/alerts_test.yaml"
RULES = yaml.safe_load(ALERTS.read_text())["groups"][0]["rules"]
DASHBOARD: dict[str, Any] = json.loads((DEPLOY / "grafana/onepeer.json").read_text())

#: What prometheus_client says of the process itself.
OF_THE_PROCESS = {"process_cpu_seconds_total", "process_resident_memory_bytes"}


@pytest.fixture(scope="module")
def prometheus() -> None:
    """Debian's Prometheus is installed, with its promtool."""
    done = subprocess.run([ROOT / "scripts/debian", "prometheus"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"scripts/debian prometheus: {done.stdout}{done.stderr}"


def promtool(*words: str, given: bytes = b"") -> None:
    """Run it; what it complains about fails the test."""
    done = subprocess.run(["promtool", *words], input=given, capture_output=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr).decode()


def metrics_in(expression: str) -> set[str]:
    """The names of metrics in an expression."""
    return set(re.findall(r"\b(?:onepeer|process)_[a-z_]+", expression))


def known() -> set[str]:
    return {row.name for row in ROWS} | OF_THE_PROCESS


# ---- metrics and alerts


def test_the_metrics_are_named_as_prometheus_asks(prometheus: None) -> None:
    """By its own linter, every metric with a sample."""
    source = Example(counted=busy())
    text, _ = exposition(Scrape(source.status(), source.nodes(), source.audit(), source.counters(), True))
    missing = {row.name for row in ROWS} - {line.split()[2].decode() for line in text.splitlines() if b"# TYPE" in line}
    assert not missing
    promtool("check", "metrics", given=text)


def test_every_alert_fires_when_it_should_and_not_otherwise(prometheus: None) -> None:
    """By promtool's unit tests, and none is without one in which it fires."""
    promtool("check", "rules", str(ALERTS))
    promtool("test", "rules", str(ALERTS_TEST))
    asked = [
        one for test in yaml.safe_load(ALERTS_TEST.read_text())["tests"] for one in test.get("alert_rule_test", [])
    ]
    assert {one["alertname"] for one in asked if one["exp_alerts"]} == {rule["alert"] for rule in RULES}


def test_alerts_ask_for_metrics_that_there_are() -> None:
    """And each says what is wrong and where to look."""
    for rule in RULES:
        assert metrics_in(rule["expr"]) <= known(), rule["alert"]
        assert rule["annotations"].keys() == {"summary", "description"}
        assert rule["labels"]["severity"] in ("critical", "warning")


def test_each_reason_that_is_a_fault_raises_an_alert_and_no_other_does() -> None:
    """By the two rules that have reasons as labels, and one for routers."""
    missing = next(r for r in RULES if r["alert"] == "OnepeerAddressesMissing")["expr"]
    nobody = next(r for r in RULES if r["alert"] == "OnepeerServiceUnannounced")["expr"]
    (excused,) = re.findall(r'reason!~"([^"]+)"', missing)
    (faults,) = re.findall(r'reason=~"([^"]+)"', nobody)
    of_services = {Reason.NO_ADVERTISEMENT, Reason.NO_NODE, Reason.NO_LOCAL_ENDPOINTS}
    assert set(faults.split("|")) == {str(reason) for reason in of_services}
    assert all(reason.fault for reason in of_services)
    assert not any(Reason(word).fault for word in excused.split("|"))
    others = {Reason.NO_ADDRESS, Reason.NO_ENDPOINTS, Reason.NO_POOL, Reason.ELSEWHERE}
    assert not any(reason.fault for reason in others | {Reason.NOT_CHOSEN, Reason.OTHER_CLASS})


def test_the_page_names_every_alert() -> None:
    """docs/metrics.md says what each means, instead of a copy."""
    page = (DEPLOY.parent / "docs/metrics.md").read_text()
    assert [rule["alert"] for rule in RULES] == re.findall(r"^\| `(Onepeer\w+)`", page, re.MULTILINE)


# ---- the dashboard


def expressions() -> Iterator[str]:
    for panel in DASHBOARD["panels"]:
        yield from (target["expr"] for target in panel["targets"])


def test_the_dashboard_can_be_imported() -> None:
    """It brings no identifier of the Grafana that it was made with, and asks which Prometheus to use."""
    assert DASHBOARD["id"] is None
    assert DASHBOARD["__inputs"] == []
    assert (DASHBOARD["uid"], DASHBOARD["title"]) == ("onepeer", "Onepeer")
    assert isinstance(DASHBOARD["schemaVersion"], int)
    variables = {one["name"]: one for one in DASHBOARD["templating"]["list"]}
    assert (variables["datasource"]["type"], variables["datasource"]["query"]) == ("datasource", "prometheus")
    asking = [*DASHBOARD["panels"], *(t for p in DASHBOARD["panels"] for t in p["targets"])]
    asking += [one for name, one in variables.items() if name != "datasource"]
    assert {json.dumps(one["datasource"], sort_keys=True) for one in asking} == {
        json.dumps({"type": "prometheus", "uid": "${datasource}"}, sort_keys=True)
    }
    used = set(re.findall(r"\$(\w+)", " ".join(expressions()))) - {"__rate_interval"}
    assert used <= variables.keys()
    required = {one["id"] for one in DASHBOARD["__requires"] if one["type"] == "panel"}
    assert required == {panel["type"] for panel in DASHBOARD["panels"]}


def test_its_panels_have_their_own_places() -> None:
    """Each within the 24 columns, none over another, each with a title and a sentence."""
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken
        assert max(x for x, _ in cells) < 24
        assert panel["title"]
        assert panel["description"].endswith(".")
        taken |= cells
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def test_prometheus_understands_each_expression_of_it(tmp_path: Path) -> None:
    """With Grafana's variables filled in; and it asks only for what there is."""
    rules = [
        {"record": f"one:{at}", "expr": re.sub(r"\$\w+", ".*", text.replace("$__rate_interval", "5m"))}
        for at, text in enumerate(expressions())
    ]
    (tmp_path / "rules.yaml").write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    promtool("check", "rules", "--lint=none", str(tmp_path / "rules.yaml"))
    assert len(rules) > 10
    assert all(metrics_in(text) and metrics_in(text) <= known() for text in expressions())
