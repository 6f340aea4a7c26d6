"""What came of commands to trade, as clients are told."""

from typing import Annotated

import msgspec

from vnpy_core.models import GatewayName, Order, OrderSpec, Timestamp


class SubmitResult(msgspec.Struct, frozen=True, kw_only=True):
    """An order that was sent. ``order`` is its first state, or null while the gateway has not told any."""

    vt_orderid: str
    orderid: str
    client_order_id: str
    intent_id: str
    order: Order | None = None


class AmendResult(msgspec.Struct, frozen=True, kw_only=True):
    """An order that was sent in the place of ``replaces``, which is cancelled; its volume is what was left of it."""

    vt_orderid: str
    orderid: str
    client_order_id: str
    intent_id: str
    replaces: str
    order: Order | None = None


class CancelResult(msgspec.Struct, frozen=True, kw_only=True):
    """``accepted``: handed to the gateway; what came of it is told by the order's next state."""

    vt_orderid: str
    accepted: bool
    code: str | None = None
    detail: str | None = None


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """What would be handed to vn.py's risk rules now: contract, gateway, reconciliation, journal, trading state and
    account limits let it pass. These rules and the gateway were not asked."""

    gateway_name: GatewayName
    client_order_id: Annotated[str | None, msgspec.Meta(description="null: one would be made up")]
    order: OrderSpec
    dry_run: bool = True


class GivenSetting(msgspec.Struct, frozen=True, kw_only=True):
    """What was given over the API to connect a gateway by, and is kept: the names alone."""

    gateway_name: GatewayName
    names: Annotated[list[str], msgspec.Meta(description="Which settings go over the configured ones")]
    updated: Timestamp
    readable: Annotated[
        bool, msgspec.Meta(description="false: encrypted with a key that this start has not; it is not connected")
    ]
