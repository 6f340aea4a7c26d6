"""What an execution algorithm can run on: vn.py's take anything, and then sell, never trade, or divide by zero."""

import math
from collections.abc import Mapping
from typing import Any

from vnpy.trader.constant import Direction, Offset
from vnpy.trader.object import ContractData
from vnpy.trader.utility import round_to

from vnpy_core.engine.setting_check import refuse

Errors = list[dict[str, str]]


def check_order(direction: Any, offset: Any, price: Any, volume: Any, contract: ContractData) -> None:
    """Refuse anything but vn.py's own enum members: its algos sell whatever the direction is, if it is not LONG.

    Raises:
        Invalid: ``errors`` says which field, and why.
    """
    errors: Errors = []
    if direction not in (Direction.LONG, Direction.SHORT):
        _add(errors, "direction", f"must be Direction.LONG or Direction.SHORT, not {direction!r}")
    if not isinstance(offset, Offset):
        _add(errors, "offset", f"must be an Offset, not {offset!r}")
    if not _is_number(price):
        _add(errors, "price", f"must be a finite number, not {price!r}")
    if not _is_number(volume) or volume < contract.min_volume or volume <= 0:
        _add(errors, "volume", f"must be a number from {contract.min_volume:g}, the contract's minimum, not {volume!r}")
    refuse(errors, of="the algo")


def check_setting(template_name: str, setting: Mapping[str, Any], volume: float, contract: ContractData) -> None:
    """Refuse the settings with which one of vn.py's own templates would never trade; of others nothing is known.

    Raises:
        Invalid: ``errors`` says which field, and why.
    """
    errors: Errors = []
    check = _CHECKS.get(template_name)
    if check is not None:
        check(errors, setting, volume, contract)
    refuse(errors, of=template_name)


def _check_twap(errors: Errors, setting: Mapping[str, Any], volume: float, contract: ContractData) -> None:
    time, interval = setting["time"], setting["interval"]
    if time < 1:
        _add(errors, "time", "must be at least 1 second")
    if not 1 <= interval <= max(time, 1):
        _add(errors, "interval", "must be from 1 second to the whole time")
    if not errors and not round_to(volume * interval / time, contract.min_volume or 1):
        orders = f"{time / interval:g} orders of {volume * interval / time:g}"
        _add(errors, "interval", f"makes {orders}, less than the contract's minimum of {contract.min_volume:g}")


def _check_iceberg(errors: Errors, setting: Mapping[str, Any], volume: float, contract: ContractData) -> None:
    if setting["display_volume"] < contract.min_volume or setting["display_volume"] <= 0:
        _add(errors, "display_volume", f"must be at least {contract.min_volume:g}, the contract's minimum")
    if setting["interval"] < 0:
        _add(errors, "interval", "must not be negative")


def _check_best_limit(errors: Errors, setting: Mapping[str, Any], volume: float, contract: ContractData) -> None:
    smallest = max(1, contract.min_volume)  # the template cuts off the fraction
    if setting["min_volume"] < smallest:
        _add(errors, "min_volume", f"must be at least {smallest:g}")
    if setting["max_volume"] < setting["min_volume"]:
        _add(errors, "max_volume", "must be at least min_volume")


_CHECKS = {"TwapAlgo": _check_twap, "IcebergAlgo": _check_iceberg, "BestLimitAlgo": _check_best_limit}


def _add(errors: Errors, field: str, message: str) -> None:
    errors.append({"field": field, "message": message})


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
