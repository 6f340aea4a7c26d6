"""Redis: a private redis-server."""

from collections.abc import Sequence

from tests.servers.base import Server


class Redis(Server):
    """What it has acknowledged survives its death. Pass ``--appendonly no`` for one that begins empty each time."""

    program = "redis-server"

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def ping(self) -> None:
        """It answers while it still loads its data, or asks for a password first."""
        answer = self.ask(b"PING\r\n")
        if not answer.startswith((b"+PONG", b"-NOAUTH")):
            raise RuntimeError(answer.decode(errors="replace").strip())

    def _command(self) -> Sequence[str]:
        return (
            "--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self.folder), "--save", "",
            "--appendonly", "yes", "--appendfsync", "always",
        )  # fmt: skip
