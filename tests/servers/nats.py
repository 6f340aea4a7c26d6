"""Nats: a private nats-server with JetStream."""

from collections.abc import Sequence

from tests.servers.base import Server


class Nats(Server):
    """What JetStream has acknowledged survives its death."""

    program = "nats-server"

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    def ping(self) -> None:
        """It introduces itself to whoever connects, and listens when JetStream is ready."""
        answer = self.ask(b"")
        if not answer.startswith(b"INFO ") or b'"jetstream":true' not in answer:
            raise RuntimeError(answer.decode(errors="replace").strip() or "it does not introduce itself")

    def _command(self) -> Sequence[str]:
        return (
            "--addr", "127.0.0.1", "--port", str(self.port), "--jetstream", "--store_dir", str(self.folder / "data"),
        )  # fmt: skip
