"""Every setting with its default and meaning, as a commented file (``vnpy-core init``) and as a page of the docs."""

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from vnpy_core.config.gateways import GatewaySettings
from vnpy_core.config.settings import VnPyCoreConfig
from vnpy_core.config.sources import public_name

_HEAD = """\
# VnPy Core. Every line is a default and commented out; remove the # of what you change.
# The environment overrides this file: VNPY_CORE_SERVICE__PORT=8007, and the command line overrides both.
# A secret is better kept in a file: VNPY_CORE_DATABASE__URL_FILE=/run/secrets/database_url
"""

_GATEWAYS = """
# One table an account. The class is any vn.py gateway; its settings are those of its own dialog.
# Without any table a simulated exchange named SIM is connected.
# [gateways.SIM]
# class = "vnpy_core.engine.sim.SimGateway"
# auto_connect = true
# connect_timeout_s = 30.0
# [gateways.SIM.setting]
# seed = 1

# [gateways.CTP]
# class = "vnpy_ctp.CtpGateway"
# auto_connect = true
# [gateways.CTP.setting]
# "用户名" = ""
# "经纪商代码" = ""
# "交易服务器" = ""
# "行情服务器" = ""
# The password: VNPY_CORE_GATEWAYS__CTP__SETTING__密码
"""


def render_template() -> str:
    """Return the file's text; loading it gives the defaults."""
    lines = [_HEAD]
    sections: list[tuple[str, type[BaseModel]]] = []
    for name, field in VnPyCoreConfig.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            sections.append((name, field.annotation))
        elif name != "gateways":
            lines.append(_line(name, field))
    for name, section in sections:
        lines += _section(name, section)
    return "\n".join(lines) + "\n" + _GATEWAYS


def _section(name: str, section: type[BaseModel]) -> list[str]:
    lines, below = [f"\n# [{name}]"], []
    for key, field in section.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            below += _section(f"{name}.{key}", field.annotation)
        else:
            lines.append(_line(public_name(key, field), field))
    return lines + below


def render_reference() -> str:
    """Return the table of ``docs/configuration.md``; a test holds the page to it."""
    rows = ["| key | default | meaning |", "|---|---|---|"]

    def add(above: str, section: type[BaseModel]) -> None:
        for name, field in section.model_fields.items():
            key = above + public_name(name, field)
            if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
                add(f"{key}.", field.annotation)
            elif name == "gateways":
                add("gateways.<name>.", GatewaySettings)
            else:
                rows.append(f"| `{key}` | {_shown(field)} | {field.description or ''} |")

    add("", VnPyCoreConfig)
    return "\n".join(rows) + "\n"


def _shown(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    default = field.get_default(call_default_factory=True)
    if default is None:
        return ""
    return "`~/.vnpy-core`" if isinstance(default, Path) else f"`{_value(default)}`" if default != {} else "`{}`"


def _line(name: str, field: FieldInfo) -> str:
    default = field.get_default(call_default_factory=True)
    text = f"# {name} = {_value(default)}"
    return f"{text}  # {field.description}" if field.description else text


def _value(value: Any) -> str:
    if value is None:
        return '""'
    if isinstance(value, dict) and not value:
        return "{}"
    if isinstance(value, bool | int | float | tuple):
        return json.dumps(value)
    return json.dumps(str(value.get_secret_value() if isinstance(value, SecretStr) else value), ensure_ascii=False)
