"""What is checked of a strategy before any engine makes it: its name and its symbols."""

from collections.abc import Sequence

from vnpy_core.engine.vn_enums import to_vn
from vnpy_core.enums import Exchange, parse_enum
from vnpy_core.errors import Invalid

_NAME_LENGTH = 64


def check_name(name: str) -> None:
    if not 0 < len(name) <= _NAME_LENGTH or not name.isprintable() or name != name.strip() or "/" in name:
        message = f"must have 1 to {_NAME_LENGTH} printable characters, no slash, and no blank at either end"
        errors = [{"field": "strategy_name", "message": message}]
        raise Invalid(f"{name!r} cannot be a strategy's name: it {message}.", errors=errors)


def checked_symbol(vt_symbol: str) -> str:
    """Return ``vt_symbol`` as vn.py writes it; the symbol itself may have dots."""
    symbol, _, exchange = vt_symbol.rpartition(".")
    try:
        if not symbol:
            raise ValueError("must be <symbol>.<exchange>, such as rb2501.SHFE")
        return f"{symbol}.{to_vn(parse_enum(Exchange, exchange)).value}"
    except ValueError as error:
        raise Invalid(
            f"{vt_symbol!r} is not a symbol: {error}", errors=[{"field": "vt_symbol", "message": str(error)}]
        ) from error


def only_symbol(vt_symbols: str | Sequence[str]) -> str:
    """Return the one symbol, as vn.py writes it.

    Raises:
        Invalid: there are none or several, or it is no symbol.
    """
    given = [vt_symbols] if isinstance(vt_symbols, str) else list(vt_symbols)
    if len(given) != 1:
        message = f"must name one symbol, not {len(given)}"
        raise Invalid(f"This engine's strategies trade one symbol each; {len(given)} were given.",
                      errors=[{"field": "vt_symbols", "message": message}])
    return checked_symbol(given[0])


def several_symbols(vt_symbols: Sequence[str]) -> list[str]:
    """Return the symbols, as vn.py writes them.

    Raises:
        Invalid: there are none, one is none, or one comes twice.
    """
    found = [checked_symbol(vt_symbol) for vt_symbol in vt_symbols]
    if not found or len(set(found)) < len(found):
        message = "must name at least one symbol, and each once"
        raise Invalid(f"The symbols {', '.join(found) or '(none)'} {message}.",
                      errors=[{"field": "vt_symbols", "message": message}])
    return found
