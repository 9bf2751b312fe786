"""How often should the same thing be said? Once, and then with a count."""


class Seldom:
    """Lets each key through once in `every` seconds, with how often it came up since.

    At most `keys` keys are remembered; past it the oldest is forgotten, so that a flood of strangers costs a bounded
    amount of memory and at the worst a line each.
    """

    def __init__(self, every: float, keys: int = 1024) -> None:
        self._every = every
        self._keys = keys
        self._said: dict[object, tuple[float, int]] = {}

    def due(self, key: object, now: float) -> int:
        """How often it came up since it was last said, this time included; 0 if it should not be said now."""
        held = self._said.get(key)
        if held is None:
            if len(self._said) >= self._keys:
                del self._said[next(iter(self._said))]
            self._said[key] = (now, 0)
            return 1
        at, count = held
        if now - at < self._every:
            self._said[key] = (at, count + 1)
            return 0
        self._said[key] = (now, 0)
        return count + 1
