"""The images of server and agent: built from nothing but Debian, and run with as few rights as they need.

`make images-check` runs it. Needs root, and Debian's buildah, podman, mmdebstrap, runc, netavark, aardvark-dns and
iptables.
"""

import hashlib
import json
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from urllib.request import urlopen

import pytest

import rainbow
from tests.support.images import (
    BASE,
    BUILD_OPTIONS,
    BUILDS_MAY_TAKE_SECONDS,
    Engine,
    engine,
    missing_programs,
    variables,
)
from tests.support.patience import PATIENCE_SECONDS
from tests.support.ports import free_port
from tests.support.release_checkout import VERSION, release_checkout, released
from tests.support.servers import ROOT

pytestmark = [
    pytest.mark.skipif(bool(missing_programs()), reason=f"no images can be built: {missing_programs()}"),
    pytest.mark.timeout(3 * BUILDS_MAY_TAKE_SECONDS),
]

SERVER, AGENT = (f"localhost/rainbow-{name}:{rainbow.__version__}" for name in ("server", "agent"))
LOCKS = {SERVER: "requirements.lock", AGENT: "requirements-client.lock"}
USERS = {SERVER: "10001:10001", AGENT: "10002:10002"}
NETWORK = "rainbow-tour"
IN_THE_NETWORK = ("--network", NETWORK)
SECRETS = {"RAINBOW_SECRET_KEY": "for-the-tests-only", "RAINBOW_REGISTRATION_SECRET": "for-the-tests-only"}
TO_THE_SERVER = [*IN_THE_NETWORK, *variables({"RAINBOW_HOST": "server"}), "--volume", "agent:/data"]
# What a job of the tour leaves behind: a process whose parent has ended.
ORPHAN = "(sleep 0.1 &) ; id -u; touch /here 2>/dev/null || echo read-only; touch /tmp/there && echo ends"


@pytest.fixture(scope="module")
def podman() -> Iterator[Engine]:
    with engine() as made:
        made.make_base()
        made.make_images()
        yield made


@pytest.fixture(scope="module")
def web() -> str:
    return f"127.0.0.1:{free_port()}"


@pytest.fixture(scope="module")
def tour(podman: Engine, web: str) -> Engine:
    """A server, and an agent that it knows."""
    podman.run("podman", "network", "create", NETWORK)
    at_the_web = ["--publish", f"{web}:8000", "--volume", "data:/data"]
    podman.start(SERVER, name="server", options=[*IN_THE_NETWORK, *variables(SECRETS), *at_the_web])
    podman.wait_until_healthy("server")
    once(podman, "register", "--secret", SECRETS["RAINBOW_REGISTRATION_SECRET"], "--save")
    podman.start(AGENT, name="agent", options=TO_THE_SERVER)
    podman.wait_until_healthy("agent")
    return podman


def once(podman: Engine, *words: str) -> str:
    """What a `rainbow` command prints in a container of its own."""
    return podman.run("podman", "run", "--rm", *TO_THE_SERVER, AGENT, *words)


@pytest.mark.parametrize("image", [SERVER, AGENT])
def test_an_image_says_what_it_is(podman: Engine, image: str) -> None:
    labels = json.loads(podman.inspected(image, "{{json .Config.Labels}}"))
    revision = podman.run("git", "rev-parse", "HEAD").strip()

    assert labels["org.opencontainers.image.version"] == rainbow.__version__
    assert labels["org.opencontainers.image.revision"] == revision
    assert labels["org.opencontainers.image.licenses"] == "MIT"
    assert labels["org.opencontainers.image.title"]
    assert podman.inspected(image, "{{.Config.User}}") == USERS[image]
    assert podman.inspected(image, "{{.Config.StopSignal}}") in ("SIGTERM", "15")


