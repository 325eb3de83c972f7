"""deploy/prometheus and deploy/grafana: rules that fire, expressions that parse, and no metric that does not exist."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.servers import ROOT

PROMETHEUS = ROOT / "deploy" / "prometheus"
RULES = PROMETHEUS / "rainbow.rules.yml"
TESTS_OF_RULES = PROMETHEUS / "rainbow.rules.test.yml"
DASHBOARD = json.loads((ROOT / "deploy" / "grafana" / "rainbow.json").read_text())
NAME = re.compile(r"\b(?:rainbow|process)_[a-z_]+\b")
# Grafana's variables, and what Grafana puts in their place.
VARIABLES = {"$__rate_interval": "5m", "$cluster": ".*", "$server": ".*"}

needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="needs promtool: apt-get install prometheus"
)


def alerts() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    return [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def expressions_of(panel: dict[str, Any]) -> Iterator[str]:
    for target in panel["targets"]:
        expression = target["expr"]
        for variable, value in VARIABLES.items():
            expression = expression.replace(variable, value)
        yield expression


def metrics_in(expression: str) -> set[str]:
    """The names of metrics, without those of the series that a histogram has."""
    plain = re.sub(r'"[^"]*"', "", expression)
    return {re.sub(r"_(bucket|sum|count)$", "", name) for name in NAME.findall(plain)}


def documented() -> set[str]:
    return set(re.findall(r"`((?:rainbow|process)_[a-z_]+)`", (ROOT / "docs" / "metrics.md").read_text()))


def promtool(*words: str | Path) -> None:
    done = subprocess.run(["promtool", *words], capture_output=True, text=True, timeout=300, cwd=PROMETHEUS)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_the_rules_fire_where_they_have_to_and_nowhere_else() -> None:
    promtool("check", "rules", RULES)
    promtool("test", "rules", TESTS_OF_RULES)


@needs_promtool
def test_the_sample_is_a_valid_configuration() -> None:
    promtool("check", "config", "--syntax-only", "prometheus.yml")


@needs_promtool
def test_the_sample_for_kubernetes_is_a_valid_configuration(tmp_path: Path) -> None:
    """But for how pods are found, of which Debian's promtool knows nothing."""
    sample = yaml.safe_load((PROMETHEUS / "kubernetes.yml").read_text())
    [job] = sample["scrape_configs"]
    assert job.pop("kubernetes_sd_configs") == [{"role": "pod", "namespaces": {"names": ["rainbow"]}}]
    (tmp_path / "sample.yml").write_text(yaml.safe_dump(sample))

    promtool("check", "config", "--syntax-only", tmp_path / "sample.yml")
    assert job["job_name"] == "rainbow"


def test_each_alert_is_tested_where_it_fires_and_where_it_does_not() -> None:
    tested = [case for test in yaml.safe_load(TESTS_OF_RULES.read_text())["tests"] for case in test["alert_rule_test"]]
    fires = {case["alertname"] for case in tested if case["exp_alerts"]}
    quiet = {case["alertname"] for case in tested if not case["exp_alerts"]}

    assert fires == quiet == {rule["alert"] for rule in alerts()}


def test_alerts_are_of_metrics_that_exist() -> None:
    named = set().union(*(metrics_in(rule["expr"]) for rule in alerts()))

    assert named <= documented()


def test_each_alert_has_its_entry_in_the_docs() -> None:
    page = (ROOT / "docs" / "metrics.md").read_text()

    assert {f"`{rule['alert']}`" for rule in alerts()} == set(re.findall(r"`Rainbow\w+`", page))


def test_the_dashboard_shows_metrics_that_exist() -> None:
    named = set().union(*(metrics_in(expression) for panel in panels() for expression in expressions_of(panel)))

    assert named <= documented()


def test_the_panels_of_the_dashboard_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))


@needs_promtool
def test_every_expression_of_the_dashboard_parses(tmp_path: Path) -> None:
    expressions = [expression for panel in panels() for expression in expressions_of(panel)]
    rules = [{"record": f"panel:{number}", "expr": expression} for number, expression in enumerate(expressions)]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))

    promtool("check", "rules", tmp_path / "rules.yml")
