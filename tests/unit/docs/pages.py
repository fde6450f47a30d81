"""What the pages of the documentation hold: links, headings, code blocks, numbers of threats."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])

FENCE = re.compile(r"^```(?P<language>[\w-]*)[^\n]*\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")
HEADING = re.compile(r"^#+ (?P<text>.+)$", re.MULTILINE)
OUTSIDE = ("http://", "https://", "mailto:")


@dataclass(frozen=True)
class Link:
    page: Path
    target: str

    def __str__(self) -> str:
        return f"{name(self.page)}→{self.target}"


@dataclass(frozen=True)
class Block:
    page: Path
    number: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{name(self.page)}#{self.number}"


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def links() -> list[Link]:
    """Those within the repository; what stands in code blocks is no link."""
    found = [Link(page, match["target"]) for page in PAGES for match in LINK.finditer(prose(page))]
    return [link for link in found if not link.target.startswith(OUTSIDE)]


def blocks(language: str) -> list[Block]:
    return [block for page in PAGES for block in _blocks(page) if block.language == language]


def prose(page: Path) -> str:
    """The page without its code blocks."""
    return FENCE.sub("", page.read_text())


def anchors(page: Path) -> set[str]:
    """As GitHub makes them of headings."""
    headings = [match["text"] for match in HEADING.finditer(prose(page))]
    return {re.sub(r"[^\w\- ]", "", text.lower()).strip().replace(" ", "-") for text in headings}


def threat_numbers(chapter: str = "") -> set[int]:
    """Those that have a row in the threat model, or in one chapter of it: `24–26` stands for three."""
    text = (DOCS / "threat-model.md").read_text()
    if chapter:
        text = text.partition(f"\n### {chapter}\n")[2].partition("\n##")[0]
    rows = re.findall(r"^\| (\d[\d, –]*) \|", text, re.MULTILINE)
    return {number for row in rows for part in row.split(", ") for number in _span(part)}


def _span(part: str) -> range:
    first, _, last = part.partition("–")
    return range(int(first), int(last or first) + 1)


def _blocks(page: Path) -> Iterator[Block]:
    for number, match in enumerate(FENCE.finditer(page.read_text()), 1):
        yield Block(page, number, match["language"], match["text"])