@pytest.mark.parametrize("image", [SERVER, AGENT])
def test_an_image_holds_what_its_lock_names_and_nothing_to_install_with(podman: Engine, image: str) -> None:
    question = (
        "import hashlib, importlib.util as u, pathlib, shutil, json; "
        "print(json.dumps([hashlib.sha256(pathlib.Path('/opt/rainbow/requirements.lock').read_bytes()).hexdigest(), "
        "[n for n in ('pip', 'setuptools', 'ensurepip', 'django') if u.find_spec(n)], "
        "[n for n in ('gcc', 'cc', 'make', 'pip', 'git', 'curl', 'sudo') if shutil.which(n)]]))"
    )
    said = podman.run("podman", "run", "--rm", "--network", "none", "--entrypoint", "python", image, "-c", question)

    digest = hashlib.sha256((ROOT / LOCKS[image]).read_bytes()).hexdigest()
    assert json.loads(said) == [digest, ["django"] if image == SERVER else [], []]


@pytest.mark.long
def test_a_server_that_traces_has_an_image_with_opentelemetry(podman: Engine) -> None:
    image, lock = "localhost/rainbow-server:traces", ["--build-arg", "LOCK=requirements-otel.lock"]
    podman.run("buildah", "build", *BUILD_OPTIONS.split(), "--target", "server", "--build-arg", f"BASE={BASE}", *lock,
               "--tag", image, ".")  # fmt: skip
    question = "from rainbow.telemetry import traces; traces.switch_on('rainbow-server'); print(traces.are_on())"

    inside = ["podman", "run", "--rm", "--network", "none", "--entrypoint", "python"]
    assert podman.run(*inside, image, "-c", question) == "True\n"
    assert "No module named 'opentelemetry'" in podman.tried(*inside, SERVER, "-c", question).stderr


def test_a_job_goes_through_the_containers(tour: Engine, web: str) -> None:
    said = once(tour, "submit", "--wait", "--command", ORPHAN)

    assert said.splitlines()[-3:] == ["10002", "read-only", "ends"]
    with urlopen(f"http://{web}/healthz", timeout=PATIENCE_SECONDS) as answer:
        assert answer.status == HTTPStatus.OK


def test_what_a_job_leaves_behind_is_reaped(tour: Engine) -> None:
    once(tour, "submit", "--wait", "--command", ORPHAN)

    states = tour.run("podman", "exec", "agent", "sh", "-c", "cat /proc/[0-9]*/status")
    assert "rainbow" in states
    assert "(zombie)" not in states


@pytest.mark.parametrize("builder", ["buildah", "podman"])
def test_a_release_has_the_images_and_they_are_loaded_under_their_names(
    podman: Engine, builder: str, tmp_path: Path
) -> None:
    checkout = release_checkout(tmp_path / "rainbow")
    names = {image: f"localhost/rainbow-{image}:{VERSION}" for image in ("server", "agent")}
    for image, name in names.items():
        podman.run("podman", "tag", f"localhost/rainbow-{image}:latest", name)

    files = released(checkout, builder, environment=podman.environment)

    sums = (files / "SHA256SUMS").read_text()
    for image, name in names.items():
        podman.run("podman", "untag", name, name)
        archive = files / f"rainbow-{image}-{VERSION}.tar"
        assert f"  {archive.name}\n" in sums
        podman.run("podman", "load", "--input", archive)
        assert podman.inspected(name, "{{.Id}}") == podman.inspected(f"localhost/rainbow-{image}:latest", "{{.Id}}")
        podman.run("podman", "untag", name, name)


def test_commands_of_operators_run_in_the_servers_image(tour: Engine) -> None:
    assert "Pruned 0 jobs" in tour.run("podman", "exec", "server", "python", "manage.py", "prune", "--older-than", "90")
    tour.run("podman", "run", "--rm", "--volume", "data:/data", SERVER, "migrate", "--check")


def test_sigterm_ends_the_agent_and_the_server(tour: Engine) -> None:
    """The last, since it ends the tour: the agent is unhealthy once there is no server."""
    assert tour.is_healthy("agent")
    for name in ("server", "agent"):
        tour.run("podman", "stop", "--time", str(PATIENCE_SECONDS), name)
        assert tour.inspected(name, "{{.State.ExitCode}}") == "0", tour.log_of(name)
        if name == "server":
            assert not tour.is_healthy("agent")
