"""The store of uploaded strategy files: what it takes, keeps, and writes where."""

from pathlib import Path

import msgspec
import pytest
from tests.memory_files import LoadedFiles, MemoryStrategyFiles, TextCheck

from vnpy_core.errors import Conflict, CoreError, Forbidden, Invalid, NotFound, Unavailable
from vnpy_core.models import Strategy
from vnpy_core.routers import examples
from vnpy_core.strategies.code_store import CodeStore

ONE, TWO = "class A: ...\n", "class A: ...\n\n\nclass B: ...\n"


class Place:
    """A store with all that it stands on."""

    def __init__(self, folder: Path, *, may_upload: bool = True) -> None:
        self.rows = MemoryStrategyFiles()
        self.check = TextCheck()
        self.loaded = LoadedFiles({"Official": "vnpy_ctastrategy.strategies.official", "A": "strategies.a"})
        self.users: list[Strategy] = []
        self.folder, self.own_folder = folder / "uploaded_strategies", folder / "strategies"
        self.own_folder.mkdir()
        self.folder.mkdir()
        self.store = CodeStore(
            self.rows, self.check, folder=self.folder, own_folder=self.own_folder, may_upload=may_upload
        )
        self.store.attach(self.loaded, lambda: self.users)

    async def upload(self, source: str, file_name: str = "a.py", replaces: int | None = None) -> int:
        made = await self.store.upload(file_name, source, comment="why", by="admin", replaces=replaces)
        return made.version

    def use(self, class_name: str) -> None:
        self.users = [msgspec.structs.replace(examples.STRATEGY, strategy_name="s", class_name=class_name)]

    def written(self) -> dict[str, str]:
        return {path.name: path.read_text() for path in self.folder.glob("*.py")}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def code_of(error: pytest.ExceptionInfo[CoreError]) -> str:
    return error.value.error_code


async def test_every_version_is_kept_and_the_last_is_loaded(place: Place) -> None:
    assert [await place.upload(ONE), await place.upload(TWO, replaces=1)] == [1, 2]
    assert place.written() == {"a.py": TWO}
    assert place.loaded.files == ["a.py", "a.py"]
    newest, oldest = await place.store.versions("a.py", None, 10)
    assert (newest.version, newest.classes, newest.size) == (2, ["A", "B"], len(TWO))
    assert (oldest.version, oldest.comment, oldest.uploaded_by, oldest.result["python"]) == (1, "why", "admin", "3.11")
    assert (await place.store.get("a.py")).source == TWO
    assert (await place.store.get("a.py", 1)).source == ONE
    (file,) = await place.store.files("", 10)
    assert (file.version, file.used_by, file.error) == (2, [], None)


async def test_nothing_is_taken_unless_uploads_are_on(tmp_path: Path) -> None:
    place = Place(tmp_path, may_upload=False)
    with pytest.raises(Forbidden) as refused:
        await place.upload(ONE)
    assert code_of(refused) == "upload_off"
    assert place.check.checked == []


@pytest.mark.parametrize(
    "name",
    ["../a.py", "a/b.py", "a", "a.txt", ".py", "1.py", "a.py\n", "class.py", "__init__.py", "é.py", "a" * 61 + ".py"],
)
async def test_a_name_is_that_of_a_module(place: Place, name: str) -> None:
    with pytest.raises(Invalid) as refused:
        await place.upload(ONE, name)
    assert code_of(refused) == "bad_file_name"
    assert place.written() == {}


@pytest.mark.parametrize(
    ("source", "code"),
    [
        (" \n", "source_empty"),
        ("#" * (256 << 10) + "\n", "source_too_large"),
        ("# -*- coding: gbk -*-\nclass A: ...\n", "source_encoding"),
        ("# coding: nothing\nclass A: ...\n", "source_encoding"),
        ("class A: '\ud800'", "source_encoding"),
        ("class A", "syntax_error"),
    ],
)
async def test_a_source_that_will_not_do_leaves_nothing(place: Place, source: str, code: str) -> None:
    with pytest.raises(Invalid) as refused:
        await place.upload(source)
    assert code_of(refused) == code
    assert refused.value.extra["errors"][0]["field"] == "source"
    assert (place.written(), place.rows.rows) == ({}, {})


async def test_a_byte_order_mark_is_left_out_and_line_ends_are_kept(place: Place) -> None:
    await place.upload("\ufeffclass A: ...\r\n")
    assert (place.folder / "a.py").read_bytes() == b"class A: ...\r\n"


