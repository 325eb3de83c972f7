"""Writes docs/python/reference.md from the docstrings, and into the other pages there the programs that they show:
`python -m tools.python_docs`.

It reads the source, and so needs none of what the client imports. griffe and pydoc-markdown do the same for any code;
this code has few kinds of things, and what they make of it would be bent into shape by a template as long as this.
"""

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from textwrap import dedent

ROOT = Path(__file__).parent.parent
PAGES = ROOT / "docs" / "python"
SHOWN = re.compile(r"(<!-- (examples/\w+\.py) -->\n```python\n).*?(```\n)", re.DOTALL)

HEAD = """# Reference

`make docs` writes this page from the docstrings. [The overview](README.md) says how calls are repeated, and
which deadlines they have. Of `AsyncClient`, the calls are the same, to be awaited, without those of agents.
"""
# The classes of each part, by the file that they are in.
PARTS: dict[str, dict[str, list[str]]] = {
    "Clients": {
        "rainbow/client.py": ["Client"],
        "rainbow/aio/client.py": ["AsyncClient"],
        "rainbow/retries.py": ["Retries"],
    },
    "Making a client": {"rainbow/client_session.py": ["ClientSession"]},
    "Submitting": {"rainbow/client_submission.py": ["SubmissionCalls"]},
    "Jobs": {"rainbow/client_jobs.py": ["JobCalls"]},
    "Groups": {"rainbow/client_groups.py": ["GroupCalls"]},
    "Files": {"rainbow/client_files.py": ["FileCalls"]},
    "Clusters": {
        "rainbow/client_clusters.py": ["ClusterCalls"],
        "rainbow/client_registration.py": ["RegistrationCalls"],
    },
    "People and tokens": {"rainbow/client_people.py": ["PeopleCalls"]},
    "Calls of agents": {"rainbow/client_queue.py": ["QueueCalls"]},
    "Futures": {
        "rainbow/futures/executor.py": ["RainbowExecutor"],
        "rainbow/futures/future.py": ["JobFuture"],
        "rainbow/futures/failures.py": ["JobFailed", "RemoteError", "RemoteTraceback"],
    },
    "Records": {
        "rainbow/specs.py": ["JobDescription", "JobSpec", "OnLost"],
        "rainbow/records.py": [],
        "rainbow/states.py": ["JobState", "EndCause"],
    },
    "Errors": {"rainbow/errors.py": []},
}


def written() -> dict[Path, str]:
    """The content of each page."""
    pages = {page: SHOWN.sub(_with_program, page.read_text()) for page in sorted(PAGES.glob("*.md"))}
    return {**pages, PAGES / "reference.md": reference()}


def _with_program(shown: re.Match[str]) -> str:
    return f"{shown[1]}{(PAGES / shown[2]).read_text()}{shown[3]}"


def reference() -> str:
    return "\n".join([HEAD, *(f"## {part}\n\n{_part(files)}" for part, files in PARTS.items())])


def _part(files: dict[str, list[str]]) -> str:
    return "\n".join(text for path, names in files.items() for text in _classes(path, names))


def _classes(path: str, names: Iterable[str]) -> Iterator[str]:
    """Those of the file that are named, or all."""
    for node in ast.parse((ROOT / path).read_text()).body:
        if isinstance(node, ast.ClassDef) and (node.name in names or not names) and not node.name.startswith("_"):
            yield _class(node)


def _class(node: ast.ClassDef) -> str:
    heading = "" if node.name.endswith(("Calls", "Session")) else f"### {node.name}\n"
    fields = [ast.unparse(item) for item in node.body if _is_field(item)]
    told = [heading, _docstring(node), _code(fields)]
    level = "####" if heading else "###"
    calls = [_call(item, level) for item in node.body if isinstance(item, ast.FunctionDef) and _is_shown(item)]
    return "\n".join(text for text in (*told, *calls) if text)


def _is_field(item: ast.stmt) -> bool:
    if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
        return not item.target.id.startswith("_")
    return isinstance(item, ast.Assign) and isinstance(item.value, ast.Constant)


def _is_shown(item: ast.FunctionDef) -> bool:
    return item.name == "__init__" or not item.name.startswith("_")


def _call(item: ast.FunctionDef, level: str) -> str:
    name = "made with" if item.name == "__init__" else item.name
    returns = f" -> {ast.unparse(item.returns)}" if item.returns and item.name != "__init__" else ""
    decorators = [f"@{ast.unparse(decorator)}" for decorator in item.decorator_list]
    signature = f"{item.name}({_parameters(item.args)}){returns}"
    return f"{level} {name}\n\n{_code([*decorators, signature])}\n{_docstring(item)}"


def _parameters(arguments: ast.arguments) -> str:
    """One on a line where that is long, without self."""
    words = [word for word in ast.unparse(arguments).split(", ") if word not in ("self", "cls")]
    text = ", ".join(words).removeprefix("/, ")
    if len(text) <= 80:
        return text
    depth, lines = 0, [""]
    for character in text:
        depth += (character in "([{") - (character in ")]}")
        lines[-1] += character
        if character == "," and not depth:
            lines.append("")
    return "\n" + "".join(f"    {line.strip()}\n" for line in lines)


def _code(lines: list[str]) -> str:
    return "```text\n" + "".join(f"{line}\n" for line in lines) + "```\n" if lines else ""


def _docstring(node: ast.ClassDef | ast.FunctionDef) -> str:
    text = dedent(ast.get_docstring(node) or "")
    return f"{text}\n" if text else ""


if __name__ == "__main__":
    for page, content in written().items():
        page.write_text(content)
