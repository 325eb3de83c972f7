"""Writes the calls of `rainbow.AsyncClient` from those of `rainbow.Client`: `python -m tools.async_client`.

A call of `Connection` that waits becomes `await`, a loop over a stream `async for`, and whoever does either becomes a
coroutine or an asynchronous iterator itself. What waits in another way has its own module in rainbow/aio: the
connection, the pauses, and the stream of submissions.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).parent.parent
WRITTEN = {
    f"rainbow/{name}.py": f"rainbow/aio/{name.removeprefix('client_')}.py"
    for name in (
        "client_clusters", "client_files", "client_groups", "client_jobs", "client_people", "client_registration",
        "client_submission", "output_stream", "watch_stream",
    )
}  # fmt: skip
# Where the asynchronous ones are of what a module imports.
INSTEAD_OF = {
    **{
        source.removesuffix(".py").replace("/", "."): to.removesuffix(".py").replace("/", ".")
        for source, to in WRITTEN.items()
    },
    "rainbow.client_session": "rainbow.aio.session",
}
NAMES = {"Patience": "AsyncPatience", "ClientSession": "AsyncSession"}
MOVED = {
    "rainbow.retries.Patience": "rainbow.aio.pauses",
    "rainbow.client_session.expect": "rainbow.client_session",
    "rainbow.submitting.Submitting": "rainbow.aio.submitting",
}
# What waits, and what is a stream, of the modules that are not written.
COROUTINES = frozenset({"ask", "ask_once", "repeat", "send", "rest", "wait"})
STREAMS = frozenset({"stream", "exchange", "results"})
HEAD = "# Written from {source} by `make client`. Change that file.\n"

Function = ast.FunctionDef | ast.AsyncFunctionDef


def written() -> dict[str, str]:
    """The content of each file, by its path."""
    trees = {source: ast.parse((ROOT / source).read_text()) for source in WRITTEN}
    kinds = Kinds(trees)
    return {to: _formatted(source, _rewritten(trees[source], kinds), to) for source, to in WRITTEN.items()}


def _rewritten(tree: ast.Module, kinds: "Kinds") -> str:
    return ast.unparse(ast.fix_missing_locations(Rewriter(kinds).visit(tree)))


def _formatted(source: str, code: str, name: str) -> str:
    code = HEAD.format(source=source) + code
    for words in (["check", "--fix", "--exit-zero"], ["format"]):
        ruff = [sys.executable, "-m", "ruff", *words, "--quiet", "--stdin-filename", str(ROOT / name), "-"]
        code = subprocess.run(ruff, input=code, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    return code


class Kinds:
    """Which functions of the modules wait, and which return streams, by name."""

    def __init__(self, trees: Mapping[str, ast.Module]) -> None:
        functions = [node for tree in trees.values() for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
        self.coroutines, self.streams = set(COROUTINES), set(STREAMS)
        while found := {f.name for f in functions if self._waits(f)} - self.coroutines - self.streams:
            iterators = {f.name for f in functions if f.name in found and _is_iterator(f)}
            self.streams |= iterators
            self.coroutines |= found - iterators

    def _waits(self, function: ast.FunctionDef) -> bool:
        return any(called(node) in self.coroutines | self.streams for node in _own_nodes(function))


def called(node: ast.AST | None) -> str:
    """The name of the function that it calls."""
    if not isinstance(node, ast.Call):
        return ""
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def _is_iterator(function: Function) -> bool:
    return function.returns is not None and ast.unparse(function.returns).startswith("Iterator[")


def _own_nodes(function: Function) -> Iterator[ast.AST]:
    """Without those of lambdas, which hand on what they call."""
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop()
        yield node
        waiting += [child for child in ast.iter_child_nodes(node) if not isinstance(child, ast.Lambda)]


class Rewriter(ast.NodeTransformer):
    def __init__(self, kinds: Kinds) -> None:
        self._kinds = kinds

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        is_stream, waits = node.name in self._kinds.streams, node.name in self._kinds.coroutines
        yields = any(isinstance(inner, ast.Yield | ast.YieldFrom) for inner in _own_nodes(node))
        self.generic_visit(node)
        if is_stream and isinstance(node.returns, ast.Subscript):
            for annotation in (node.returns, *(arg.annotation for arg in node.args.args)):
                if isinstance(annotation, ast.Subscript) and ast.unparse(annotation.value) == "Iterator":
                    annotation.value = ast.Name("AsyncIterator")
        if not (waits or (is_stream and yields)):
            return node
        return ast.AsyncFunctionDef(**{name: getattr(node, name) for name in node._fields})

    def visit_Lambda(self, node: ast.Lambda) -> ast.AST:
        """What it returns is awaited by who calls it."""
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        return ast.Await(node) if called(node) in self._kinds.coroutines else node

    def visit_For(self, node: ast.For) -> ast.AST:
        is_stream = called(node.iter) in self._kinds.streams
        self.generic_visit(node)
        return ast.AsyncFor(**{name: getattr(node, name) for name in node._fields}) if is_stream else node

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        if not isinstance(node.value, ast.YieldFrom):
            return self.generic_visit(node)
        item = ast.Expr(ast.Yield(ast.Name("item")))
        return self.visit_For(ast.For(target=ast.Name("item"), iter=node.value.value, body=[item], orelse=[], lineno=0))

    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        """`Stream = Callable[..., Iterator[...]]`."""
        if isinstance(node.targets[0], ast.Name) and node.targets[0].id == "Stream":
            return ast.parse(ast.unparse(node).replace(" Iterator[", " AsyncIterator[")).body[0]
        return self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        node.id = NAMES.get(node.id, node.id)
        return node

    def visit_ImportFrom(self, node: ast.ImportFrom) -> list[ast.AST]:
        return [_import(str(node.module), alias) for alias in node.names]


def _import(module: str, alias: ast.alias) -> ast.ImportFrom:
    full, name = f"{module}.{alias.name}", NAMES.get(alias.name, alias.name)
    if full == "collections.abc.Iterator":
        return ast.ImportFrom(module, [ast.alias("AsyncIterator"), ast.alias("Iterator")], 0)
    if full in INSTEAD_OF:
        module = INSTEAD_OF[full].rpartition(".")[0]
    return ast.ImportFrom(MOVED.get(full, INSTEAD_OF.get(module, module)), [ast.alias(name, alias.asname)], 0)


if __name__ == "__main__":
    for path, content in written().items():
        (ROOT / path).write_text(content)
