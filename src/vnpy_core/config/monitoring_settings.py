"""The settings of how the service watches itself."""

from typing import Annotated

from pydantic import Field

from vnpy_core.config.access_settings import Section


class MonitoringSettings(Section):
    stalled_after_s: Annotated[
        float, Field(ge=2, description="Without progress for so long the event thread, or the loop, is not alive")
    ] = 5.0
