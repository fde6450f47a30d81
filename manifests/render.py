#!/usr/bin/env python3
"""Renders manifests/install.yaml from the chart: what `kubectl apply` installs where there is no Helm.

`render.py` writes it; `render.py --check` fails where it is not current. Helm is $HELM, or the one that the tests use.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "manifests" / "install.yaml"
NAMESPACE = "bartizan-system"
HEAD = f"""\
# Generated from charts/bartizan by manifests/render.py; do not edit.
# The chart's defaults: rights in the whole cluster, image localhost/bartizan:dev. Change the image before you apply it:
#   sed 's#localhost/bartizan:dev#registry.example/bartizan:0.1.0#' manifests/install.yaml \\
#     | kubectl apply --server-side --filename -
apiVersion: v1
kind: Namespace
metadata:
  name: {NAMESPACE}
  labels:
    pod-security.kubernetes.io/enforce: restricted
"""


def helm() -> str:
    """Path of Helm."""
    if "HELM" in os.environ:
        return os.environ["HELM"]
    sys.path.insert(0, str(ROOT))
    from tests.localcluster.api import tool  # noqa: PLC0415 - needed only where no Helm is named

    return str(tool("helm"))


def render() -> str:
    command = [helm(), "template", "bartizan", str(ROOT / "charts" / "bartizan"), "--namespace", NAMESPACE]
    rendered = subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603 - our own Helm
    return HEAD + rendered


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; fail where the file is not current")
    is_check = parser.parse_args().check
    rendered = render()
    if is_check:
        if TARGET.exists() and TARGET.read_text() == rendered:
            return 0
        print("manifests/install.yaml is not current: run manifests/render.py", file=sys.stderr)  # noqa: T201
        return 1
    TARGET.write_text(rendered)
    return 0


if __name__ == "__main__":
    sys.exit(main())
