"""The manual is complete and true: what exists has its entry, what has an entry exists, and links lead somewhere."""

import ast
import re
import shlex
from argparse import SUPPRESS
from collections.abc import Iterator
from io import StringIO
from itertools import chain
from pathlib import Path

import click
import pytest
from django.conf import settings
from django.core.management import call_command, get_commands
from google.protobuf.descriptor import Descriptor, EnumDescriptor

from grpc_api.management.commands import protocol
from grpc_api.management.commands.grpcserver import Command as GrpcServer
from grpc_api.reference.markdown import reference
from grpc_api.reference.protofile import Member, ProtoFile, UnknownLine, parse
from jobs.states import JobState
from rainbow import cli, config
from rainbow.protos import rainbow_pb2 as pb
from rainbow.terminal.sbatch_command import SbatchCommand
from tests.support.servers import ROOT

DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
VARIABLE = re.compile(r"RAINBOW_[A-Z_]+|DATABASE_URL")
HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)")
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
CONSOLE = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TEST = re.compile(r"^(?:async )?def (test_\w+)", re.MULTILINE)
OUR_APPS = {"clusters", "jobs", "grpc_api", "rainbow_site"}


def rows(section: str) -> dict[str, list[str]]:
    """The cells of the tables in a part of docs/configuration.md, by the variable or flag in their first one."""
    page = (DOCS / "configuration.md").read_text()
    part = page.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in part.splitlines() if "`" in line]
    return {row[0].strip("`"): row for row in cells if row[0].startswith("`")}


def variables_that_settings_read() -> set[str]:
    """All of them, also those that only some kinds of settings lead to."""
    tree = ast.parse((ROOT / "rainbow_site" / "settings.py").read_text())
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and node.args]
    names = [call.args[0].value for call in calls if isinstance(call.args[0], ast.Constant)]
    return {name for name in names if isinstance(name, str) and VARIABLE.fullmatch(name)}


def headings(page: Path) -> list[str]:
    return HEADING.findall(FENCED.sub("", page.read_text()))


def anchors(page: Path) -> set[str]:
    """As GitHub makes them: lower case, hyphens for spaces, without punctuation."""
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings(page)}


def examples() -> Iterator[list[str]]:
    """Every `rainbow` command that a page shows, by words."""
    for block in chain.from_iterable(CONSOLE.findall(page.read_text()) for page in PAGES):
        for line in block.splitlines():
            if line.startswith("$ rainbow "):
                yield shlex.split(line.removeprefix("$ rainbow "))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_row_of_a_table_has_as_many_cells_as_its_heading(page: Path) -> None:
    cells = 0
    for number, line in enumerate(page.read_text().splitlines(), start=1):
        # A bar in a cell is written \|.
        found = len(re.findall(r"(?<!\\)\|", line)) if line.startswith("|") else 0
        cells = cells if found and cells else found
        assert found == cells, f"line {number}: {line}"


def test_every_setting_of_the_server_has_its_entry() -> None:
    documented = {name for name in rows("The server") if VARIABLE.fullmatch(name)}

    assert documented == variables_that_settings_read()


def test_every_flag_of_grpcserver_has_its_entry() -> None:
    parser = GrpcServer().create_parser("manage.py", "grpcserver")
    common = {"--help", "--version", "--verbosity", "--settings", "--pythonpath", "--traceback"}
    common |= {"--no-color", "--force-color", "--skip-checks"}
    shown = [action for action in parser._actions if action.help != SUPPRESS]
    flags = {flag for action in shown for flag in action.option_strings if flag.startswith("--")}

    assert {name for name in rows("The server") if name.startswith("--")} == flags - common


def test_every_setting_of_the_client_has_its_entry() -> None:
    documented = rows("The client")

    assert set(documented) == {"RAINBOW_CONFIG", *(f"RAINBOW_{name.upper()}" for name in config.DEFAULTS)}
    for name, default in config.DEFAULTS.items():
        _, flag, in_the_file, shown, _ = documented[f"RAINBOW_{name.upper()}"]
        assert in_the_file == f"`{name}`"
        assert flag.startswith("`--")
        assert shown.strip("`") == (str(default).lower() if isinstance(default, bool) else default or "none")


