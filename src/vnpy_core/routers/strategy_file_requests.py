"""What may be asked of uploaded strategy files, and examples of what is answered."""

from typing import Annotated

import msgspec
from pydantic import ConfigDict, Field

from vnpy_core.routers.requests import Body, Page, RequestQuery
from vnpy_core.strategies.code_check import FILE_NAME
from vnpy_core.strategy_files import FileDiff, FileSource, FileVersion, StoredFile

MAX_VERSION = 2**31 - 1
_MAX_COMMENT = 1000
Version = Annotated[int, Field(ge=1, le=MAX_VERSION, description="Its number / 版本号", examples=[3])]
Comment = Annotated[
    str,
    Field(
        max_length=_MAX_COMMENT, pattern=r"^[^\x00-\x1f\x7f]*$", description="Why / 说明", examples=["Wider channel"]
    ),
]

_SOURCE = "from vnpy_ctastrategy import CtaTemplate\n\n\nclass Breakout(CtaTemplate):\n    def on_init(self): ...\n"
EXAMPLE = FileVersion(
    file_name="breakout.py", version=3, size=107, sha256="0f" * 32, classes=["Breakout"],
    result={"python": "3.11.9", "packages": {"vnpy": "4.5.0", "vnpy_ctastrategy": "1.4.1"}, "seconds": 0.02},
    comment="Wider channel", uploaded_by="admin", created="2026-01-05T01:30:00.000000+00:00", restores=None,
    deleted=False,
)  # fmt: skip
SOURCE_EXAMPLE = FileSource(**msgspec.structs.asdict(EXAMPLE), source=_SOURCE)
FILE_EXAMPLE = StoredFile(**msgspec.structs.asdict(EXAMPLE), used_by=["demo"], error=None)
DIFF_EXAMPLE = FileDiff(
    file_name="breakout.py", from_version=2, to_version=3,
    diff="--- breakout.py 2\n+++ breakout.py 3\n@@ -1 +1 @@\n-window = 20\n+window = 30\n",
)  # fmt: skip


class FilesQuery(Page):
    cursor: Annotated[
        str | None, Field(pattern=FILE_NAME, description="next_cursor of the page before / 上一页的 next_cursor")
    ] = None


class VersionsQuery(Page):
    cursor: Annotated[
        int | None,
        Field(ge=1, le=MAX_VERSION, description="next_cursor of the page before / 上一页的 next_cursor"),
    ] = None


class DiffQuery(RequestQuery):
    from_version: Annotated[
        int | None, Field(ge=0, le=MAX_VERSION, description="Default: the one before; 0: nothing / 起始版本")
    ] = None
    to_version: Annotated[
        int | None, Field(ge=1, le=MAX_VERSION, description="Default: the last / 目标版本")
    ] = None


class UploadBody(Body):
    """A strategy file."""

    source: Annotated[str, Field(min_length=1, description="Python, as text / Python 源码")]
    comment: Comment = ""
    replaces: Annotated[
        int | None,
        Field(ge=0, le=MAX_VERSION, description="The version it was made from, 0 for none / 所依据的版本"),
    ] = None

    model_config = ConfigDict(json_schema_extra={"examples": [{"source": _SOURCE, "comment": "First version"}]})


class RollbackBody(Body):
    """The version to go back to."""

    version: Version
    comment: Comment = ""

    model_config = ConfigDict(json_schema_extra={"examples": [{"version": 2, "comment": "3 trades too much"}]})
