"""Uploaded strategy files: their versions."""

from collections.abc import AsyncIterator

from vnpy_core.client.connection import segment
from vnpy_core.client.mode import Mode, Resource, listing, operation
from vnpy_core.strategy_files import FileDiff, FilePage, FileSource, FileVersion, StoredFile, VersionPage

_Rows = list  # in the class that is a method


class StrategyFiles(Resource[Mode]):
    """``/strategy-files``."""

    @listing
    def versions(self, file_name: str) -> AsyncIterator[_Rows[FileVersion]]:
        """Iterate over the versions of a file, newest first."""
        return self._connection.pages(_path(file_name, "versions"), VersionPage, lambda page: page.versions)

    @operation
    async def get(self, file_name: str, version: int | None = None) -> FileSource:
        """Return a version with its source; the last one if none is named."""
        path = _path(file_name) if version is None else _path(file_name, "versions", str(version))
        return await self._connection.get(path, FileSource)

    @operation
    async def diff(self, file_name: str, from_version: int | None = None, to_version: int | None = None) -> FileDiff:
        """Compare two versions; the last one with the one before if none is named."""
        path = _path(file_name, "diff")
        return await self._connection.get(path, FileDiff, from_version=from_version, to_version=to_version)

    @operation
    async def upload(
        self, file_name: str, source: str, comment: str = "", *, replaces: int | None = None
    ) -> FileVersion:
        """Upload a version; ``Invalid`` with ``extra["traceback"]`` if it cannot be imported."""
        body = {"source": source, "comment": comment, "replaces": replaces}
        return await self._connection.call("POST", _path(file_name, "versions"), FileVersion, body=body)

    @operation
    async def rollback(self, file_name: str, version: int, comment: str = "") -> FileVersion:
        """Make a new version that is equal to an earlier one."""
        body = {"version": version, "comment": comment}
        return await self._connection.call("POST", _path(file_name, "rollback"), FileVersion, body=body)

    @operation
    async def delete(self, file_name: str) -> FileVersion:
        """Take a file out of use; its versions are kept."""
        return await self._connection.call("DELETE", _path(file_name), FileVersion)

    @listing
    def list(self) -> AsyncIterator[_Rows[StoredFile]]:
        """Iterate over the files, each by its last version."""
        return self._connection.pages("/strategy-files", FilePage, lambda page: page.strategy_files)


def _path(file_name: str, *below: str) -> str:
    return "/".join(("/strategy-files", segment(file_name), *below))
