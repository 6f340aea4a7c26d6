"""A gateway that writes its passwords into every log there is; loaded by dotted path into a real service."""

import logging

from loguru import logger
from vnpy.trader.constant import Exchange, Product
from vnpy.trader.gateway import BaseGateway
from vnpy.trader.object import AccountData, CancelRequest, ContractData, OrderRequest, SubscribeRequest


class IndiscreetGateway(BaseGateway):
    default_name = "LOUD"
    default_setting: dict = {"用户名": "", "密码": "", "server": ""}  # noqa: RUF012
    exchanges = [Exchange.LOCAL]  # noqa: RUF012

    def connect(self, setting: dict) -> None:
        self.write_log(f"连接: {setting}")
        logging.getLogger("its.library").warning("connecting with %s", setting)
        logging.getLogger("its.library").error("failed", exc_info=PermissionError(f"not with {setting['密码']}"))
        logger.info("password is {}", setting["密码"])
        print("its own print goes nowhere near the log")
        self.on_contract(ContractData(self.gateway_name, "X", Exchange.LOCAL, "x", Product.SPOT, 1, 1))
        self.on_account(AccountData(self.gateway_name, "A", 1.0))

    def subscribe(self, req: SubscribeRequest) -> None: ...

    def send_order(self, req: OrderRequest) -> str:
        raise RuntimeError("not with this password")

    def cancel_order(self, req: CancelRequest) -> None: ...

    def query_account(self) -> None: ...

    def query_position(self) -> None: ...

    def close(self) -> None: ...
