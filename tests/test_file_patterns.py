"""Which files patterns mean, and what it costs to tell."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from rainbow import file_patterns
from rainbow.executors.folders import folder_of
from rainbow.file_patterns import FilePatterns, is_meant


def leads_to(folder: str, *patterns: str) -> bool:
    left: FilePatterns | None = file_patterns.file_patterns(patterns)
    for part in folder.split("/"):
        left = left and left.below(part)
    return left is not None


@pytest.mark.parametrize(
    ("name", "patterns", "fits"),
    [
        ("a.png", ["*.png"], True),
        ("a.png", ["*.txt", "a*"], True),
        ("A.png", ["a.png"], False),
        ("out/a.png", ["*.png"], False),
        ("out/a.png", ["*"], True),
        ("out/a.png", ["out"], True),
        ("out/a.png", ["out/"], True),
        ("out/deep/a.png", ["out/*"], True),
        ("out", ["out/*"], False),
        ("out/a/b", ["out/*/b", "in"], True),
        ("out/a/b", ["out/*/c"], False),
        ("a[1]b", ["a[12]b"], False),
        ("a", [], True),
    ],
)
def test_patterns_mean_files_by_their_parts(name: str, patterns: list[str], fits: bool) -> None:
    assert is_meant(name, file_patterns.file_patterns(patterns)) == fits


@pytest.mark.parametrize(
    ("folder", "leads"), [("out", True), ("out/x", True), ("in", False), ("out/x/y", False), ("log/any/deep", True)]
)
def test_folders_are_gone_into_where_something_below_may_be_meant(folder: str, leads: bool) -> None:
    assert leads_to(folder, "out/*/y.txt", "log") == leads


def test_what_leads_to_a_folder_is_compared_once_for_all_of_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[str] = []
    compiled = file_patterns._compiled

    def counting(part: str) -> Callable[[str], re.Match[str] | None]:
        compared.append(part)
        return compiled(part)

    monkeypatch.setattr(file_patterns, "_compiled", counting)
    folder = folder_of(tmp_path, "rainbow-1-1")
    folder.make()
    deep = folder.path / "files" / "a/b/c"
    deep.mkdir(parents=True)
    for number in range(20):
        (deep / f"{number}.txt").touch()

    listed = folder.files(["a/b/c/*.txt", "a/b/x/*.txt"])

    assert len(listed.files) == 20
    assert {part: compared.count(part) for part in set(compared)} == {"a": 2, "b": 2, "c": 1, "x": 1, "*.txt": 20}
