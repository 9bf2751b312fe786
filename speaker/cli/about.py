"""Which versions are these?"""

import platform
from importlib.metadata import version

from pydantic import BaseModel

from speaker.cli.page import Page, line
from speaker.serve.version import VERSION


class AboutView(BaseModel):
    """`onepeer version`."""

    onepeer: str
    exabgp: str
    python: str


def about() -> AboutView:
    """Of what is installed here."""
    return AboutView(onepeer=VERSION, exabgp=version("exabgp"), python=platform.python_version())


def about_page(view: AboutView) -> Page:
    """On one line."""
    return [line(f"onepeer {view.onepeer} (exabgp {view.exabgp}, Python {view.python})")]
