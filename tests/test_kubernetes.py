"""deploy/kubernetes: put together by kubectl, valid by the schemas of Kubernetes, and one with itself.

`make kubernetes-check` runs it with kubectl and kubernetes-validate; without them the parts are read one by one.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.patience import PATIENCE_SECONDS
from tests.support.servers import ROOT
from tests.test_docs import variables_that_settings_read

FOLDER = ROOT / "deploy" / "kubernetes"
PATH = f"{ROOT / '.venv-kubernetes' / 'bin'}:{os.environ.get('PATH', '')}"
TOOLS = [shutil.which(name, path=PATH) for name in ("kubectl", "kubernetes-validate")]
needs_tools = pytest.mark.skipif(None in TOOLS, reason="needs kubectl and kubernetes-validate: make kubernetes-check")
# A release that clusters still run, and the newest whose schemas there are.
RELEASES = ("1.31", "1.37")

Part = dict[str, Any]


def parts() -> Iterator[Part]:
    for name in yaml.safe_load((FOLDER / "kustomization.yaml").read_text())["resources"]:
        yield from yaml.safe_load_all((FOLDER / name).read_text())


def of_kind(kind: str) -> list[Part]:
    return [part for part in parts() if part["kind"] == kind]


def templates() -> dict[str, Part]:
    """What pods are made from, by the name of what makes them."""
    found: dict[str, Part] = {}
    for part in parts():
        spec = part.get("spec", {})
        template = spec.get("jobTemplate", {"spec": spec})["spec"].get("template")
        if template:
            found[part["metadata"]["name"]] = template
    return found


def secrets() -> dict[str, dict[str, str]]:
    """What is in each Secret that the example describes."""
    described = yaml.safe_load_all((FOLDER / "secret.example.yaml").read_text())
    return {secret["metadata"]["name"]: secret["stringData"] for secret in described}


def settings() -> dict[str, str]:
    return dict(line.split("=", 1) for line in (FOLDER / "settings.env").read_text().splitlines())


def run(tool: str | None, *words: str | Path) -> subprocess.CompletedProcess[str]:
    assert tool
    return subprocess.run([tool, *words], capture_output=True, text=True, timeout=PATIENCE_SECONDS)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("kubernetes") / "all.yaml"
    done = run(TOOLS[0], "kustomize", FOLDER)
    assert done.returncode == 0, done.stderr
    file.write_text(done.stdout)
    return file


@needs_tools
@pytest.mark.parametrize("release", RELEASES)
def test_the_schemas_know_all_that_is_said(built: Path, release: str) -> None:
    done = run(TOOLS[1], "--strict", "--kubernetes-version", release, built, FOLDER / "secret.example.yaml")

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(" passed ") + done.stderr.count(" passed ") == len(list(parts())) + 3


@needs_tools
def test_a_mistake_is_found(built: Path, tmp_path: Path) -> None:
    (tmp_path / "wrong.yaml").write_text(built.read_text().replace("readOnlyRootFilesystem", "readOnlyRootFileSystem"))

    assert run(TOOLS[1], "--strict", "--kubernetes-version", RELEASES[0], tmp_path / "wrong.yaml").returncode == 1


@needs_tools
def test_all_pods_are_what_the_network_policy_selects_and_have_the_settings(built: Path) -> None:
    made = list(yaml.safe_load_all(built.read_text()))
    named = next(part["metadata"]["name"] for part in made if part["kind"] == "ConfigMap")
    policy = next(part["spec"]["podSelector"]["matchLabels"] for part in made if part["kind"] == "NetworkPolicy")
    pods = [part["spec"].get("jobTemplate", part)["spec"]["template"] for part in made if part["kind"] in (
        "Deployment", "Job", "CronJob")]  # fmt: skip

    assert len(pods) == len(templates()) == 3
    for pod in pods:
        assert policy.items() <= pod["metadata"]["labels"].items()
        [container] = pod["spec"]["containers"]
        assert container["envFrom"] == [{"configMapRef": {"name": named}}, {"secretRef": {"name": "rainbow"}}]
        assert container["image"] == "registry.example.org/rainbow-server:latest"


@pytest.mark.parametrize("name", sorted(templates()))
def test_pods_have_no_rights_that_they_do_not_need(name: str) -> None:
    pod = templates()[name]["spec"]

    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in pod["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["limits"]["memory"]
        assert f"USER {pod['securityContext']['runAsUser']}:" in (ROOT / "Dockerfile").read_text()


def test_selectors_find_the_servers() -> None:
    labels = templates()["rainbow-server"]["metadata"]["labels"]
    selectors = [part["spec"]["selector"] for part in of_kind("Service")]
    selectors += [part["spec"]["selector"]["matchLabels"] for kind in ("Deployment", "PodDisruptionBudget")
                  for part in of_kind(kind)]  # fmt: skip

    assert len(selectors) == 4
    assert all(selector.items() <= labels.items() for selector in selectors)


def test_ports_have_the_names_that_others_use() -> None:
    [server] = templates()["rainbow-server"]["spec"]["containers"]
    named = {port["name"] for port in server["ports"]}
    used = {port["targetPort"] for part in of_kind("Service") for port in part["spec"]["ports"]}
    used |= {
        port["port"] for part in of_kind("NetworkPolicy") for rule in part["spec"]["ingress"] for port in rule["ports"]
    }
    used |= {server[probe]["httpGet"]["port"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")}

    assert used == named == {"http", "grpc", "metrics"}


def test_the_settings_are_known_and_probes_name_a_host_that_is_answered_to() -> None:
    secret = secrets()["rainbow"]
    [server] = templates()["rainbow-server"]["spec"]["containers"]

    assert settings().keys() | secret.keys() <= variables_that_settings_read()
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        [host] = server[probe]["httpGet"]["httpHeaders"]
        assert host["name"] == "Host"
        assert host["value"] in settings()["RAINBOW_ALLOWED_HOSTS"].split(",")


def test_prometheus_reaches_the_metrics_by_a_token_that_the_server_can_read() -> None:
    pod = templates()["rainbow-server"]["spec"]
    [server] = pod["containers"]
    ports = {port["name"]: port["containerPort"] for port in server["ports"]}
    mounted = {mount["mountPath"]: mount["name"] for mount in server["volumeMounts"]}
    folder, _, token = settings()["RAINBOW_METRICS_TOKEN_FILE"].rpartition("/")
    secret = next(volume["secret"] for volume in pod["volumes"] if volume["name"] == mounted[folder])
    sample = (ROOT / "deploy" / "prometheus" / "kubernetes.yml").read_text()

    assert settings()["RAINBOW_METRICS_ADDRESS"] == f"0.0.0.0:{ports['metrics']}"
    assert token in secrets()[secret["secretName"]]
    assert secret["defaultMode"] == 0o440
    assert pod["securityContext"]["fsGroup"] == pod["securityContext"]["runAsGroup"]
    assert "regex: metrics\n" in sample


def test_what_may_scrape_may_not_reach_the_rest() -> None:
    [policy] = of_kind("NetworkPolicy")
    rules = [({port["port"] for port in rule["ports"]}, rule["from"]) for rule in policy["spec"]["ingress"]]

    [(_, scrapers)] = [rule for rule in rules if rule[0] == {"metrics"}]
    [(_, proxies)] = [rule for rule in rules if rule[0] == {"http", "grpc"}]
    assert len(scrapers) == len(proxies) == 1 and scrapers != proxies


def test_each_command_is_one_of_the_servers() -> None:
    commands = {name: pod["spec"]["containers"][0].get("args", ["serve"])[0] for name, pod in templates().items()}

    assert commands == {"rainbow-server": "serve", "rainbow-migrate": "migrate", "rainbow-prune": "prune"}
