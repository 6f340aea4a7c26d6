"""CodeStore: the strategy files that were uploaded, in all their versions, and the folder they are loaded from."""

import asyncio
import difflib
import hashlib
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec

from vnpy_core.config.settings import VnPyCoreConfig
from vnpy_core.data.database import DatabaseManager
from vnpy_core.data.strategy_files import StrategyFileRepository
from vnpy_core.engine.class_check import CheckReport
from vnpy_core.engine.runtime import UPLOAD_FOLDER
from vnpy_core.errors import Conflict, CoreError, Forbidden, NotFound, Unavailable
from vnpy_core.models import Strategy, now_timestamp
from vnpy_core.strategies.code_check import CodeCheck, encoded_source, require_file_name
from vnpy_core.strategy_files import FileDiff, FileSource, FileVersion, StoredFile

logger = logging.getLogger(__name__)

_README = """Written by VnPy Core from its database at each start: what is changed here is lost.
Your own strategy files belong into the folder "strategies".
"""


class Repository(Protocol):
    """``data.strategy_files.StrategyFileRepository`` is one."""

    async def files(self, after: str = "", limit: int = ...) -> Sequence[FileVersion]: ...
    async def sources(self) -> Sequence[FileSource]: ...
    async def versions(self, file_name: str, before: int | None, limit: int) -> Sequence[FileVersion]: ...
    async def latest(self, file_name: str) -> FileSource | None: ...
    async def get(self, file_name: str, version: int) -> FileSource: ...
    async def add(self, version: FileSource) -> None: ...


class Loaded(Protocol):
    """``engine.strategy_code.StrategyCode`` is one. ``load`` and ``forget`` block."""

    def modules_by_class(self) -> Mapping[str, str]: ...
    def broken_uploads(self) -> Mapping[str, str]: ...
    def load(self, file_name: str) -> None: ...
    def forget(self, file_name: str) -> None: ...


