"""A real service: the command line program in a process of its own, on a free port, in a folder of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from vnpy_core.client import VnPyCoreClient

ADMIN_KEY = "the admin key of the tests, of nothing else"
AUTHORIZATION = {"Authorization": f"Bearer {ADMIN_KEY}"}
PROGRAM = Path(sys.executable).with_name("vnpy-core")
T = TypeVar("T")


def eventually(attempt: Callable[[], T | None], timeout_s: float = 15.0, what: str = "") -> T:
    """Return the first true answer of ``attempt``, or fail after ``timeout_s``."""
    deadline = time.monotonic() + timeout_s
    while True:
        answer = attempt()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s} s: {what or attempt}; last answer: {answer!r}")
        time.sleep(0.02)


class ServiceProcess:
    """``vnpy-core run`` on ``data_dir``. Used as a context manager it is ready inside and ended after."""

    def __init__(self, data_dir: Path, config: str = "", *, python_path: Path | None = None) -> None:
        self.data_dir = data_dir
        data_dir.mkdir(parents=True, exist_ok=True)
        self.config = data_dir / "vnpy-core.toml"
        if config or not self.config.exists():
            self.config.write_text(config, encoding="utf-8")
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("VNPY_")}
        self.environment |= {"VNPY_DATA_DIR": str(data_dir), "VNPY_CORE_SERVICE_PORT": "0", "COLUMNS": "200"}
        self.environment["VNPY_CORE_SECURITY__ADMIN_KEY"] = ADMIN_KEY
        for name in ("LANGUAGE", "TZ"):
            self.environment.pop(name, None)
        if python_path is not None:
            paths = (str(python_path), self.environment.get("PYTHONPATH", ""))
            self.environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
        self.output = data_dir / "output.txt"
        self.process: subprocess.Popen[bytes] | None = None
        self.url = ""
        self.http = httpx.Client(timeout=30.0, headers=AUTHORIZATION)
        self._client: VnPyCoreClient | None = None

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run another command of the program on the same folder."""
        return subprocess.run(
            [str(PROGRAM), *arguments],
            env=self.environment, cwd=self.data_dir, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    def launch(self) -> None:
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                [str(PROGRAM), "run", "--config", str(self.config)],
                env=self.environment, cwd=self.data_dir, stdout=output, stderr=subprocess.STDOUT,
            )  # fmt: skip

    def start(self) -> Self:
        self.launch()
        self.url = eventually(self._holder_url, 30, "the lock file names the address")
        self.http.base_url = httpx.URL(self.url)
        eventually(self._is_ready, 30, "ready")
        return self

    def stop(self, number: int = signal.SIGINT, timeout_s: float = 30.0) -> int:
        """Ask the service to stop, as Ctrl-C does, and return its exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(timeout_s)

    @property
    def client(self) -> VnPyCoreClient:
        """The product's own client of it."""
        if self._client is None or self._client.url != self.url:
            self._close_client()
            self._client = VnPyCoreClient(self.url, token=ADMIN_KEY)
        return self._client

    def _close_client(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)

    def __enter__(self) -> Self:
        return self if self.process is not None else self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.http.close()
        self._close_client()
        if self.process is not None and self.process.poll() is None:
            try:
                self.stop()
            except subprocess.TimeoutExpired:
                self.kill()
                raise
        if error is not None:
            print(self.printed()[-8000:])

    def printed(self) -> str:
        return self.output.read_text(encoding="utf-8", errors="replace") if self.output.exists() else ""

    def get(self, path: str, **params: Any) -> Any:
        response = self.http.get(path, params=params)
        assert response.status_code == 200, response.text
        return response.json()

    def call(
        self, method: str, path: str, status: int | tuple[int, ...] = (200, 201, 202, 204), **json_body: Any
    ) -> Any:
        response = self.http.request(method, path, json=json_body or None)
        expected = status if isinstance(status, tuple) else (status,)
        assert response.status_code in expected, f"{response.status_code}: {response.text}"
        return response.json() if response.content else None

    def _holder_url(self) -> str | None:
        assert self.process is not None
        if self.process.poll() is not None:
            raise AssertionError(f"ended with {self.process.returncode}:\n{self.printed()}")
        try:
            holder = json.loads((self.data_dir / "vnpy-core.lock").read_text())
        except (FileNotFoundError, ValueError):
            return None
        return str(holder["url"]) if holder.get("pid") == self.process.pid else None

    def _is_ready(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            raise AssertionError(f"ended with {self.process.returncode}:\n{self.printed()}")
        try:
            return self.http.get("/health/ready").status_code == 200
        except httpx.TransportError:
            return False