@pytest.mark.parametrize("name", sorted(name for name, app in get_commands().items() if app in OUR_APPS))
def test_every_management_command_has_its_heading(name: str) -> None:
    assert f"manage.py {name}" in headings(DOCS / "operations.md")


def test_no_management_command_is_made_up() -> None:
    documented = [heading for page in PAGES for heading in headings(page) if heading.startswith("manage.py ")]

    assert all(heading.removeprefix("manage.py ") in get_commands() for heading in documented)


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_of_the_command_line_has_its_heading_and_flags(name: str) -> None:
    text = (DOCS / "cli.md").read_text()
    command = cli.main.get_command(click.Context(cli.main), name)
    assert command

    assert f"rainbow {name}" in headings(DOCS / "cli.md")
    for parameter in command.params:
        for flag in parameter.opts:
            assert not flag.startswith("--") or flag in text


@pytest.mark.parametrize("words", list({" ".join(words): words for words in examples()}.values()), ids=" ".join)
def test_every_example_of_the_command_line_can_be_typed(words: list[str]) -> None:
    command = cli.main.get_command(click.Context(cli.main), words[0])
    assert command

    if isinstance(command, SbatchCommand):  # whose options stand before its script, as sbatch's do
        command.parse_args(click.Context(command), words[1:])
    else:
        command.make_parser(click.Context(command)).parse_args(words[1:])


def test_every_state_has_its_meaning() -> None:
    page = (DOCS / "concepts.md").read_text().partition("\n## The states\n")[2]

    assert re.findall(r"^\| `(\w+)` \| [a-z]", page, re.MULTILINE)[: len(JobState)] == list(JobState)


def test_every_error_has_its_exit_code() -> None:
    page = (DOCS / "concepts.md").read_text().partition("\n## Errors\n")[2]
    documented = dict(re.findall(r"^\| `([A-Z_]+)` \| .* \| (\d) \|$", page, re.MULTILINE))

    assert documented
    for code, exit_code in documented.items():
        assert cli.EXIT_CODES[code] == int(exit_code)


def test_the_reference_of_the_protocol_is_fresh() -> None:
    assert protocol.PAGE.read_text() == reference(parse(protocol.PROTO.read_text())), "run `make docs`"


def test_the_command_writes_the_reference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "BASE_DIR", tmp_path)
    monkeypatch.setattr(protocol, "PAGE", tmp_path / "protocol.md")

    call_command("protocol", stdout=StringIO())

    assert (tmp_path / "protocol.md").read_text() == (DOCS / "protocol.md").read_text()


def test_the_reference_knows_what_the_wire_knows() -> None:
    """The reader of the proto is our own; the descriptor, made by protoc, says whether it missed anything."""
    file = parse(protocol.PROTO.read_text())
    read = {block.name: {(member.number, member.name) for member in block.members} for block in file.blocks}

    assert read == {name: {(item.number, item.name) for item in members(kind)} for name, kind in kinds(pb.DESCRIPTOR)}
    assert [rpc.name for rpc in file.rpcs] == [
        method.name for method in pb.DESCRIPTOR.services_by_name[file.service].methods
    ]
    assert file.package == pb.DESCRIPTOR.package


def test_the_reference_says_which_side_of_a_call_is_a_stream() -> None:
    page = protocol.PAGE.read_text()

    for rpc in pb.DESCRIPTOR.services_by_name["RainbowScheduler"].methods:
        asks, answers = (
            f"{'stream of ' if many else ''}[{kind.name}](#{kind.name.lower()})"
            for kind, many in ((rpc.input_type, rpc.client_streaming), (rpc.output_type, rpc.server_streaming))
        )
        assert f"### {rpc.name}\n\n{asks} → {answers}\n" in page


