"""Writes what has its source elsewhere: the chart's copy of the CRD and the reference pages; `--check` only compares.

python docs/generate.py            writes
python docs/generate.py --check    exits with 1 and names the files that are not current
"""
# ruff: noqa: INP001, T201 # a script that speaks to whoever runs it

import sys
from pathlib import Path

import allow_list_page
import guard_page
import metrics_page
import modeldeployment_page
import reasons_page
import settings_page
import yaml

ROOT = Path(__file__).resolve().parent.parent
CRD = ROOT / "crds" / "bartizan.dev_modeldeployments.yaml"
CHART_COPY = ROOT / "charts" / "bartizan" / "templates" / "crds.yaml"
CHART_ENVIRONMENT = ROOT / "charts" / "bartizan" / "templates" / "_environment.tpl"
REFERENCE = ROOT / "docs" / "reference"
NAME_LINE = "  name: modeldeployments.bartizan.dev\n"
KEEP = "  annotations:\n    helm.sh/resource-policy: keep\n"


def main(arguments: list[str]) -> int:
    source = CRD.read_text()
    definition = yaml.safe_load(source)
    pages = {
        CHART_COPY: chart_copy(source),
        REFERENCE / "modeldeployment.md": modeldeployment_page.render(definition),
        REFERENCE / "template.md": allow_list_page.render(),
        REFERENCE / "reasons.md": reasons_page.render(),
        REFERENCE / "settings.md": settings_page.render(CHART_ENVIRONMENT.read_text()),
        REFERENCE / "metrics.md": metrics_page.render(),
        REFERENCE / "guard.md": guard_page.render(),
    }
    stale = [path for path, text in pages.items() if not path.exists() or path.read_text() != text]
    for path in stale:
        shown = path.relative_to(ROOT)
        if "--check" in arguments:
            print(f"{shown} is not current; run `make generate`")
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(pages[path])
        print(f"wrote {shown}")
    return 1 if stale and "--check" in arguments else 0


def chart_copy(source: str) -> str:
    """The CRD as a template: it stays when the release goes, and may be left out."""
    body = "\n".join(line for line in source.splitlines() if not line.startswith("#"))
    if "{{" in body or body.count(NAME_LINE) != 1:
        raise ValueError("the CRD cannot be a Helm template: it holds '{{', or its name does not stand once")
    kept = body.replace(NAME_LINE, NAME_LINE + KEEP)
    return f"{{{{- if .Values.crds.install }}}}\n# Generated from crds/; do not edit.\n{kept}\n{{{{- end }}}}\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
