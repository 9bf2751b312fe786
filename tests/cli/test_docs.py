"""docs/cli.md has the help of every command, word for word."""

from tests.cli.command import run
from tests.serve.generated import check_page

COMMANDS = (
    "run",
    "check",
    "status",
    "nodes",
    "routes",
    "history",
    "explain",
    "doctor",
    "drain",
    "undrain",
    "version",
    "router",
)
ROUTER = ("lines", "migrate", "verify")


def help_of(*words: str) -> str:
    """As a terminal of 80 columns shows it."""
    done = run(*words, "--help")
    assert (done.status, done.err) == (0, "")
    return f"\n```console\n$ onepeer {' '.join((*words, '--help'))}\n{done.out.rstrip()}\n```\n\n"


def test_the_page_of_the_command_line_has_every_command() -> None:
    """And no command is missing from `onepeer --help`."""
    listed = help_of().partition("Commands:")[2]
    assert [line.split()[0] for line in listed.splitlines() if line.startswith("  ")] == list(COMMANDS)
    pages = {"onepeer": help_of(), **{f"onepeer {name}": help_of(name) for name in COMMANDS}}
    pages |= {f"onepeer router {name}": help_of("router", name) for name in ROUTER}
    check_page("cli.md", pages)
    assert all(len(line) <= 100 for text in pages.values() for line in text.splitlines())