def test_every_comment_of_the_proto_is_in_the_reference() -> None:
    file, page = parse(protocol.PROTO.read_text()), " ".join((DOCS / "protocol.md").read_text().split())
    comments = [file.comment, *(item.comment for item in (*file.rpcs, *file.blocks, *all_members(file)))]
    lines = [line.strip() for line in protocol.PROTO.read_text().splitlines()]
    left_out = {line for line in lines if line.startswith("//") and "belongs here" not in line}

    for comment in comments:
        assert " ".join(comment.split()) in page
        left_out -= {f"// {line}".strip() for line in comment.splitlines()}
    assert not left_out
    assert all(rpc.comment for rpc in file.rpcs)
    for member in all_members(file):
        assert f"| {member.number} | `{member.name}` |" in page


def test_every_field_and_value_of_the_proto_says_what_it_means() -> None:
    file = parse(protocol.PROTO.read_text())

    assert not [member.name for member in all_members(file) if not member.comment]


@pytest.mark.parametrize("line", ["extend Job {", "  oneof which {", "message A { string a = 1; }", "string a = 1"])
def test_a_line_that_the_reader_does_not_know_is_refused(line: str) -> None:
    with pytest.raises(UnknownLine):
        parse(f"message Outer {{\n{line}\n}}\n")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in LINK.findall(FENCED.sub("", page.read_text())):
        path, _, anchor = link.partition("#")
        if path.startswith(("https://", "mailto:")):
            continue
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert target.is_relative_to(ROOT), link
        assert not anchor or anchor in anchors(target), link


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached, ahead = set[Path](), [ROOT / "README.md"]
    while ahead:
        page = ahead.pop()
        if page in reached or page.suffix != ".md":
            continue
        reached.add(page)
        links = [link.partition("#")[0] for link in LINK.findall(page.read_text()) if "://" not in link]
        targets = [(page.parent / link).resolve() for link in links if link]
        ahead += [target / "README.md" if target.is_dir() else target for target in targets]

    assert reached >= set(PAGES)


def test_every_page_that_the_code_refers_to_exists() -> None:
    sources = [path for app in (*OUR_APPS, "rainbow") for path in (ROOT / app).rglob("*.py")]
    named = {name for path in sources for name in re.findall(r"docs/[\w./-]+\.md", path.read_text())}

    assert "docs/decisions/0003-plain-sql.md" in named
    assert all((ROOT / name).exists() for name in named)


def test_every_test_that_a_page_names_exists() -> None:
    named = {name for page in PAGES for name in re.findall(r"`(test_\w+)`", page.read_text())}
    tests = {name for path in (ROOT / "tests").glob("test_*.py") for name in TEST.findall(path.read_text())}

    assert len(named) > 40
    assert named - tests == set()


def kinds(owner: object) -> Iterator[tuple[str, Descriptor | EnumDescriptor]]:
    """Messages and enums by name, without those that protoc makes of maps."""
    package = f"{pb.DESCRIPTOR.package}."
    nested = owner.nested_types if isinstance(owner, Descriptor) else list(owner.message_types_by_name.values())
    enums = owner.enum_types if isinstance(owner, Descriptor) else list(owner.enum_types_by_name.values())
    for enum in enums:
        yield enum.full_name.removeprefix(package), enum
    for message in nested:
        if not message.GetOptions().map_entry:
            yield message.full_name.removeprefix(package), message
            yield from kinds(message)


def members(kind: Descriptor | EnumDescriptor) -> list:
    return list(kind.fields if isinstance(kind, Descriptor) else kind.values)


def all_members(file: ProtoFile) -> list[Member]:
    return [member for block in file.blocks for member in block.members]


def test_every_path_that_the_map_of_the_code_names_exists() -> None:
    named = re.findall(
        r"`([a-z_]+(?:/[a-z_]+)*(?:/|\.py|\.md|\.html|\.yaml|\.proto))`", (DOCS / "development.md").read_text()
    )

    assert len(named) > 50
    assert not [path for path in named if not (ROOT / path).exists()]