class CodeStore:
    """Loop only. What is uploaded is checked, kept for ever, written into ``folder``, and offered as classes.

    The user's own files win: of a name that they have, nothing is taken, and nothing is loaded.
    """

    def __init__(
        self,
        repository: Repository,
        check: Callable[[str, str], Awaitable[CheckReport]],
        *,
        folder: Path,
        own_folder: Path,
        may_upload: bool,
    ) -> None:
        self._repository = repository
        self._check = check
        self._folder = folder
        self._own_folder = own_folder
        self._may_upload = may_upload
        self._changing = asyncio.Lock()
        self._errors: dict[str, str] = {}
        self._loaded: Loaded | None = None
        self._strategies: Callable[[], Iterable[Strategy]] = tuple

    def attach(self, loaded: Loaded, strategies: Callable[[], Iterable[Strategy]]) -> None:
        """Say who has the files loaded, and who knows which strategies there are."""
        self._loaded = loaded
        self._strategies = strategies

    async def materialise(self) -> None:
        """Make the folder what the database says, before the classes are loaded.

        Raises:
            Unavailable: the database is down; the folder is as it was.
        """
        sources = await self._repository.sources()
        await asyncio.to_thread(_fill, self._folder, {one.file_name: one.source.encode() for one in sources})

    # -- what there is

    async def files(self, after: str, limit: int) -> Sequence[StoredFile]:
        users: dict[str, list[str]] = {}
        for strategy in self._strategies():
            users.setdefault(strategy.class_name, []).append(strategy.strategy_name)
        broken = {**(self._loaded.broken_uploads() if self._loaded is not None else {}), **self._errors}
        return [
            StoredFile(
                **msgspec.structs.asdict(one),
                used_by=sorted(name for kind in one.classes for name in users.get(kind, ())),
                error=broken.get(one.file_name) or self._shadowed(one.file_name),
            )
            for one in await self._repository.files(after, limit)
        ]

    async def versions(self, file_name: str, before: int | None, limit: int) -> Sequence[FileVersion]:
        """Return a file's versions, newest first; also of one that was deleted.

        Raises:
            NotFound: there never was such a file.
        """
        found = await self._repository.versions(file_name, before, limit)
        if not found and before is None:
            raise _unknown(file_name)
        return found

    async def get(self, file_name: str, version: int | None = None) -> FileSource:
        """Return a version with its source; the last one if none is named.

        Raises:
            NotFound: there is no such file, or no such version of it.
        """
        if version is not None:
            return await self._repository.get(file_name, version)
        found = await self._repository.latest(file_name)
        if found is None or found.deleted:
            raise _unknown(file_name)
        return found

    async def diff(self, file_name: str, from_version: int | None, to_version: int | None) -> FileDiff:
        """Compare two versions: the last one, and the one before, if they are not named.

        Raises:
            NotFound: there is no such file, or no such version of it.
        """
        newer = await self.get(file_name, to_version)
        older_version = newer.version - 1 if from_version is None else from_version
        older = "" if older_version == 0 else (await self._repository.get(file_name, older_version)).source
        lines = difflib.unified_diff(
            older.splitlines(keepends=True), newer.source.splitlines(keepends=True),
            f"{file_name} {older_version}", f"{file_name} {newer.version}",
        )  # fmt: skip
        diff = "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)
        return FileDiff(file_name=file_name, from_version=older_version, to_version=newer.version, diff=diff)

    # -- changes

    async def upload(
        self, file_name: str, source: str, *, comment: str, by: str, replaces: int | None = None
    ) -> FileVersion:
        """Check a file and keep it as its next version; strategies that run go on with theirs until they are reloaded.

        ``replaces`` is the version that it was made from, or 0 for none: another one in between is then no accident.

        Raises:
            Forbidden: uploads are not switched on.
            Invalid: the name or the source will not do; ``code`` says why.
            Conflict: the name or a class is another's, it is what is there, or it would take a class from a strategy.
        """
        return await self._add(file_name, source, comment=comment, by=by, replaces=replaces)

    async def rollback(self, file_name: str, version: int, *, comment: str, by: str) -> FileVersion:
        """Make a new version that is equal to an earlier one, checked as any; also of a file that was deleted.

        Raises:
            NotFound: there is no such version. Others as ``upload``.
        """
        earlier = await self._repository.get(file_name, version)
        if earlier.deleted:
            raise Conflict(f"Version {version} of {file_name} is its deletion: there is nothing to go back to.")
        return await self._add(file_name, earlier.source, comment=comment, by=by, restores=version)

    async def delete(self, file_name: str, *, comment: str, by: str) -> FileVersion:
        """Take a file out of use. Its versions are kept, and it can be brought back by ``rollback``.

        Raises:
            NotFound: there is no such file.
            Conflict: a strategy is made of it.
        """
        async with self._changing:
            latest = await self.get(file_name)
            self._require_unused(file_name, latest.classes)
            gone = await self._append(
                file_name, "", latest, CheckReport(), comment=comment, by=by, deleted=True, restores=None
            )
            await asyncio.to_thread((self._folder / file_name).unlink, missing_ok=True)
            self._errors.pop(file_name, None)
            if self._loaded is not None and not self._shadowed(file_name):
                await asyncio.to_thread(self._loaded.forget, file_name)
            return gone

    # -- inside

    async def _add(
        self, file_name: str, source: str, *, comment: str, by: str, replaces: int | None = None,
        restores: int | None = None,
    ) -> FileVersion:  # fmt: skip
        if not self._may_upload:
            raise Forbidden(
                "Uploads are not switched on: strategies.upload in the configuration does so.", code="upload_off"
            )
        require_file_name(file_name)
        content = encoded_source(source)
        async with self._changing:
            latest = await self._repository.latest(file_name)
            self._require_free(file_name)
            number = latest.version if latest is not None else 0
            if replaces is not None and replaces != number:
                raise Conflict(f"{file_name} is at version {number}, not {replaces}.", code="changed_meanwhile")
            if latest is not None and not latest.deleted and latest.source.encode() == content:
                raise Conflict(f"That is version {number} of {file_name} already.", code="unchanged")
            report = await self._check(file_name, content.decode())
            names = [one["class_name"] for one in report.classes]
            self._require_own_classes(file_name, names)
            if latest is not None and not latest.deleted:
                self._require_unused(file_name, [name for name in latest.classes if name not in names])
            made = await self._append(
                file_name, content.decode(), latest, report, comment=comment, by=by, restores=restores
            )
            await asyncio.to_thread(_write, self._folder / file_name, content)
            await self._load(file_name)
            return made

    async def _append(
        self, file_name: str, source: str, latest: FileVersion | None, report: CheckReport, *, comment: str, by: str,
        restores: int | None, deleted: bool = False,
    ) -> FileVersion:  # fmt: skip
        content = source.encode()
        made = FileSource(
            file_name=file_name, version=(latest.version if latest is not None else 0) + 1, source=source,
            size=len(content), sha256=hashlib.sha256(content).hexdigest(),
            classes=[one["class_name"] for one in report.classes], result=_result(report), comment=comment,
            uploaded_by=by, created=now_timestamp(), restores=restores, deleted=deleted,
        )  # fmt: skip
        await self._repository.add(made)
        kept = msgspec.structs.asdict(made)
        del kept["source"]
        return FileVersion(**kept)

    async def _load(self, file_name: str) -> None:
        """Offer the classes; what does import in the check and not here is told in the list."""
        self._errors.pop(file_name, None)
        if self._loaded is None:
            return
        try:
            await asyncio.to_thread(self._loaded.load, file_name)
        except CoreError as error:
            logger.error("%s was accepted and cannot be loaded: %s", file_name, error.detail)
            self._errors[file_name] = str(error.extra.get("traceback") or error.detail)

    def _require_free(self, file_name: str) -> None:
        if self._shadowed(file_name):
            raise Conflict(
                f"The data folder's own strategies/ has a {file_name}: an upload never replaces it.",
                code="file_name_taken",
            )

    def _require_own_classes(self, file_name: str, names: Iterable[str]) -> None:
        others = self._loaded.modules_by_class() if self._loaded is not None else {}
        own = f"strategies.{file_name.removesuffix('.py')}"
        if taken := sorted(name for name in names if others.get(name, own) != own):
            listed = ", ".join(f"{name} ({others[name]})" for name in taken)
            raise Conflict(f"Other files have classes of these names: {listed}.", code="class_name_taken")

    def _require_unused(self, file_name: str, classes: Sequence[str]) -> None:
        users = sorted(one.strategy_name for one in self._strategies() if one.class_name in classes)
        if users:
            raise Conflict(
                f"Strategies are made of what {file_name} would no longer have: {', '.join(users)}.",
                code="class_in_use",
            )

    def _shadowed(self, file_name: str) -> str | None:
        own = self._own_folder / file_name
        return f"{own} has its name, and comes first." if own.exists() else None


