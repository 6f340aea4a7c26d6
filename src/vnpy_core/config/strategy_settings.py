"""How strategies are watched, stopped and brought back, and where their code may come from."""

from typing import Annotated, Literal

from pydantic import Field

from vnpy_core.config.access_settings import Section


class StrategySettings(Section):
    slow_callback_s: Annotated[
        float, Field(ge=0.05, description="A callback that takes longer is reported with its stack, while it does")
    ] = 0.5
    orders_on_failure: Annotated[
        Literal["cancel", "leave"], Field(description="Working orders and stop orders of one whose code raised")
    ] = "cancel"
    stop_orders_at_restart: Annotated[
        Literal["restore", "end"], Field(description="Local stop orders, once their strategy trades again")
    ] = "restore"
    check_positions: Annotated[
        bool, Field(description="Start none whose pos differs from its recorded trades, until somebody accepts it")
    ] = True
    save_interval_s: Annotated[
        float, Field(ge=1, description="Variables that change without a fill are saved this often")
    ] = 5.0
    variables_kept: Annotated[int, Field(ge=1, description="Of each strategy, so many of its saved states")] = 10_000
    log_days: Annotated[float, Field(gt=0, description="Lines of their logs are kept so long")] = 90.0
    upload: Annotated[
        bool, Field(description="Admins may upload strategy files: code that runs with all the service's rights")
    ] = False
    check_timeout_s: Annotated[float, Field(gt=0, le=600, description="For the import of an uploaded file")] = 30.0
    check_memory_mb: Annotated[int, Field(ge=128, description="That this import may take")] = 1024
