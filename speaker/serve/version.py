"""Which version of Onepeer is this? The one that was installed, from its package metadata."""

from importlib.metadata import version

VERSION = version("onepeer")
