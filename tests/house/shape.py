"""Measures the source under operator/ against the house's aims for the size of files and functions; prints the figures.

Aims: files 120 lines in the median, 300 at the 90th percentile, 400 at the most; functions 8, 25 and 40 lines, and at
most 10 branches.
"""

import ast
import statistics
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MOST_BRANCHES = 10
BRANCHES = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.ExceptHandler, ast.IfExp, ast.match_case)


@dataclass(frozen=True)
class Aim:
    median: int
    ninetieth: int
    most: int


FILES = Aim(median=120, ninetieth=300, most=400)
FUNCTIONS = Aim(median=8, ninetieth=25, most=40)


@dataclass(frozen=True)
class Size:
    where: str
    lines: int
    branches: int = 0


def sources() -> list[Path]:
    return sorted((ROOT / "operator").rglob("*.py"))


def files() -> list[Size]:
    """Modules; packages' docstring files say nothing about the size of code."""
    paths = [path for path in sources() if path.name != "__init__.py"]
    return [Size(str(path.relative_to(ROOT)), len(path.read_text().splitlines())) for path in paths]


def functions() -> list[Size]:
    return [size for path in sources() for size in _functions(path)]


def _functions(path: Path) -> Iterator[Size]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            where = f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
            yield Size(where, (node.end_lineno or node.lineno) - node.lineno + 1, _branches(node))


def _branches(function: ast.AST) -> int:
    return sum(isinstance(node, BRANCHES) for node in ast.walk(function))


def measure(name: str, sizes: list[Size], aim: Aim) -> tuple[str, list[str]]:
    """One line of figures, and what is over the aim."""
    lines = sorted(size.lines for size in sizes)
    median, ninetieth = statistics.median(lines), statistics.quantiles(lines, n=10)[-1]
    line = (
        f"{len(lines)} {name}: median {median:.0f} lines (aim {aim.median}), 90th percentile {ninetieth:.0f} "
        f"(aim {aim.ninetieth}), largest {lines[-1]} (aim {aim.most})"
    )
    over = [f"{size.where}: {size.lines} lines" for size in sizes if size.lines > aim.most]
    over += [f"{size.where}: {size.branches} branches" for size in sizes if size.branches > MOST_BRANCHES]
    if median > aim.median or ninetieth > aim.ninetieth:
        over.append(f"{name}: over the aim as a whole")
    return line, over


MEASURED = (("files", files, FILES), ("functions", functions, FUNCTIONS))


def main() -> int:
    over: list[str] = []
    for name, sizes, aim in MEASURED:
        line, found = measure(name, sizes(), aim)
        print(line)
        over += found
    for text in over:
        print(f"over the aim: {text}", file=sys.stderr)
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
