"""Prometheus: a private one, that scrapes what its configuration names."""

from collections.abc import Mapping, Sequence
from typing import Any

import httpx

from tests.servers.base import PING_TIMEOUT_S, Server


class Prometheus(Server):
    """``files`` are put beside its configuration, ``prometheus.yml`` among them."""

    program = "prometheus"

    def __init__(self, *arguments: str, files: Mapping[str, str], **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._files = files

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ping(self) -> None:
        try:
            httpx.get(f"{self.url}/-/ready", timeout=PING_TIMEOUT_S).raise_for_status()
        except httpx.HTTPError as error:
            raise RuntimeError(str(error)) from error

    def api(self, path: str, **params: str) -> Any:
        """Return the data of an answer of its API. Raises HTTPStatusError if it refuses."""
        answer = httpx.get(f"{self.url}/api/v1/{path}", params=params, timeout=10)
        return answer.raise_for_status().json()["data"]

    def query(self, expression: str) -> list[Any]:
        """Return the series that ``expression`` has now."""
        found: list[Any] = self.api("query", query=expression)["result"]
        return found

    def _prepare(self) -> None:
        for name, text in self._files.items():
            (self.folder / name).write_text(text, encoding="utf-8")

    def _command(self) -> Sequence[str]:
        return (
            f"--config.file={self.folder / 'prometheus.yml'}", f"--storage.tsdb.path={self.folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.port}", "--log.level=warn",
        )  # fmt: skip
