"""The settings of how the service watches itself."""

from typing import Annotated

from pydantic import Field, SecretStr

from vnpy_core.config.access_settings import Section


class MonitoringSettings(Section):
    stalled_after_s: Annotated[
        float, Field(ge=2, description="Without progress for so long the event thread, or the loop, is not alive")
    ] = 5.0


class TracingSettings(Section):
    """OpenTelemetry traces of orders and requests; nothing is traced without an endpoint."""

    endpoint: Annotated[
        str | None,
        Field(pattern=r"^https?://", description="OTLP over HTTP, such as http://127.0.0.1:4318/v1/traces"),
    ] = None
    sample_ratio: Annotated[
        float, Field(ge=0, le=1, description="Of the traces that begin here; those of a caller are as it says")
    ] = 1.0
    authorization: Annotated[SecretStr | None, Field(description="The header Authorization, for the collector")] = None
    timeout_s: Annotated[float, Field(gt=0, description="For the collector to answer")] = 5.0
