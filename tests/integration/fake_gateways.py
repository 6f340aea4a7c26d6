"""Gateways for the tests of GatewayHost, to be named by their dotted paths."""

import threading
from typing import Any, ClassVar

from vnpy.event import EVENT_TIMER, Event, EventEngine
from vnpy.trader.constant import Exchange, Product
from vnpy.trader.gateway import BaseGateway
from vnpy.trader.object import AccountData, CancelRequest, ContractData, OrderRequest, SubscribeRequest


class Account(BaseGateway):
    """Does on ``connect`` what the setting ``do`` says."""

    default_name = "ACCOUNT"
    exchanges: ClassVar[list[Exchange]] = [Exchange.SHFE, Exchange.DCE]  # type: ignore[misc]
    default_setting: ClassVar[dict[str, Any]] = {  # type: ignore[misc]
        "user": "",
        "password": "",
        "server": ["REAL", "TEST"],
        "port": 80,
        "do": "connect",
    }
    made: ClassVar[list["Account"]] = []

    def __init__(self, event_engine: EventEngine, gateway_name: str) -> None:
        super().__init__(event_engine, gateway_name)
        self.setting: dict[str, Any] = {}
        self.ticks = 0
        self.closed = 0
        self.thread: str | None = None
        self.go_on = threading.Event()
        self.blocked = threading.Event()
        event_engine.register(EVENT_TIMER, self.on_timer)
        event_engine.register_general(self.on_any)
        self.made.append(self)

    def on_timer(self, event: Event) -> None:
        self.ticks += 1

    def on_any(self, event: Event) -> None: ...

    def connect(self, setting: dict[str, Any]) -> None:
        self.thread = threading.current_thread().name
        self.setting = dict(setting)
        do, user, password = setting["do"], setting["user"], setting["password"]
        self.write_log(f"logging in {user} with {password}")
        if do == "raise":
            raise ValueError(f"cannot log in {user}\nwith {password}")
        if do == "exit":
            raise SystemExit(1)
        if do == "block":
            self.blocked.set()
            self.go_on.wait(10)
        if do != "silence":
            self.tell()

    def tell(self) -> None:
        if self.setting["do"] == "account only":
            self.on_account(AccountData(self.gateway_name, "A", 1e6))
        else:
            self.on_contract(ContractData(self.gateway_name, "rb", Exchange.SHFE, "rb", Product.FUTURES, 10, 1))

    def close(self) -> None:
        self.closed += 1
        if self.setting.get("do") == "fail to close":
            raise OSError("close failed")

    def subscribe(self, req: SubscribeRequest) -> None: ...

    def send_order(self, req: OrderRequest) -> str:
        return ""

    def cancel_order(self, req: CancelRequest) -> None: ...

    def query_account(self) -> None: ...

    def query_position(self) -> None: ...


class InPlace(Account):
    """Keeps what it has when it is disconnected."""

    reconnects_in_place = True


class Unmakeable(Account):
    def __init__(self, event_engine: EventEngine, gateway_name: str) -> None:
        super().__init__(event_engine, gateway_name)
        raise RuntimeError("locale::facet::_S_create_c_locale name not valid")


class NotAGateway:
    pass
