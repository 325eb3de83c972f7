"""Names that the server knows, for the shell to complete. Silent where there are none: the shell shows a prompt."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import redirect_stderr
from io import StringIO
from itertools import islice

import click
from click.shell_completion import CompletionItem

from rainbow import config
from rainbow.errors import RainbowError
from rainbow.terminal import session
from rainbow.terminal.options import flags
from rainbow.text import on_one_line

SECONDS = 2.0
MOST_GROUPS = 100
LONGEST_ABOUT = 60

Names = Callable[[click.Context], Iterator[tuple[str, str]]]


def cluster_names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Of clusters and pools: those that the configuration file has, and those that the credential reaches."""
    return _completed(ctx, incomplete, _clusters_on_file, _clusters_in_reach)


def project_names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    return _completed(ctx, incomplete, _projects)


def groups(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Ids of the newest groups, found by their names too."""
    return _completed(ctx, incomplete, _groups)


def _completed(ctx: click.Context, incomplete: str, *sources: Names) -> list[CompletionItem]:
    found: dict[str, str] = {}
    flags(ctx)["timeout"] = SECONDS
    with redirect_stderr(StringIO()):
        for source in sources:
            for name, about in _without_failures(source(ctx)):
                if name.startswith(incomplete) or about.startswith(incomplete):
                    found.setdefault(name, about)
    return [CompletionItem(name, help=about or None) for name, about in found.items()]


def _without_failures(names: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    try:
        for name, about in names:
            if _is_one_word(name):
                yield name, on_one_line(about, longest=LONGEST_ABOUT)
    except (RainbowError, click.ClickException, OSError):
        return


def _is_one_word(name: str) -> bool:
    """A server says what it likes, and the shell puts this into a command."""
    return name.replace("-", "").replace("_", "").replace(".", "").isalnum() and not name.startswith("-")


def _clusters_on_file(ctx: click.Context) -> Iterator[tuple[str, str]]:
    for name in config.read_file(config.config_path()).get("clusters", {}):
        yield name, ""


def _clusters_in_reach(ctx: click.Context) -> Iterator[tuple[str, str]]:
    with session.observer(ctx, as_cluster=bool(ctx.params.get("as_cluster"))) as client:
        for cluster in client.list_clusters():
            yield cluster.name, ""


def _projects(ctx: click.Context) -> Iterator[tuple[str, str]]:
    with session.person(ctx) as client:
        for project in client.who_am_i().projects:
            yield project.name, ""


def _groups(ctx: click.Context) -> Iterator[tuple[str, str]]:
    with session.observer(ctx, as_cluster=bool(ctx.params.get("as_cluster"))) as client:
        for group in islice(client.list_groups(page_size=MOST_GROUPS), MOST_GROUPS):
            yield str(group.id), group.name
