"""The key ring: its file, its rotation, and what older keys are still good for."""

import stat
from pathlib import Path

import pytest
from pydantic import SecretStr

from vnpy_core.errors import ConfigError, Unavailable
from vnpy_core.security.keys import FILE_NAME, KeyRing
from vnpy_core.security.tokens import AccessTokens

OLD, NEW = "the old key, of forty characters or so..", "the new key, of forty characters or so.."


def test_the_file_is_made_once_and_for_its_owner(tmp_path: Path) -> None:
    first, again = KeyRing.load(tmp_path, None), KeyRing.load(tmp_path, None)
    assert again.matches("x", first.hash("x"))
    assert stat.S_IMODE((tmp_path / FILE_NAME).stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [tmp_path / FILE_NAME]
    assert not KeyRing.load(tmp_path / "other", None).matches("x", first.hash("x"))


def test_a_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    KeyRing.load(tmp_path, None)
    (tmp_path / FILE_NAME).chmod(0o640)
    with pytest.raises(ConfigError, match="chmod 600"):
        KeyRing.load(tmp_path, None)


@pytest.mark.parametrize("text", ["", "short", f"{OLD} x", "é" * 40])
def test_a_file_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / FILE_NAME
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    with pytest.raises(ConfigError, match=FILE_NAME):
        KeyRing.load(tmp_path, None)


def test_after_a_rotation_what_was_made_before_is_good(tmp_path: Path) -> None:
    keys = [key.replace(" ", "-").replace(",", "") for key in (OLD, NEW)]
    old = KeyRing([keys[0]])
    both = KeyRing.load(tmp_path, SecretStr(f"{keys[1]}\n{keys[0]}"))
    new = KeyRing([keys[1]])
    assert both.matches("x", old.hash("x"))
    assert both.hash("x") == new.hash("x")
    assert both.is_marked("secret" + old.mark("secret"))
    assert both.decrypt(old.encrypt("hush")) == new.decrypt(both.encrypt("hush")) == "hush"
    token = AccessTokens(old.signing_keys, 60).issue("desk", "s1")
    assert AccessTokens(both.signing_keys, 60).verify(token).username == "desk"
    with pytest.raises(Unavailable):
        new.decrypt(old.encrypt("hush"))


def test_one_purpose_is_not_another() -> None:
    ring = KeyRing([OLD])
    assert not ring.is_marked(ring.hash("x"))
    assert not ring.is_marked("")
    assert not ring.matches("", ring.hash("x"))
