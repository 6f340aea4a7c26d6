"""What each route takes: scopes by area and method, and what is open. What is not listed is refused to everybody.

A test goes through all routes of the application, and fails for one that no rule here was made for.
"""

from collections.abc import Iterable, Mapping

import msgspec

from vnpy_core.enums import Scope
from vnpy_core.security.throttle import LimitClass

API_PREFIX = "/api/v1"
_READING = frozenset({"GET", "HEAD"})
_KEPT = 4096


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """``scopes``: any one of them will do; none at all: whoever is known. ``open``: nobody is asked.

    ``login``: an attempt to get in, counted by address. ``audited``: it goes into the audit log.
    """

    scopes: frozenset[Scope] = frozenset()
    open: bool = False
    login: bool = False
    audited: bool = True
    limit: LimitClass = LimitClass.WRITES


def _read(*scopes: Scope) -> Rule:
    return Rule(scopes=frozenset(scopes), audited=False, limit=LimitClass.READS)


def _write(*scopes: Scope, limit: LimitClass = LimitClass.WRITES) -> Rule:
    return Rule(scopes=frozenset(scopes), limit=limit)


OPEN = Rule(open=True, audited=False, limit=LimitClass.READS)
LOGIN = Rule(open=True, login=True)
KNOWN = _read()
SELF = Rule()
ADMIN_READ, ADMIN_WRITE = _read(Scope.ADMIN), _write(Scope.ADMIN)
_TRADING = _read(Scope.TRADING_READ), _write(Scope.TRADING_WRITE)
_STRATEGY = _read(Scope.STRATEGY_READ), _write(Scope.STRATEGY_WRITE)
_DATA = _read(Scope.DATA_READ), _write(Scope.DATA_WRITE)
_ORDERS = _read(Scope.TRADING_READ), _write(Scope.TRADING_WRITE, limit=LimitClass.ORDERS)
_MARKET = _read(Scope.TRADING_READ, Scope.DATA_READ), _write(Scope.TRADING_WRITE)
_STOP = _write(Scope.TRADING_WRITE, Scope.RISK_WRITE, limit=LimitClass.STOPS)
_CANCEL = _write(Scope.TRADING_WRITE, limit=LimitClass.STOPS)
_OPEN = OPEN, None
_LOGIN = None, LOGIN

# By what a path is or begins with, up to a slash: the rule for reading and that for everything else. The longest wins.
AREAS: Mapping[str, tuple[Rule | None, Rule | None]] = {
    "/": _OPEN,
    "/health": _OPEN,
    "/docs": _OPEN,
    "/login": _OPEN,
    "/openapi.json": _OPEN,
    "/asyncapi.json": _OPEN,
    "/vendor": _OPEN,
    "/metrics": (_read(Scope.SYSTEM_READ), None),
    "/ws": (KNOWN, None),
    f"{API_PREFIX}/auth/login": _LOGIN,
    f"{API_PREFIX}/auth/login-link": _LOGIN,
    f"{API_PREFIX}/auth/refresh": _LOGIN,
    f"{API_PREFIX}/auth/me": (KNOWN, None),
    f"{API_PREFIX}/auth/logout": (None, SELF),
    f"{API_PREFIX}/auth/password": (None, SELF),
    f"{API_PREFIX}/auth/totp": (None, SELF),
    f"{API_PREFIX}/auth/sessions": (KNOWN, SELF),
    f"{API_PREFIX}/auth/api-keys": (KNOWN, SELF),
    f"{API_PREFIX}/auth/ws-ticket": (None, Rule(audited=False)),
    f"{API_PREFIX}/auth/users": (ADMIN_READ, ADMIN_WRITE),
    f"{API_PREFIX}/auth/audit": (ADMIN_READ, None),
    f"{API_PREFIX}/trading": _TRADING,
    f"{API_PREFIX}/trading/orders": _ORDERS,
    f"{API_PREFIX}/trading/orders/cancel-all": (_ORDERS[0], _CANCEL),
    f"{API_PREFIX}/trading/orders/cancel-batch": (_ORDERS[0], _CANCEL),
    # Differences are accepted, and what became of an order is said, by those who answer for it.
    f"{API_PREFIX}/trading/reconciliation": (_TRADING[0], ADMIN_WRITE),
    f"{API_PREFIX}/trading/drift": (_TRADING[0], ADMIN_WRITE),
    f"{API_PREFIX}/trading/intents": (_TRADING[0], ADMIN_WRITE),
    f"{API_PREFIX}/trading/gateway-settings": (ADMIN_READ, ADMIN_WRITE),
    f"{API_PREFIX}/trading/ticks": _MARKET,
    f"{API_PREFIX}/trading/contracts": _MARKET,
    f"{API_PREFIX}/trading/subscriptions": _MARKET,
    f"{API_PREFIX}/algos": _TRADING,
    f"{API_PREFIX}/strategies": _STRATEGY,
    # Code that is uploaded runs with all the service's rights; to read it takes what to run it does.
    f"{API_PREFIX}/strategy-files": (_read(Scope.STRATEGY_WRITE, Scope.ADMIN), ADMIN_WRITE),
    f"{API_PREFIX}/backtests": _STRATEGY,
    f"{API_PREFIX}/data": _DATA,
    f"{API_PREFIX}/charts": _DATA,
    f"{API_PREFIX}/risk": (_read(Scope.RISK_READ), _write(Scope.RISK_WRITE)),
    # Whoever may trade may also stop it; to begin again takes more.
    f"{API_PREFIX}/risk/halt": (None, _STOP),
    f"{API_PREFIX}/risk/kill-switch": (_read(Scope.RISK_READ), _STOP),
    # Whoever trades may say of an alert that it is seen to; what is watched at all is for those who answer for it.
    f"{API_PREFIX}/alerts": (_read(Scope.SYSTEM_READ), _write(Scope.TRADING_WRITE, Scope.RISK_WRITE)),
    f"{API_PREFIX}/alerts/rules": (_read(Scope.SYSTEM_READ), ADMIN_WRITE),
    f"{API_PREFIX}/alerts/channels": (_read(Scope.SYSTEM_READ), ADMIN_WRITE),
    f"{API_PREFIX}/system": (_read(Scope.SYSTEM_READ), ADMIN_WRITE),
}


class Rules:
    """Finds the rule of a request by its path, as it was routed: neither decoded again nor made shorter."""

    def __init__(self, areas: Mapping[str, tuple[Rule | None, Rule | None]] = AREAS) -> None:
        self._areas = areas
        self._found: dict[tuple[str, str], Rule | None] = {}

    def of(self, method: str, path: str) -> Rule | None:
        """Return the rule, or ``None`` where there is none."""
        key = method, path
        try:
            return self._found[key]
        except KeyError:
            if len(self._found) >= _KEPT:
                self._found.clear()
            rule = self._found[key] = self._find(method, path)
            return rule

    def _find(self, method: str, path: str) -> Rule | None:
        for area in _above(path):
            if (rules := self._areas.get(area)) is not None:
                if method == "DELETE" and rules is _ORDERS:
                    return _CANCEL
                return rules[0 if method in _READING else 1]
        return None


def _above(path: str) -> Iterable[str]:
    """Yield ``path``, and what is before each of its slashes, the longest first. ``/`` is above nothing."""
    yield path
    while (path := path.rpartition("/")[0]) and path != "/":
        yield path
