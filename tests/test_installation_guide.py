"""docs/operations.md, from an empty Debian to a running service: every command of that section, in containers.

`make guide-check` runs it. A container of an empty Debian is the server's machine, and one more that of each cluster.
No systemd runs in them: tests/support/systemctl starts what a unit says, as the unit's user and with its environment,
and knows none of its other settings. PostgreSQL, nginx and Prometheus are started by commands of their own.
"""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.images import BASE, BUILDS_MAY_TAKE_SECONDS, Engine, engine, missing_programs
from tests.support.patience import wait_until
from tests.support.servers import ROOT

pytestmark = [
    pytest.mark.skipif(bool(missing_programs()), reason=f"no containers can be made: {missing_programs()}"),
    pytest.mark.timeout(3 * BUILDS_MAY_TAKE_SECONDS),
]

SECTION = (ROOT / "docs" / "operations.md").read_text().partition("\n## From an empty Debian")[2].partition("\n## ")[0]
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SERVER, CLUSTER = (BLOCK.findall(part) for part in SECTION.split("\n### A cluster\n"))
NAME, NETWORK = "rainbow.example.org", "rainbow-guide"
CLUSTERS = ("keebler", "noether")
# What the machine of the test trusts, for packages: a container has only what its own authorities are.
TRUST = "/trust.pem"
SETTINGS = {"REPOSITORY": "/repository", "DEBIAN_FRONTEND": "noninteractive", "PIP_CERT": TRUST}
AGENT = "set -a; . /etc/rainbow/agent.env"


@pytest.fixture(scope="module")
def podman() -> Iterator[Engine]:
    with engine() as made:
        made.make_base()
        made.run("git", "clone", "--quiet", "--bare", ROOT, made.folder / "repository")
        made.run("podman", "network", "create", NETWORK)
        yield made


@pytest.fixture(scope="module")
def server(podman: Engine) -> Engine:
    boot(podman, NAME)
    typed(podman, NAME, SERVER)
    return podman


@pytest.fixture(scope="module")
def clusters(server: Engine) -> Engine:
    certificate = on(server, NAME, "cat /etc/rainbow/cert.pem")
    secret = on(server, NAME, "sed -n s/^RAINBOW_REGISTRATION_SECRET=//p /etc/rainbow/server.env").strip()
    for cluster in CLUSTERS:
        boot(server, cluster)
        given = f"mkdir /etc/rainbow; echo {shlex.quote(certificate)} >/etc/rainbow/server.pem\n"
        given += f"(umask 077; echo {secret} >/root/registration-secret); export CLUSTER={cluster}\n"
        typed(server, cluster, [given, *CLUSTER])
    return server


def boot(podman: Engine, name: str) -> None:
    """A machine with Debian and nothing else, which is reached by its name."""
    mounts = {
        podman.folder / "repository": "/repository",
        Path("/etc/ssl/certs/ca-certificates.crt"): TRUST,
        ROOT / "tests" / "support" / "systemctl": "/usr/local/bin/systemctl",
    }
    options = [word for here, there in mounts.items() for word in ("--volume", f"{here}:{there}:ro")]
    options += ["--init", "--name", name, "--hostname", name, "--network", NETWORK]
    podman.run("podman", "run", "--detach", *options, BASE, "sleep", "infinity")


def typed(podman: Engine, name: str, blocks: list[str]) -> str:
    """All blocks in one shell, which stops at the first command that fails."""
    given = [f"export {key}={value}" for key, value in SETTINGS.items()]
    return on(podman, name, "\n".join(["set -euxo pipefail", *given, *blocks]))


def on(podman: Engine, name: str, command: str) -> str:
    return podman.run("podman", "exec", name, "bash", "-c", command)


def test_each_cluster_runs_its_jobs(clusters: Engine) -> None:
    for cluster in CLUSTERS:
        assert on(clusters, cluster, f"{AGENT}; rainbow submit --wait -- hostname").splitlines()[-1] == cluster
        assert "completed" in on(clusters, cluster, f"{AGENT}; rainbow jobs")


def test_jobs_run_as_the_agents_user_who_cannot_read_the_secret(clusters: Engine) -> None:
    asked = "id -un; cat /etc/rainbow/secret 2>/dev/null || echo shut"
    told = on(clusters, CLUSTERS[0], f"{AGENT}; rainbow submit --wait --command {shlex.quote(asked)}")

    assert told.splitlines()[-2:] == ["rainbow-agent", "shut"]


def test_settings_and_keys_are_for_root(server: Engine) -> None:
    modes = on(server, NAME, "stat -c '%a %U' /etc/rainbow/server.env /etc/rainbow/key.pem")

    assert modes.splitlines() == ["600 root", "600 root"]


def test_the_console_answers_over_tls(server: Engine) -> None:
    page = on(server, NAME, f"curl --silent --fail --cacert /etc/rainbow/cert.pem https://{NAME}/admin/login/")

    assert "<form" in page


def test_prometheus_has_the_server_as_a_target_that_is_up(server: Engine) -> None:
    asked = "curl --silent 'http://127.0.0.1:9090/api/v1/query?query=up'"

    wait_until(lambda: ',"1"]' in on(server, NAME, asked), pause_seconds=1)


def test_there_is_a_backup_that_was_verified(server: Engine) -> None:
    mode, owner, size = on(server, NAME, "stat -c '%a %U %s' /var/backups/rainbow/*").split()

    assert (mode, owner) == ("600", "rainbow")
    assert int(size) > 10_000
