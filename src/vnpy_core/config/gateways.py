"""GatewaySettings: one gateway, its connection, and how much it is trusted."""

from typing import Annotated, Any, Literal

from pydantic import AliasChoices, Field

from vnpy_core.config.access_settings import Section


class GatewaySettings(Section):
    """One account: a gateway class under a name of its own."""

    class_path: Annotated[
        str, Field(validation_alias=AliasChoices("class", "class_path"), description="Dotted path of a vn.py gateway")
    ]
    setting: Annotated[dict[str, Any], Field(description="What the gateway's own dialog asks for")] = Field(
        default_factory=dict
    )
    auto_connect: Annotated[bool, Field(description="Connect at the start")] = False
    connect_timeout_s: Annotated[float, Field(gt=0, description="Silent for longer, it has FAILED")] = 30.0
    reconnect: Annotated[
        bool, Field(description="Connect it again, ever more rarely, if it does not come back by itself")
    ] = True
    reconnect_max_s: Annotated[float, Field(gt=0, description="The longest pause between two attempts")] = 60.0
    reconcile: Annotated[
        Literal["required", "report", "off"],
        Field(description="Compare what the venue reports with what is known, before orders are taken; or beside"),
    ] = "required"
    reconcile_quiet_s: Annotated[
        float, Field(gt=0, description="A gateway has told everything when it is silent for so long after its account")
    ] = 5.0
    reconcile_timeout_s: Annotated[float, Field(gt=0, description="It must have told everything by then")] = 60.0
    mute_after_s: Annotated[
        float, Field(ge=0, description="STALE when no subscribed symbol in its session ticks for so long; 0: never")
    ] = 120.0
    stale_orders: Annotated[
        Literal["take", "refuse"], Field(description="Orders while it is STALE: the trading side may be alive")
    ] = "take"
    drift: Annotated[
        Literal["alert", "off"], Field(description="Compare the strategies' positions with the account's all the time")
    ] = "alert"
    drift_tolerance: Annotated[float, Field(ge=0, description="A difference up to this volume is none")] = 0.0
    drift_settle_s: Annotated[
        float, Field(gt=0, description="A difference that lasts for so long is one: fills may be on their way")
    ] = 15.0
    closed_orders: Annotated[
        Literal["take", "refuse"],
        Field(description="Orders while the contract is known not to trade; take: the venue judges them"),
    ] = "take"
    schedule: Annotated[
        Literal["cn_futures", "cn_equities"] | None,
        Field(description="Connect before each session of that market and disconnect after it; default: neither"),
    ] = None
    connect_before_min: Annotated[float, Field(ge=0, le=240, description="So many minutes before the open")] = 15.0
    disconnect_after_min: Annotated[float, Field(ge=0, le=240, description="So many minutes after the close")] = 15.0
