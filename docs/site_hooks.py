"""Shows files from outside docs/ in the site, where links among them and the pages stay what they are in a checkout."""

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
PUBLISHED = (
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "CITATION.cff",
    "LICENSE",
    "benchmarks/README.md",
    "experiments/*/README.md",
    "experiments/*/*.png",
    "experiments/*.ipynb",
)
README = "in-one-page.md"  # in the site, whose front page is docs/index.md
_CODE = re.compile(r"^(```|~~~).*?^\1|`[^`\n]+`", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<=\]\()([^)\s#]+)(?=[)#])")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what is published from outside docs/, at its path in the repository."""
    for pattern in PUBLISHED:
        for path in sorted(ROOT.glob(pattern)):
            name = path.relative_to(ROOT).as_posix()
            files.append(File.generated(config, in_site(name), abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links that hold in the repository into such that hold in the site."""
    shown = page.file.src_uri
    source = in_repository(shown)

    def link(found: re.Match[str]) -> str:
        target = found[1]
        if re.match(r"[a-z]+:", target):
            return target
        place = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        return posixpath.relpath(in_site(place), posixpath.dirname(shown) or ".")

    pieces, end = [], 0
    for code in _CODE.finditer(markdown):
        pieces += [_LINK.sub(link, markdown[end : code.start()]), code[0]]
        end = code.end()
    return "".join([*pieces, _LINK.sub(link, markdown[end:])])


def in_site(path: str) -> str:
    """Where a file of the repository is shown; a folder is shown by its README."""
    if path == "README.md":
        return README
    if (ROOT / path / "README.md").is_file():
        return f"{path}/README.md"
    return path.removeprefix("docs/")


def in_repository(shown: str) -> str:
    """The file that a page of the site is made of."""
    if shown == README:
        return "README.md"
    return f"docs/{shown}" if (ROOT / "docs" / shown).is_file() else shown
