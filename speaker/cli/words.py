"""How are ages, counts and endings written for people?"""

from speaker.serve.views import SessionEnd

_UNITS = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))


def age(seconds: float) -> str:
    """`12s`, `4m10s`, `3d4h`: the two largest units, the second one left out where it is 0."""
    rest = max(0, int(seconds))
    for at, (unit, size) in enumerate(_UNITS):
        if rest >= size:
            number, rest = divmod(rest, size)
            small, size = _UNITS[min(at + 1, len(_UNITS) - 1)]
            return f"{number}{unit}" + (f"{rest // size}{small}" if rest >= size and unit != "s" else "")
    return "0s"


def count(number: int, one: str, many: str | None = None) -> str:
    """`1 node`, `3 nodes`."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def carried(paths: dict[str, int], prefixes: dict[str, int]) -> str:
    """`3 ipv4 paths to 2 prefixes, 4 ipv6 paths to 4 prefixes`; `none`."""
    families = [family for family, number in paths.items() if number]
    said = (
        f"{count(paths[family], f'{family} path')} to {count(prefixes.get(family, 0), 'prefix', 'prefixes')}"
        for family in families
    )
    return ", ".join(said) or "none"


def ending(end: SessionEnd, now: float) -> str:
    """How a session ended, on one line: `hold-timer-expired, 2m ago`."""
    said = ": ".join(part for part in (end.cause, end.notification or end.text) if part)
    return f"{said}, {age(now - end.at)} ago"
