"""What each role may do, and what each family of topics takes. A test holds ``docs/security.md`` to it."""

from collections.abc import Mapping

from vnpy_core.enums import Role, Scope

_READ = frozenset(
    {Scope.TRADING_READ, Scope.STRATEGY_READ, Scope.DATA_READ, Scope.RISK_READ, Scope.SYSTEM_READ}
)
SCOPES_OF_ROLE: Mapping[Role, frozenset[Scope]] = {
    Role.VIEWER: _READ,
    Role.TRADER: _READ | {Scope.TRADING_WRITE, Scope.STRATEGY_WRITE, Scope.DATA_WRITE},
    Role.ADMIN: frozenset(Scope),
}

MEANING: Mapping[Scope, str] = {
    Scope.TRADING_READ: "Orders, trades, positions, accounts, contracts, gateways, algos",
    Scope.TRADING_WRITE: "Orders and their cancels, subscriptions, connections of gateways, algos; halt, kill switch",
    Scope.STRATEGY_READ: "Strategies, their classes, parameters and variables; back-tests",
    Scope.STRATEGY_WRITE: "Add, change, start, stop, reload and remove strategies, read their code; run back-tests",
    Scope.DATA_READ: "Stored bars and ticks, the latest ticks, contracts, charts",
    Scope.DATA_WRITE: "Change what is stored",
    Scope.RISK_READ: "Risk rules, limits and refusals",
    Scope.RISK_WRITE: "Change risk rules and limits; halt, kill switch, and resume after them",
    Scope.SYSTEM_READ: "The state of the service, its sessions, logs, alerts and metrics",
    Scope.ADMIN: "Users, everybody's API keys and sessions, the audit log, gateway settings, the code of strategies",
}

# What a subscription to topics of the family takes: any one of these.
_TRADING = frozenset({Scope.TRADING_READ})
_MARKET = frozenset({Scope.DATA_READ, Scope.TRADING_READ})
_STRATEGY = frozenset({Scope.STRATEGY_READ})
_SYSTEM = frozenset({Scope.SYSTEM_READ})
SCOPES_OF_FAMILY: Mapping[str, frozenset[Scope]] = {
    "order": _TRADING,
    "trade": _TRADING,
    "position": _TRADING,
    "account": _TRADING,
    "algo": _TRADING,
    "tick": _MARKET,
    "bar": _MARKET,
    "strategy": _STRATEGY,
    "stop_order": _STRATEGY,
    "job": _STRATEGY,
    "risk": frozenset({Scope.RISK_READ}),
    "gateway": _TRADING | _SYSTEM,
    "log": _SYSTEM,
    "alert": _SYSTEM,
    "system": _SYSTEM,
}


def missing_for_topic(topic: str, scopes: frozenset[Scope]) -> Scope | None:
    """Return a scope that a subscription to ``topic`` lacks; a wildcard in its first place takes that of each family.

    A family that is not listed takes all of ``admin``'s.
    """
    family = topic.partition(".")[0]
    wanted = SCOPES_OF_FAMILY.values() if family == "*" else (SCOPES_OF_FAMILY.get(family, frozenset({Scope.ADMIN})),)
    return next((min(any_of) for any_of in wanted if any_of.isdisjoint(scopes)), None)
