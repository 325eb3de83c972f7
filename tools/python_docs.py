"""Writes into the pages of docs/python the programs that they show: `python -m tools.python_docs`."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGES = ROOT / "docs" / "python"
SHOWN = re.compile(r"(<!-- (examples/\w+\.py) -->\n```python\n).*?(```\n)", re.DOTALL)


def written() -> dict[Path, str]:
    """The content of each page."""
    return {page: SHOWN.sub(_with_program, page.read_text()) for page in sorted(PAGES.glob("*.md"))}


def _with_program(shown: re.Match[str]) -> str:
    return f"{shown[1]}{(PAGES / shown[2]).read_text()}{shown[3]}"


if __name__ == "__main__":
    for page, content in written().items():
        page.write_text(content)
