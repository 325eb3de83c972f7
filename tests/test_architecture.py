"""The order of packages and what each kind of module may do, checked by reading the source."""

import ast
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
APPS = ("clusters", "jobs")
SERVER = (*APPS, "grpc_api", "rainbow_site")
PACKAGES = (*SERVER, "rainbow")

# The transports, by the modules of an app that belong to each. Everything else in an app is its inside.
TRANSPORT_OF = {
    "admin": "admin",
    "my": "admin",
    "forms": "admin",
    "rest": "rest",
    "serializers": "rest",
    "filters": "rest",
    "urls": "rest",
    "iri": "iri",
    "management": "command",
}
LIBRARIES_OF_TRANSPORTS = ("rest_framework", "grpc", "grpc_health", "grpc_reflection", "google.protobuf", "django.http")
SIGNALS = ("django.dispatch", "django.core.signals", "django.db.models.signals", "django.test.signals")
# wsgi and asgi choose the settings, as Django has it. What runs at a cluster is told by its job's environment.
READERS_OF_THE_ENVIRONMENT = (
    "rainbow_site.settings",
    "rainbow.config",
    "rainbow.futures.on_cluster",
    "rainbow_site.wsgi",
    "rainbow_site.asgi",
)
ALWAYS_WRITES = ("save", "bulk_create", "bulk_update", "get_or_create", "update_or_create")
SHARED = ("rainbow.protos", "rainbow.errors", "rainbow.__version__", "rainbow.certificates", "rainbow.telemetry",
          "rainbow.scrape_token")  # fmt: skip
LISTENS = ("bind", "listen", "create_server", "start_server", "start_unix_server", "add_insecure_port",
           "add_secure_port", "serve_forever")  # fmt: skip
WRITES_OF_A_MANAGER = ("create", "update", "delete")

