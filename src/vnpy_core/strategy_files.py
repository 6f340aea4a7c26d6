"""Uploaded strategy files as the API shows them: their versions, sources and differences."""

from typing import Annotated, Any

import msgspec

from vnpy_core.models import Timestamp


class FileVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A version of an uploaded strategy file, without its source."""

    file_name: Annotated[str, msgspec.Meta(examples=["breakout.py"])]
    version: Annotated[int, msgspec.Meta(description="Counted from 1, over all that ever was", examples=[3])]
    size: Annotated[int, msgspec.Meta(description="Bytes")]
    sha256: Annotated[str, msgspec.Meta(description="Of the source in UTF-8")]
    classes: Annotated[list[str], msgspec.Meta(description="Strategy classes that it defines", examples=[["Breakout"]])]
    result: Annotated[dict[str, Any], msgspec.Meta(description="What its check has found, and under which versions")]
    comment: str
    uploaded_by: Annotated[str, msgspec.Meta(examples=["admin"])]
    created: Timestamp
    restores: Annotated[int | None, msgspec.Meta(description="The version that it is a copy of, after a rollback")]
    deleted: Annotated[bool, msgspec.Meta(description="With this version the file was deleted; it has no source")]


class FileSource(FileVersion, frozen=True, kw_only=True):
    """A version with its source."""

    source: str


class StoredFile(FileVersion, frozen=True, kw_only=True):
    """The last version of a file, and what is made of it."""

    used_by: Annotated[list[str], msgspec.Meta(description="Strategies of its classes", examples=[["demo"]])]
    error: Annotated[str | None, msgspec.Meta(description="Why it is not loaded in this service")]


class FileDiff(msgspec.Struct, frozen=True, kw_only=True):
    """What changed between two versions of a file."""

    file_name: Annotated[str, msgspec.Meta(examples=["breakout.py"])]
    from_version: Annotated[int, msgspec.Meta(examples=[1])]
    to_version: Annotated[int, msgspec.Meta(examples=[2])]
    diff: Annotated[str, msgspec.Meta(description="Unified; empty if they are equal")]


class FilePage(msgspec.Struct, frozen=True, kw_only=True):
    """The uploaded strategy files, each by its last version."""

    strategy_files: list[StoredFile]
    next_cursor: Annotated[str | None, msgspec.Meta(description="Ask again with it for the next page; null: no more")]


class VersionPage(msgspec.Struct, frozen=True, kw_only=True):
    """Versions of one file, newest first."""

    versions: list[FileVersion]
    next_cursor: Annotated[str | None, msgspec.Meta(description="Ask again with it for the next page; null: no more")]


class ReloadFailure(msgspec.Struct, frozen=True, kw_only=True):
    """A strategy that goes on as it was, and why."""

    strategy_name: Annotated[str, msgspec.Meta(examples=["demo"])]
    code: Annotated[str, msgspec.Meta(examples=["strategy_failed"])]
    detail: str
    traceback: str | None


class ClassReload(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the strategies of a class whose file was imported anew."""

    class_name: Annotated[str, msgspec.Meta(examples=["Breakout"])]
    module: Annotated[str, msgspec.Meta(examples=["strategies.breakout"])]
    reloaded: Annotated[list[str], msgspec.Meta(description="Strategies that go on with the new version")]
    failed: list[ReloadFailure]
