"""Strategy files imported anew while the engine runs, and which of several folders wins."""

import gc
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.engine_room import SYMBOL, Room, engine_room
from vnpy_core.engine.cta import CoreCtaApp, CoreCtaEngine
from vnpy_core.engine.strategy_code import StrategyCode
from vnpy_core.errors import NotFound, StrategyFailed

FILE = '''
from vnpy_ctastrategy import CtaTemplate
{above}

class {name}(CtaTemplate):
    level = {level}
    parameters = ["level"]

    def on_init(self): ...
'''


def text(name: str, level: object, above: str = "") -> str:
    return FILE.format(name=name, level=level, above=above)


@pytest.fixture
def room(tmp_path: Path, runtime_dir: Path) -> Iterator[Room]:
    with engine_room(tmp_path, runtime_dir) as room:
        yield room


def start(room: Room) -> tuple[CoreCtaEngine, StrategyCode]:
    room.start()
    cta = room.add(CoreCtaApp, CoreCtaEngine)
    cta.init_engine()
    return cta, StrategyCode([cta], room.event_engine.call)


def upload(room: Room, name: str, source: str) -> None:
    (room.folder / "uploaded_strategies" / name).write_text(source)


def level(cta: CoreCtaEngine, name: str) -> object:
    return cta.describe_class(name)["parameters"][0]["default"]


def test_a_file_is_imported_anew_and_its_old_module_is_let_go(room: Room) -> None:
    cta, code = start(room)
    upload(room, "one.py", text("One", 1))
    code.load("one.py")
    assert (cta.describe_class("One")["origin"], level(cta, "One")) == ("uploaded", 1)
    old = weakref.ref(sys.modules["strategies.one"])
    # Of one size, and in the same second: Python's own cache takes it for the same.
    upload(room, "one.py", text("One", 2))
    code.load("one.py")
    assert level(cta, "One") == 2
    room.timer()
    gc.collect()
    assert old() is None
    upload(room, "one.py", text("Other", 3))
    code.load("one.py")
    assert level(cta, "Other") == 3
    with pytest.raises(NotFound):
        cta.describe_class("One")


def test_a_file_that_cannot_be_imported_changes_nothing(room: Room) -> None:
    room.strategy_file("base.py", "LEVEL = 1\n")
    upload(room, "one.py", text("One", "LEVEL", "from strategies.base import LEVEL"))
    cta, code = start(room)
    before = dict(sys.modules)
    room.strategy_file("base.py", "LEVEL = 2\n")
    upload(room, "one.py", text("One", "LEVEL", "from strategies.base import LEVEL\nraise SystemExit(1)"))
    with pytest.raises(StrategyFailed) as failed:
        code.load("one.py")
    assert "SystemExit" in failed.value.extra["traceback"]
    assert level(cta, "One") == 1
    own = {name: module for name, module in sys.modules.items() if name.startswith("strategies.")}
    assert own == {name: module for name, module in before.items() if name.startswith("strategies.")}
    import strategies

    assert strategies.base is before["strategies.base"]


def test_what_it_imports_of_the_folder_is_imported_anew_too(room: Room) -> None:
    room.strategy_file("base.py", "LEVEL = 1\n")
    room.strategy_file("other.py", text("Other", "LEVEL", "from strategies.base import LEVEL"))
    upload(room, "one.py", text("One", "LEVEL", "from strategies.base import LEVEL"))
    cta, code = start(room)
    other = sys.modules["strategies.other"]
    room.strategy_file("base.py", "LEVEL = 2\n")
    code.load("one.py")
    assert (level(cta, "One"), level(cta, "Other")) == (2, 1)
    assert sys.modules["strategies.other"] is other


def test_strategies_go_on_with_the_class_they_have(room: Room) -> None:
    upload(room, "one.py", text("One", 1))
    cta, code = start(room)
    cta.add_strategy("One", "running", SYMBOL, {})
    upload(room, "one.py", text("One", 2))
    code.load("one.py")
    cta.add_strategy("One", "later", SYMBOL, {})
    assert [cta.get_state(name)["parameters"] for name in ("running", "later")] == [{"level": 1}, {"level": 2}]


def test_a_file_is_forgotten(room: Room) -> None:
    upload(room, "one.py", text("One", 1))
    _, code = start(room)
    assert code.modules_by_class()["One"] == "strategies.one"
    (room.folder / "uploaded_strategies" / "one.py").unlink()
    code.forget("one.py")
    assert "One" not in code.modules_by_class()
    assert "strategies.one" not in sys.modules
    with pytest.raises(StrategyFailed):
        code.load("one.py")


def test_the_users_own_folder_wins(room: Room) -> None:
    room.strategy_file("one.py", text("One", 1))
    upload(room, "one.py", text("One", 2))
    room.strategy_file("mine.py", text("Both", 3))
    upload(room, "theirs.py", text("Both", 4))
    upload(room, "official.py", text("DoubleMaStrategy", 5))
    cta, code = start(room)
    assert (cta.describe_class("One")["origin"], level(cta, "One")) == ("user", 1)
    assert level(cta, "Both") == 3
    assert level(cta, "DoubleMaStrategy") == 5
    ((file, told),) = cta.broken_files.items()
    assert file.endswith("uploaded_strategies/one.py")
    assert "comes first" in told
    assert code.broken_uploads() == {"one.py": told}
