"""What vn.py's strategy engines have in common, as far as the layers that we put in front of them need it.

The layers of ``strategy_…`` are mixed in before one of vn.py's engines: they derive from what both derive from, so that
``super()`` finds vn.py's own method.
"""

from typing import TYPE_CHECKING, Any

from vnpy.event import Event
from vnpy.trader.engine import BaseEngine

# An instance of a template of vn.py's: each engine has one of its own, with no base in common.
AnyStrategy = Any

if TYPE_CHECKING:
    from pathlib import Path

    class StrategyAppEngine(BaseEngine):
        """Attributes and methods of CtaEngine and StrategyEngine. Only for the type checker."""

        setting_filename: str
        data_filename: str
        strategies: dict[str, Any]
        strategy_data: dict[str, Any]
        classes: dict[str, Any]
        symbol_strategy_map: Any
        orderid_strategy_map: dict[str, Any]
        vt_tradeids: set[str]
        init_executor: Any

        def __init__(self, *args: Any) -> None: ...
        def register_event(self) -> None: ...
        def init_datafeed(self) -> None: ...
        def load_strategy_data(self) -> None: ...
        def process_order_event(self, event: Event) -> None: ...
        def load_strategy_class_from_folder(self, path: Path, module_name: str = "") -> None: ...
        cancel_order: Any

else:
    StrategyAppEngine = BaseEngine

__all__ = ["AnyStrategy", "Event", "StrategyAppEngine"]
