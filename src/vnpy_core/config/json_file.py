"""A JSON file that is replaced whole or not at all, and that only its owner can read: it may hold passwords."""

import json
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_lock = threading.Lock()


def replace_json(path: Path, content: Mapping[str, Any], *, durable: bool) -> None:
    """Write ``content`` to ``path``. After ``kill -9`` at any moment the file is the old one or the new one.

    ``durable`` waits until the disk has it (some milliseconds), so that the same holds after a power cut.

    Raises:
        TypeError, ValueError: ``content`` is not JSON; the file is as it was.
        OSError: it cannot be written; the file is as it was.
    """
    text = json.dumps(content, indent=4, ensure_ascii=False)
    temporary = path.with_name(f"{path.name}.tmp")
    with _lock:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
