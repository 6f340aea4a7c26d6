"""A simulated exchange that lets in whoever knows its password, and repeats it in its log."""

from typing import Any

from vnpy_core.engine.sim import SimGateway

PASSWORD = "open-sesame-1001"


class LockedGateway(SimGateway):
    default_setting = {**SimGateway.default_setting, "password": ""}  # noqa: RUF012 -- declared so by vn.py

    def connect(self, setting: dict[str, Any]) -> None:
        given = setting.pop("password", "")
        self.write_log(f"logging in with {given!r}")
        if given != PASSWORD:
            raise PermissionError("wrong password")
        super().connect(setting)
