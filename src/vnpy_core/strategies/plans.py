"""What the table says is to become of a strategy, and how that is changed."""

import msgspec

from vnpy_core.data.repositories import StrategyRecord
from vnpy_core.enums import StrategyState
from vnpy_core.errors import CoreError
from vnpy_core.reports import StrategyPlan
from vnpy_core.strategies.board import INACTIVE
from vnpy_core.strategies.table import StrategyTable

_BROUGHT_TO = (StrategyState.ADDED, StrategyState.INITED, StrategyState.TRADING)


def plan_of(record: StrategyRecord) -> StrategyPlan:
    fields = {name: getattr(record, name) for name in StrategyPlan.__struct_fields__}
    return StrategyPlan(**fields)


async def change_plan(
    table: StrategyTable, name: str, auto_start: bool | None, is_active: bool | None
) -> StrategyPlan:
    """Change what is given. See ``RedFireStrategyManager.change_plan``."""
    async with table.lock(name):
        record = table.record(name)
        wanted = record
        if auto_start is not None and auto_start != record.auto_start:
            state = StrategyState.TRADING if auto_start else table.board.get(name).state
            desired = state if state in _BROUGHT_TO else record.desired_state
            wanted = msgspec.structs.replace(wanted, auto_start=auto_start, desired_state=desired)
        if is_active is not None:
            wanted = msgspec.structs.replace(wanted, is_active=is_active)
        if wanted.is_active and not record.is_active:
            await table.save(wanted)
            await table.load(table.record(name))
        elif record.is_active and not wanted.is_active:
            await _let_go(table, wanted)
        elif wanted != record:
            await table.save(wanted)
        return plan_of(table.record(name))


async def _let_go(table: StrategyTable, wanted: StrategyRecord) -> None:
    name = wanted.strategy_name
    was_loaded = name not in table.unloaded
    if was_loaded:
        host = table.host(name)
        await table.hosts.run(lambda: host.unload_strategy(name))
    before = table.unloaded.get(name)
    table.unloaded[name] = INACTIVE
    try:
        await table.save(wanted)
    except CoreError:
        if before is not None:
            table.unloaded[name] = before
        if was_loaded:
            await table.load(table.record(name))
        raise
