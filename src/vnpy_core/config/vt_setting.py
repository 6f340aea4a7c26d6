"""vn.py's own settings file, ``vt_setting.json``: read at start, written back whole or not at all."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vnpy_core.config.json_file import replace_json
from vnpy_core.errors import ConfigError

FILENAME = "vt_setting.json"


def read_vt_setting(folder: Path) -> dict[str, Any]:
    """Return the settings in ``folder``; empty when there is no such file.

    Raises:
        ConfigError: the file is not a JSON object, or cannot be read.
    """
    path = folder / FILENAME
    try:
        text = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}. Give this user the right to read it.") from error
    try:
        setting = json.loads(text)
    except ValueError as error:
        raise ConfigError(
            f"{path} is not valid JSON ({error}). Mend the file, or move it away to start from the defaults."
        ) from error
    if not isinstance(setting, dict):
        raise ConfigError(f'{path} must hold a JSON object such as {{"database.timezone": "Asia/Shanghai"}}.')
    return setting


def write_vt_setting(folder: Path, setting: Mapping[str, Any]) -> Path:
    """Replace the file in ``folder`` atomically: after a crash it is the old one or the new one, never a part.

    Raises:
        ConfigError: the folder or the file cannot be written.
    """
    path = folder / FILENAME
    try:
        folder.mkdir(parents=True, exist_ok=True)
        replace_json(path, setting, durable=True)
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be written: {error.strerror}. Choose another folder with VNPY_DATA_DIR."
        ) from error
    return path