# Which package may import which others, bottom to top: each names only what stands above it here, so there is no
# circle. A module belongs to the longest name that it stands under; that a row leaves out, its package may not import.
MAY_IMPORT = {
    "rainbow.protos": "",
    "rainbow.telemetry": "",
    "rainbow": "rainbow.protos rainbow.telemetry",
    "rainbow.aio": "rainbow rainbow.protos rainbow.telemetry",
    "rainbow.futures": "rainbow rainbow.telemetry rainbow.aio",
    "rainbow.system": "rainbow",
    "rainbow.runner": "rainbow.system",
    "rainbow.executors": "rainbow rainbow.telemetry rainbow.system rainbow.runner",
    "rainbow.agent": "rainbow rainbow.telemetry rainbow.system rainbow.executors",
    "rainbow.slurm_commands": "rainbow",
    "rainbow.terminal": "rainbow rainbow.telemetry rainbow.slurm_commands rainbow.runner rainbow.executors"
    " rainbow.agent",
    "rainbow.doctor": "rainbow rainbow.system rainbow.executors rainbow.agent",
    "rainbow.commands": "rainbow rainbow.telemetry rainbow.slurm_commands rainbow.system rainbow.executors"
    " rainbow.agent rainbow.terminal rainbow.doctor",
    "rainbow.cli": "rainbow rainbow.telemetry rainbow.terminal",
    "rainbow_site": "rainbow.telemetry",
    "rainbow_site.sqlite": "rainbow_site",
    "rainbow_site.process": "rainbow rainbow.telemetry rainbow_site rainbow_site.sqlite",
    "clusters": "rainbow rainbow.telemetry rainbow_site.sqlite",
    "clusters.queries": "rainbow clusters",
    "clusters.services": "rainbow clusters",
    "jobs": "rainbow rainbow.telemetry clusters clusters.services",
    "jobs.queries": "rainbow clusters clusters.services jobs",
    "jobs.services": "rainbow rainbow.telemetry clusters clusters.services jobs jobs.queries",
    "jobs.demo": "rainbow clusters clusters.services jobs jobs.queries jobs.services",
    "clusters.management": "rainbow clusters clusters.queries clusters.services",
    "jobs.management": "rainbow rainbow_site.process clusters clusters.services jobs jobs.queries jobs.services"
    " jobs.demo",
    "jobs.templatetags": "clusters jobs jobs.queries",
    "grpc_api": "",
    "grpc_api.reference": "rainbow.protos",
    "grpc_api.runtime": "rainbow rainbow.telemetry rainbow_site.sqlite clusters clusters.queries clusters.services jobs"
    " jobs.queries jobs.services",
    "grpc_api.rpcs": "rainbow rainbow.telemetry rainbow.protos clusters clusters.queries clusters.services jobs"
    " jobs.queries jobs.services grpc_api.runtime",
    "grpc_api.transport": "rainbow rainbow.telemetry rainbow.protos rainbow_site.process jobs grpc_api.runtime"
    " grpc_api.rpcs",
    "grpc_api.later": "rainbow rainbow.protos clusters clusters.services jobs jobs.queries jobs.services grpc_api.rpcs"
    " grpc_api.transport",
    "grpc_api.management": "rainbow.telemetry rainbow_site rainbow_site.process grpc_api.reference grpc_api.transport"
    " grpc_api.later",
    "rainbow_site.web.rest": "rainbow rainbow.telemetry clusters clusters.services",
    "clusters.rest": "rainbow clusters clusters.queries clusters.services rainbow_site.web.rest",
    "clusters.admin": "rainbow rainbow.telemetry clusters clusters.queries clusters.services",
    "clusters.my": "rainbow rainbow.telemetry clusters clusters.queries clusters.services clusters.admin"
    " rainbow_site.web.rest",
    "jobs.rest": "rainbow rainbow.telemetry clusters clusters.services jobs jobs.queries jobs.services"
    " rainbow_site.web.rest",
    "jobs.admin": "rainbow clusters clusters.services clusters.admin jobs jobs.queries jobs.services",
    "jobs.my": "rainbow clusters clusters.queries clusters.services clusters.admin clusters.my jobs jobs.queries"
    " jobs.services jobs.admin rainbow_site.web.rest",
    "rainbow_site.oidc.origins": "",
    "rainbow_site.web": "rainbow rainbow.telemetry rainbow_site.process clusters jobs jobs.rest rainbow_site.web.rest"
    " rainbow_site.oidc.origins",
    "jobs.iri": "rainbow clusters clusters.services jobs jobs.queries jobs.services rainbow_site.web.rest"
    " rainbow_site.web",
    "rainbow_site.metrics": "rainbow rainbow.telemetry rainbow_site.process jobs jobs.queries",
    "rainbow_site.web_server": "rainbow rainbow.telemetry rainbow_site.process rainbow_site.web.rest",
    "rainbow_site.console": "rainbow rainbow.telemetry clusters clusters.services rainbow_site.web.rest"
    " rainbow_site.web",
    "rainbow_site.oidc": "rainbow rainbow_site clusters clusters.services rainbow_site.console rainbow_site.web"
    " rainbow_site.oidc.origins"
    " rainbow_site.web.rest",
    "rainbow_site.urls": "jobs.admin rainbow_site.web",
    "rainbow_site.wsgi": "rainbow_site.web",
    "rainbow_site.copies": "rainbow_site rainbow_site.process jobs",
    "rainbow_site.management": "rainbow.telemetry rainbow_site rainbow_site.process rainbow_site.copies jobs.rest"
    " rainbow_site.metrics"
    " rainbow_site.web_server rainbow_site.wsgi",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    name: str
    tree: ast.Module
    is_package: bool = False

    @property
    def package(self) -> str:
        return self.name.partition(".")[0]

    @property
    def transport(self) -> str:
        """The transport that this module belongs to; empty for the inside of an app and for what is no app."""
        package, _, rest = self.name.partition(".")
        if package == "grpc_api":
            return "grpc"
        return TRANSPORT_OF.get(rest.partition(".")[0], "") if package in APPS else ""

    def imports(self) -> Iterator[tuple[int, str]]:
        """Line and full name of everything that it imports; for `from a import b` that is a.b."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from ((node.lineno, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                origin = self._origin(node)
                yield from ((node.lineno, f"{origin}.{alias.name}") for alias in node.names)

    def _origin(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        parts = self.name.split(".")
        parents = parts[: len(parts) - node.level + self.is_package]
        return ".".join([*parents, *([node.module] if node.module else [])])


Rule = Callable[[Module], Iterator[str]]


def packages_import_only_what_their_row_names(module: Module) -> Iterator[str]:
    package = _row_of(module.name)
    allowed = {package, *MAY_IMPORT[package].split()}
    for line, name in module.imports():
        if name.partition(".")[0] in PACKAGES and _row_of(name) not in allowed:
            yield f"{module.name}:{line} imports {name}, which the row of {package} in MAY_IMPORT does not name"


def clusters_never_import_jobs(module: Module) -> Iterator[str]:
    if module.package == "clusters":
        yield from _forbidden(module, "jobs")


def the_inside_of_an_app_knows_no_transport(module: Module) -> Iterator[str]:
    if module.package in APPS and not module.transport:
        modules = [f"{app}.{name}" for app in APPS for name in TRANSPORT_OF]
        yield from _forbidden(module, *LIBRARIES_OF_TRANSPORTS, "grpc_api", *modules)


def transports_never_import_each_other(module: Module) -> Iterator[str]:
    if module.transport:
        others = [
            f"{app}.{name}" for app in APPS for name, transport in TRANSPORT_OF.items() if transport != module.transport
        ]
        yield from _forbidden(module, *others, *([] if module.transport == "grpc" else ["grpc_api"]))


def transports_never_write(module: Module) -> Iterator[str]:
    if not module.transport:
        return
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and _writes(node.func):
            yield f"{module.name}:{node.lineno} writes with {ast.unparse(node.func)}"


def the_outside_never_imports_the_server(module: Module) -> Iterator[str]:
    if module.package == "rainbow":
        yield from _forbidden(module, *SERVER, "django", "rest_framework", "environ")


def the_outside_listens_nowhere(module: Module) -> Iterator[str]:
    """Agents accept no connections, not even local ones, unless their operators ask for metrics."""
    if module.package != "rainbow" or module.name == "rainbow.agent.metrics_server":
        return
    yield from _forbidden(module, "socketserver", "http.server", "wsgiref", "xmlrpc.server")
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Attribute) and node.attr in LISTENS:
            yield f"{module.name}:{node.lineno} listens with {ast.unparse(node)}"


def the_server_shares_few_modules_with_the_outside(module: Module) -> Iterator[str]:
    if module.package in SERVER:
        for line, name in module.imports():
            if _within(name, "rainbow") and not _within(name, *SHARED):
                yield f"{module.name}:{line} imports {name}"


def settings_and_config_alone_read_the_environment(module: Module) -> Iterator[str]:
    if module.name in READERS_OF_THE_ENVIRONMENT:
        return
    yield from _forbidden(module, "os.environ", "os.getenv")
    # django-environ reads the environment as well, unless it is only asked to take a URL apart.
    if module.name != "rainbow_site.databases":
        yield from _forbidden(module, "environ")
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node) in ("os.environ", "os.getenv"):
            yield f"{module.name}:{node.lineno} reads the environment"


def imports_stand_at_the_top(module: Module) -> Iterator[str]:
    for function in ast.walk(module.tree):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            for node in ast.walk(function):
                if isinstance(node, ast.Import | ast.ImportFrom):
                    yield f"{module.name}:{node.lineno} imports inside a function"


def no_module_uses_signals(module: Module) -> Iterator[str]:
    yield from _forbidden(module, *SIGNALS)


def no_model_has_an_ordering(module: Module) -> Iterator[str]:
    for meta in ast.walk(module.tree):
        if isinstance(meta, ast.ClassDef) and meta.name == "Meta":
            for node in ast.walk(meta):
                if isinstance(node, ast.Name) and node.id == "ordering" and isinstance(node.ctx, ast.Store):
                    yield f"{module.name}:{node.lineno} sets Meta.ordering"


def _row_of(name: str) -> str:
    """The longest name of MAY_IMPORT that this name stands under."""
    while name not in MAY_IMPORT:
        name = name.rpartition(".")[0]
    return name


def _circle_in(imports: Mapping[str, Iterable[str]]) -> list[str]:
    """The names along one circle of imports; empty when there is none."""
    try:
        list(TopologicalSorter(imports).static_order())
    except CycleError as error:
        return list(error.args[1])
    return []


def _imports_among(modules: Iterable[Module]) -> dict[str, set[str]]:
    """Which of these modules each imports; `from package import module` is an import of the module."""
    by_name = {module.name: module for module in modules}
    found = {}
    for name, module in by_name.items():
        imported = {_module_of(full, by_name) for _, full in module.imports()}
        found[name] = imported - {name, ""}
    return found


def _module_of(name: str, among: Mapping[str, Module]) -> str:
    while name and name not in among:
        name = name.rpartition(".")[0]
    return name


def _forbidden(module: Module, *names: str) -> Iterator[str]:
    for line, imported in module.imports():
        if _within(imported, *names):
            yield f"{module.name}:{line} imports {imported}"


def _within(name: str, *packages: str) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def _writes(function: ast.Attribute) -> bool:
    if function.attr in ALWAYS_WRITES:
        return True
    return function.attr in WRITES_OF_A_MANAGER and ".objects" in ast.unparse(function.value)


@cache
def _modules(package: str) -> list[Module]:
    return list(_parsed(package))


def _parsed(package: str) -> Iterator[Module]:
    for path in sorted((ROOT / package).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if "migrations" in parts or path.stem.endswith(("_pb2", "_pb2_grpc")):
            continue
        is_package = path.stem == "__init__"
        yield Module(
            name=".".join(parts[:-1] if is_package else parts),
            tree=ast.parse(path.read_text(), filename=str(path)),
            is_package=is_package,
        )


RULES: list[Rule] = [
    packages_import_only_what_their_row_names,
    clusters_never_import_jobs,
    the_inside_of_an_app_knows_no_transport,
    transports_never_import_each_other,
    transports_never_write,
    the_outside_never_imports_the_server,
    the_outside_listens_nowhere,
    the_server_shares_few_modules_with_the_outside,
    settings_and_config_alone_read_the_environment,
    imports_stand_at_the_top,
    no_module_uses_signals,
    no_model_has_an_ordering,
]

VIOLATIONS = [
    (packages_import_only_what_their_row_names, "rainbow_site.web.rest.fields", "from clusters.rest import urls"),
    (packages_import_only_what_their_row_names, "jobs.rest.jobs", "from clusters.rest.serializers import A"),
    (packages_import_only_what_their_row_names, "jobs.queries.queue", "from jobs.services import submit"),
    (packages_import_only_what_their_row_names, "grpc_api.runtime.streams", "import grpc_api.rpcs.servicer"),
    (packages_import_only_what_their_row_names, "rainbow.executors.local", "from rainbow.agent import journal"),
    (clusters_never_import_jobs, "clusters.models", "from jobs.models import Job"),
    (clusters_never_import_jobs, "clusters.services.pause", "import jobs"),
    (the_inside_of_an_app_knows_no_transport, "jobs.services.submit", "import grpc"),
    (the_inside_of_an_app_knows_no_transport, "jobs.models", "from django import http"),
    (the_inside_of_an_app_knows_no_transport, "jobs.services", "from rest_framework.exceptions import NotFound"),
    (the_inside_of_an_app_knows_no_transport, "jobs.services.submit", "from ..admin import JobAdmin"),
    (transports_never_import_each_other, "jobs.admin", "from grpc_api import servicer"),
    (transports_never_import_each_other, "jobs.admin", "from .rest import JobView"),
    (transports_never_import_each_other, "grpc_api.rpcs.servicer", "import clusters.admin"),
    (transports_never_write, "jobs.admin", "job.save()"),
    (transports_never_write, "grpc_api.rpcs.servicer", "Job.objects.filter(id=1).update(state='queued')"),
    (transports_never_write, "jobs.management.commands.prune", "Job.objects.all().delete()"),
    (the_outside_never_imports_the_server, "rainbow.client", "from django.conf import settings"),
    (the_outside_never_imports_the_server, "rainbow.cli", "def main():\n    import jobs.services"),
    (the_outside_listens_nowhere, "rainbow.agent.context", "import socket\nsocket.create_server(('', 0))"),
    (the_outside_listens_nowhere, "rainbow.agent", "from http.server import HTTPServer"),
    (the_server_shares_few_modules_with_the_outside, "grpc_api.rpcs.servicer", "from rainbow import client"),
    (settings_and_config_alone_read_the_environment, "jobs.models", "import os\nos.environ.get('HOME')"),
    (settings_and_config_alone_read_the_environment, "rainbow.client", "from os import getenv"),
    (imports_stand_at_the_top, "jobs.models", "def late():\n    import json"),
    (no_module_uses_signals, "jobs.apps", "from django.db.models.signals import post_save"),
    (no_model_has_an_ordering, "jobs.models", "class Job:\n    class Meta:\n        ordering = ['id']"),
]

ALLOWED = [
    (packages_import_only_what_their_row_names, "jobs.services.cancel", "from jobs.queries.lookup import locked"),
    (packages_import_only_what_their_row_names, "clusters.rest.urls", "from rainbow_site.web.rest import converters"),
    (clusters_never_import_jobs, "jobs.models", "from clusters.models import Cluster"),
    (the_inside_of_an_app_knows_no_transport, "jobs.rest", "import rest_framework"),
    (transports_never_import_each_other, "grpc_api.rpcs.servicer", "from grpc_api import server\nimport jobs.services"),
    (transports_never_write, "jobs.admin", "options.update(a=1)"),
    (transports_never_write, "jobs.services.submit", "job.save()"),
    (the_server_shares_few_modules_with_the_outside, "jobs.services", "from rainbow.errors import NotFound"),
]


@pytest.mark.parametrize("package", PACKAGES)
@pytest.mark.parametrize("rule", RULES)
def test_the_arrows_hold(rule: Rule, package: str) -> None:
    modules = _modules(package)

    found = [violation for module in modules for violation in rule(module)]

    assert modules, f"there is nothing to read in {package}/"
    assert not found, "\n".join(found)


@pytest.mark.parametrize(("rule", "name", "source"), VIOLATIONS)
def test_a_violation_is_found(rule: Rule, name: str, source: str) -> None:
    assert list(rule(Module(name=name, tree=ast.parse(source))))


@pytest.mark.parametrize(("rule", "name", "source"), ALLOWED)
def test_what_the_design_allows_is_no_violation(rule: Rule, name: str, source: str) -> None:
    assert not list(rule(Module(name=name, tree=ast.parse(source))))


def test_every_rule_is_known_to_find_something() -> None:
    assert {rule for rule, _, _ in VIOLATIONS} == set(RULES)


def test_each_package_stands_above_what_it_imports() -> None:
    rows = list(MAY_IMPORT)

    upward = [
        f"{package} may import {name}, which stands at its own place or below"
        for place, package in enumerate(rows)
        for name in MAY_IMPORT[package].split()
        if name not in rows[:place]
    ]

    assert not upward, "\n".join(upward)


def test_no_modules_import_each_other_in_a_circle() -> None:
    modules = [module for package in PACKAGES for module in _modules(package)]

    assert not _circle_in(_imports_among(modules))


def test_a_circle_is_found() -> None:
    sources = {"jobs.a": "from jobs import b", "jobs.b": "import jobs.c", "jobs.c": "from jobs.a import f"}

    circle = _circle_in(_imports_among(Module(name=name, tree=ast.parse(text)) for name, text in sources.items()))

    assert set(circle) == set(sources)


def test_the_tests_that_empty_the_database_run_by_themselves() -> None:
    """The others need what the migrations put there."""
    listed = (ROOT / "Makefile").read_text().partition("\nEMPTYING := ")[2].partition("\n#")[0]
    marks = ("transaction=" + "True", "transactional" + "_db")
    emptying = {path for path in (ROOT / "tests").glob("test_*.py") if any(mark in path.read_text() for mark in marks)}

    assert {str(path.relative_to(ROOT)) for path in emptying} <= set(listed.split())