async def test_names_that_are_taken_are_refused(place: Place) -> None:
    (place.own_folder / "mine.py").write_text("mine")
    for file_name, source, code in (
        ("mine.py", ONE, "file_name_taken"),
        ("b.py", ONE, "class_name_taken"),
        ("b.py", "class Official: ...", "class_name_taken"),
    ):
        with pytest.raises(Conflict) as refused:
            await place.upload(source, file_name)
        assert code_of(refused) == code
    assert place.rows.rows == {}
    assert (place.own_folder / "mine.py").read_text() == "mine"


async def test_what_is_there_already_or_was_overtaken_is_refused(place: Place) -> None:
    await place.upload(ONE)
    for source, replaces, code in ((ONE, None, "unchanged"), (TWO, 0, "changed_meanwhile")):
        with pytest.raises(Conflict) as refused:
            await place.upload(source, replaces=replaces)
        assert code_of(refused) == code


async def test_a_class_is_not_taken_from_its_strategies(place: Place) -> None:
    await place.upload(TWO)
    place.use("B")
    (file,) = await place.store.files("", 10)
    assert file.used_by == ["s"]
    for change in (place.upload(ONE), place.store.delete("a.py", comment="", by="admin")):
        with pytest.raises(Conflict) as refused:
            await change
        assert code_of(refused) == "class_in_use"
    assert place.written() == {"a.py": TWO}


async def test_rollback_is_a_new_version_and_so_is_a_deletion(place: Place) -> None:
    await place.upload(ONE)
    await place.upload(TWO)
    back = await place.store.rollback("a.py", 1, comment="better", by="desk")
    assert (back.version, back.restores, back.uploaded_by, place.written()) == (3, 1, "desk", {"a.py": ONE})
    with pytest.raises(Conflict):
        await place.store.rollback("a.py", 1, comment="", by="desk")
    gone = await place.store.delete("a.py", comment="", by="desk")
    assert (gone.version, gone.deleted, place.written()) == (4, True, {})
    assert await place.store.files("", 10) == []
    for missing in (place.store.get("a.py"), place.store.delete("a.py", comment="", by="desk")):
        with pytest.raises(NotFound):
            await missing
    with pytest.raises(Conflict):
        await place.store.rollback("a.py", 4, comment="", by="desk")
    again = await place.store.rollback("a.py", 2, comment="", by="desk")
    assert (again.version, place.written()) == (5, {"a.py": TWO})
    assert len(place.check.checked) == 4


async def test_differences(place: Place) -> None:
    await place.upload(ONE)
    await place.upload("class A: pass")
    told = await place.store.diff("a.py", None, None)
    assert (told.from_version, told.to_version) == (1, 2)
    assert told.diff.splitlines() == [
        "--- a.py 1", "+++ a.py 2", "@@ -1 +1 @@", "-class A: ...", "+class A: pass", "\\ No newline at end of file",
    ]  # fmt: skip
    assert (await place.store.diff("a.py", 2, 2)).diff == ""
    assert "+class A: ..." in (await place.store.diff("a.py", 0, 1)).diff
    with pytest.raises(NotFound):
        await place.store.diff("a.py", 7, 2)


async def test_what_cannot_be_loaded_here_is_told(place: Place) -> None:
    place.loaded.broken = {"a.py"}
    await place.upload(ONE)
    (file,) = await place.store.files("", 10)
    assert file.error == "Traceback …"


async def test_what_could_not_be_loaded_at_the_start_is_told(place: Place) -> None:
    await place.upload(ONE)
    place.loaded.broken = {"a.py"}
    (file,) = await place.store.files("", 10)
    assert file.error == "It could not be loaded at the start."


async def test_the_folder_is_made_what_the_database_says(place: Place) -> None:
    await place.upload(ONE)
    await place.upload("class C: ...", "c.py")
    (place.folder / "a.py").write_text("changed by hand")
    (place.folder / "stray.py").write_text("put there by hand")
    (place.own_folder / "c.py").write_text("the user's")
    await place.store.materialise()
    assert place.written() == {"a.py": ONE, "c.py": "class C: ..."}
    assert (place.folder / "stray.py.not-uploaded").read_text() == "put there by hand"
    errors = {file.file_name: file.error for file in await place.store.files("", 10)}
    assert errors["a.py"] is None
    assert "comes first" in str(errors["c.py"])
    assert (place.own_folder / "c.py").read_text() == "the user's"


async def test_without_the_database_the_folder_stays_as_it_is(place: Place) -> None:
    await place.upload(ONE)
    place.rows.down = True
    with pytest.raises(Unavailable):
        await place.store.materialise()
    with pytest.raises(Unavailable):
        await place.upload(TWO)
    assert place.written() == {"a.py": ONE}
