"""How Sphinx makes the manual's site of README.md and docs/; `make site` runs it.

Each version has a folder of its own beside the others, and `versions.json` above them lists those that are there.
"""

import json
from pathlib import Path

from packaging.version import Version
from sphinx.application import Sphinx

ROOT = Path(__file__).parents[2]
# What people read first stands first. A page that is nowhere here fails the build.
PAGES = {
    "Submitting jobs": [
        "docs/concepts", "docs/parameter-study", "docs/sbatch", "docs/snakemake", "docs/where", "docs/cli",
        "docs/my-pages",
    ],
    "Python": ["docs/python/README", "docs/python/recipes", "docs/python/futures", "docs/python/reference"],
    "At a site": ["docs/agent", "docs/people-at-sites", "docs/executors"],
    "Running a server": [
        "docs/operations", "docs/configuration", "docs/containers", "docs/admin", "docs/people", "docs/who-may",
        "docs/sign-in", "docs/certificates", "docs/backup", "docs/upgrading", "docs/logs", "docs/metrics",
        "docs/reliability", "docs/security", "SECURITY",
    ],
    "Interfaces": [
        "docs/rest", "deploy/site/rest-reference", "docs/protocol", "docs/transports",
        "docs/later-generation", "docs/iri",
    ],
    "The project": ["CHANGELOG", "docs/development", "docs/benchmarks", "docs/decisions/README"],
}  # fmt: skip

project = "rainbow"
version = release = (ROOT / "rainbow/__init__.py").read_text().split('__version__ = "')[1].split('"')[0]

extensions = ["myst_parser", "sphinxcontrib.openapi"]
root_doc = "README"
include_patterns = ["*.md", "docs/**.md", "deploy/site/*.md"]
exclude_patterns = [".*", "build"]
# As forges make them, for which the pages are written, too.
myst_heading_anchors = 4

html_theme = "sphinx_book_theme"
html_title = f"rainbow {version}"
html_show_copyright = False
html_copy_source = False
html_sidebars = {"**": ["navbar-logo", "version-switcher", "search-button-field", "sbt-sidebar-nav"]}
html_theme_options = {
    "switcher": {"json_url": "../versions.json", "version_match": version},
    # The list does not exist before the site does.
    "check_switcher": False,
    "navbar_start": [],
    "navbar_persistent": [],
    "use_download_button": False,
    "use_fullscreen_button": False,
}


def list_pages(app: Sphinx, page: str, source: list[str]) -> None:
    """Give the first page the site's contents, which a forge would show as they are written."""
    if page == root_doc:
        for caption, pages in PAGES.items():
            source[0] += "\n```{toctree}\n:hidden:\n:caption: " + caption + "\n\n" + "\n".join(pages) + "\n```\n"
    if page == "docs/decisions/README":
        source[0] += "\n```{toctree}\n:hidden:\n:glob:\n\n[0-9]*\n```\n"


def finish(app: Sphinx, failure: Exception | None) -> None:
    """Lead from each folder to its first page, and tell the versions of each other."""
    if failure or app.builder.name != "html":
        return
    site = Path(app.outdir).parent
    (Path(app.outdir) / "index.html").write_text(redirect_to(f"{root_doc}.html"))
    versions = sorted((page.parent.name for page in site.glob(f"*/{root_doc}.html")), key=Version, reverse=True)
    entries = [{"version": name, "url": f"../{name}/{root_doc}.html"} for name in versions]
    (site / "versions.json").write_text(json.dumps(entries, indent=2) + "\n")
    released = [name for name in versions if not Version(name).is_prerelease]
    (site / "index.html").write_text(redirect_to(f"{(released or versions)[0]}/{root_doc}.html"))


def redirect_to(address: str) -> str:
    return f'<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0; url={address}">\n'


def setup(app: Sphinx) -> None:
    app.connect("source-read", list_pages)
    app.connect("build-finished", finish)
