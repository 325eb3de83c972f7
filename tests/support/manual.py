"""The commands that the manual has its readers type."""

import re

from tests.support.servers import ROOT

_CONSOLE = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def typed(page: str, heading: str, containing: str) -> list[str]:
    """The commands of the block in a section of a page that has these words."""
    section = (ROOT / "docs" / page).read_text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    (block,) = [block for block in _CONSOLE.findall(section) if containing in block]
    return [line.removeprefix("$ ") for line in block.splitlines() if line.startswith("$ ")]