def _result(report: CheckReport) -> dict[str, Any]:
    return {"python": report.python, "packages": report.packages, "seconds": report.seconds, "classes": report.classes}


def _fill(folder: Path, files: Mapping[str, bytes]) -> None:
    folder.mkdir(mode=0o700, exist_ok=True)
    _write(folder / "README.txt", _README.encode())
    for path in folder.glob("*.py"):
        if path.name not in files:
            path.replace(path.with_name(f"{path.name}.not-uploaded"))  # somebody put it there
    for name, content in files.items():
        _write(folder / name, content)


def _write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, unless it has that content."""
    try:
        if path.read_bytes() == content:
            return
    except OSError:
        """It is not there."""
    temporary = path.with_name(f"{path.name}.tmp")
    temporary.write_bytes(content)
    temporary.replace(path)


def _unknown(file_name: str) -> NotFound:
    return NotFound(f"There is no uploaded strategy file {file_name!r}.", code="unknown_file")


async def open_code_store(config: VnPyCoreConfig, database: DatabaseManager) -> CodeStore:
    """Make the store, and its folder what the database says; a database that is down leaves it as it was."""
    settings, own_folder, folder = config.strategies, config.data_dir / "strategies", config.data_dir / UPLOAD_FOLDER
    check = CodeCheck(
        [own_folder, folder], config.timezone, timeout_s=settings.check_timeout_s, memory_mb=settings.check_memory_mb
    )
    store = CodeStore(
        StrategyFileRepository(database), check, folder=folder, own_folder=own_folder, may_upload=settings.upload
    )
    try:
        await store.materialise()
    except Unavailable as error:
        logger.warning("The uploaded strategy files are those of the run before: %s", error.detail)
    return store
