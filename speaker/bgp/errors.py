"""What can be wrong with what a peer sends, and what does RFC 7606 ask us to do about it?

ProtocolError       the session cannot go on: it knows the NOTIFICATION that says so
TreatAsWithdraw     one UPDATE is unusable: its routes are withdrawn, the session lives (RFC 7606 2)

Both are the peer's fault. Our own faults are ordinary Python exceptions and never caught here.
"""


class ProtocolError(Exception):
    """A fault of the peer's that ends the session.

    `code`, `subcode` and `data` are the NOTIFICATION to send (RFC 4271 4.5); `text` is for people.
    """

    def __init__(self, code: int, subcode: int, text: str, data: bytes = b"") -> None:
        super().__init__(text)
        self.code = code
        self.subcode = subcode
        self.text = text
        self.data = data


class TreatAsWithdraw(Exception):
    """Path attributes that cannot be believed; `reason` names the attribute and its fault."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
