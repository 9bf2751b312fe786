"""Writes deploy/onepeer-all.yaml anew, out of deploy/ itself: `python -m tests.e2e.onefile`."""

import sys
from pathlib import Path

from tests.e2e.apiserver import ROOT, tools
from tests.lab.netns import run

FILE = ROOT / "deploy" / "onepeer-all.yaml"
HEADER = """\
# All of deploy/ in one file, for those who do not use kustomize. Edit the ConfigMap, then: kubectl apply -f FILE
# Made by `python -m tests.e2e.onefile`; the reasons for what is in here stand in deploy/base/.
"""


def rendered(folder: Path) -> str:
    """What `kubectl kustomize` makes of a folder."""
    return run([str(tools("kubernetes") / "kubectl"), "kustomize", str(folder)])


def whole() -> str:
    """What the file has to be."""
    return HEADER + rendered(ROOT / "deploy")


if __name__ == "__main__":
    FILE.write_text(whole())
    print(f"wrote {FILE}", file=sys.stderr)
