"""The mark that an order carries to the venue in its reference, so that it is known again if its answer is lost.

SimGateway and vn.py's RpcGateway hand the reference back. The gateways of brokers that were read do not send it:
their orders are known again by what they are.
"""

# vn.py's engines write their name before the strategy's or the algorithm's into an order's reference.
_ENGINES = ("CtaStrategy_", "AlgoTrading_", "PortfolioStrategy_", "SpreadTrading_")
_MARK = "~"
_LENGTH = 32  # the id of an intent
_DIGITS = frozenset("0123456789abcdef")


def is_of_engine(reference: str) -> bool:
    """Tell whether a strategy or an algorithm has sent the order with this reference."""
    return reference.startswith(_ENGINES)


def marked(reference: str, marker: str) -> str:
    """Return ``reference`` with ``marker``, the id of an intent, at its end; without one it stays as it is."""
    return f"{reference}{_MARK}{marker}" if marker else reference


def split_reference(text: str) -> tuple[str, str]:
    """Return the reference that was asked for and the marker, empty if there is none."""
    if len(text) <= _LENGTH or text[-_LENGTH - 1] != _MARK:
        return text, ""
    marker = text[-_LENGTH:]
    return (text[: -_LENGTH - 1], marker) if _DIGITS.issuperset(marker) else (text, "")
