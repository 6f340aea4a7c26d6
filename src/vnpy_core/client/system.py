"""How the service is, who is connected to it, and who else is there."""

from vnpy_core.client.connection import segment
from vnpy_core.client.mode import Mode, Resource, operation
from vnpy_core.reports import Liveness, Readiness, SessionStatus, SystemStatus
from vnpy_core.routers.answers import ServicePage, SessionEnded, SessionPage


class System(Resource[Mode]):
    """``/system`` and ``/health``."""

    @operation
    async def status(self) -> SystemStatus:
        return await self._connection.get("/system/status", SystemStatus)

    @operation
    async def sessions(self) -> list[SessionStatus]:
        """Return who is connected to ``/ws``, and whether it keeps up."""
        return (await self._connection.get("/system/sessions", SessionPage)).sessions

    @operation
    async def end_session(self, session_id: str) -> SessionEnded:
        return await self._connection.call("DELETE", f"/system/sessions/{segment(session_id)}", SessionEnded)

    @operation
    async def services(self, name: str | None = None) -> ServicePage:
        return await self._connection.get("/system/services", ServicePage, name=name)

    @operation
    async def liveness(self) -> Liveness:
        """Return whether the service makes progress; ``Unavailable`` if it does not."""
        return await self._connection.get("/health/live", Liveness)

    @operation
    async def readiness(self) -> Readiness:
        """Return whether the service can do its work; ``Unavailable`` if it cannot, with why in ``extra``."""
        return await self._connection.get("/health/ready", Readiness)
