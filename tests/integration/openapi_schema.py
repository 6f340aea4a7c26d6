"""The document of the API, and how schemathesis goes about it."""

from pathlib import Path
from typing import Any

import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.config import SchemathesisConfig

from tests.unit.routers.memory_service import MemoryService
from vnpy_core.app import create_app

CONFIG = Path(__file__).resolve().parents[2] / "schemathesis.toml"
DOCUMENT: dict[str, Any] = create_app(MemoryService()).openapi()
schema = schemathesis.openapi.from_dict(DOCUMENT, config=SchemathesisConfig.from_path(CONFIG))
SETTINGS = settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
