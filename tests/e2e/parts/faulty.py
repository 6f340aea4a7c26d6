"""A gateway that raises when an order is sent to it; loaded by dotted path into a real service."""

from vnpy.trader.constant import Exchange, Product
from vnpy.trader.gateway import BaseGateway
from vnpy.trader.object import AccountData, CancelRequest, ContractData, OrderRequest, SubscribeRequest


class FaultyGateway(BaseGateway):
    default_name = "FAULTY"
    default_setting: dict = {}  # noqa: RUF012
    exchanges = [Exchange.LOCAL]  # noqa: RUF012

    def connect(self, setting: dict) -> None:
        self.on_contract(ContractData(self.gateway_name, "BAD", Exchange.LOCAL, "bad", Product.SPOT, 1, 1))
        self.on_account(AccountData(self.gateway_name, "A", 1.0))

    def subscribe(self, req: SubscribeRequest) -> None: ...

    def send_order(self, req: OrderRequest) -> str:
        raise RuntimeError("the line broke while the order was being sent")

    def cancel_order(self, req: CancelRequest) -> None: ...

    def query_account(self) -> None: ...

    def query_position(self) -> None: ...

    def close(self) -> None: ...
