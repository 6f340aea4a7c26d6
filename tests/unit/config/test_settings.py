"""The layers of the configuration, and what a misspelt name is answered."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vnpy_core.config.settings import VnPyCoreConfig, load_config
from vnpy_core.config.sources import PREFIX, read_environment, setting_names
from vnpy_core.config.template import render_reference, render_template
from vnpy_core.config.vt_setting import read_vt_setting, write_vt_setting
from vnpy_core.errors import ConfigError


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_defaults_need_nothing(tmp_path: Path) -> None:
    config = load_config(environ={"VNPY_DATA_DIR": str(tmp_path)})
    assert (config.service.host, config.service.port) == ("127.0.0.1", 8006)
    assert config.timezone == "Asia/Shanghai"
    assert config.gateways["SIM"].auto_connect
    assert config.database_url.get_secret_value() == f"sqlite+aiosqlite:///{tmp_path}/vnpy-core.db"


def test_each_layer_beats_the_one_before(tmp_path: Path) -> None:
    file = write(tmp_path / "c.toml", '[service]\nport = 1\nhost = "127.0.0.2"\n[log]\nlevel = "ERROR"\n')
    environ = {"VNPY_DATA_DIR": str(tmp_path), "VNPY_CORE_SERVICE__PORT": "2", "VNPY_CORE_LOG__LEVEL": "DEBUG"}
    config = load_config(file, environ=environ, overrides={"service": {"port": 3}})
    assert (config.service.host, config.service.port, config.log.level) == ("127.0.0.2", 3, "DEBUG")


def test_gateways_by_file_and_environment(tmp_path: Path) -> None:
    file = write(
        tmp_path / "c.toml",
        '[gateways.CTP]\nclass = "vnpy_ctp.CtpGateway"\nauto_connect = true\n[gateways.CTP.setting]\n"用户名" = "me"\n',
    )
    environ = {
        "VNPY_DATA_DIR": str(tmp_path),
        "VNPY_CORE_GATEWAYS__CTP__SETTING__密码": "hidden",
        "VNPY_CORE_GATEWAYS__Second__CLASS": "vnpy_ctp.CtpGateway",
        "VNPY_CORE_GATEWAYS__Second__SETTING": '{"seed": 5}',
        "VNPY_CORE_GATEWAYS__Second__SETTING__speed": "2.5",
    }
    gateways = load_config(file, environ=environ).gateways
    assert gateways["CTP"].setting == {"用户名": "me", "密码": "hidden"}
    assert gateways["Second"].setting == {"seed": 5, "speed": 2.5}


def test_of_the_default_gateway_only_what_differs_is_given(tmp_path: Path) -> None:
    environ = {"VNPY_DATA_DIR": str(tmp_path), "VNPY_CORE_GATEWAYS__SIM__SETTING__seed": "7"}
    (sim,) = load_config(environ=environ).gateways.values()
    assert (sim.class_path, sim.auto_connect) == ("vnpy_core.engine.sim.SimGateway", True)
    assert sim.setting == {"seed": 7}
    file = write(tmp_path / "c.toml", '[gateways.SIM]\nauto_connect = false\n[gateways.A]\nclass = "a.B"\n')
    gateways = load_config(file, environ=environ).gateways
    assert (gateways.keys(), gateways["SIM"].auto_connect) == ({"SIM", "A"}, False)
    file = write(tmp_path / "d.toml", '[gateways.A]\nclass = "a.B"\n')
    assert load_config(file, environ={"VNPY_DATA_DIR": str(tmp_path)}).gateways.keys() == {"A"}


def test_a_config_dir_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """Or the service would quietly trade in another time zone than the user's vn.py."""
    environ = {"VNPY_DATA_DIR": str(tmp_path), "VNPY_CONFIG_DIR": str(tmp_path / "vntrader")}
    with pytest.raises(ConfigError, match="vntrader"):
        load_config(environ=environ)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("VNPY_CORE_SERVICE__PROT", "VNPY_CORE_SERVICE__PORT"),
        ("VNPY_CORE_TIMEZON", "VNPY_CORE_TIMEZONE"),
        ("VNPY_CORE_SERVICE__PORT__X", "VNPY_CORE_SERVICE__PORT"),
        ("VNPY_CORE_JOURNL__SYNCHRONOUS", "VNPY_CORE_JOURNAL__SYNCHRONOUS"),
    ],
)
def test_a_misspelt_variable_is_named_with_the_nearest(name: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(environ={name: "1"})
    assert name in caught.value.detail
    assert f"Did you mean {hint}?" in caught.value.detail


def test_an_unknown_key_in_the_file_is_named_with_the_nearest(tmp_path: Path) -> None:
    file = write(tmp_path / "c.toml", "[service]\nprot = 1\n")
    with pytest.raises(ConfigError, match=r"service\.prot is not a setting. Did you mean port\?"):
        load_config(file, environ={})
    file = write(tmp_path / "d.toml", '[gateways.A]\nclas = "x"\n')
    with pytest.raises(ConfigError, match=r"gateways\.A\.clas is not a setting. Did you mean class\?"):
        load_config(file, environ={})


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"VNPY_CORE_SERVICE__PORT": "eight"}, "service.port"),
        ({"VNPY_CORE_TIMEZONE": "Asia/Peking"}, "Asia/Peking"),
        ({"VNPY_CORE_JOURNAL__SYNCHRONOUS": "OFF"}, "journal.synchronous"),
        ({"VNPY_CORE_DATABASE__URL_FILE": "/nowhere/secret"}, "/nowhere/secret"),
    ],
)
def test_a_bad_value_stops_the_start(environ: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(environ=environ)
    assert said in caught.value.detail


def test_one_underscore_after_a_section_is_enough() -> None:
    assert load_config(environ={"VNPY_CORE_SERVICE_PORT": "8010"}).service.port == 8010


def test_the_written_file_gives_the_defaults(tmp_path: Path) -> None:
    text = render_template()
    file = write(tmp_path / "c.toml", text)
    assert load_config(file, environ={}) == load_config(environ={})
    awake = "\n".join(
        line.removeprefix("# ")
        for line in text.splitlines()
        if (line.startswith("# [") and "gateways" not in line) or (" = " in line and '= ""' not in line)
    )
    sections = awake.partition("class = ")[0]
    assert load_config(write(tmp_path / "d.toml", sections), environ={}) == load_config(environ={})


def test_the_page_of_the_docs_lists_every_setting() -> None:
    page = Path(__file__).resolve().parents[3] / "docs" / "configuration.md"
    assert render_reference() in page.read_text(encoding="utf-8"), "run: make docs"


@pytest.mark.parametrize("name", ["README.md", "README.zh.md", "docs/configuration.md"])
def test_what_the_pages_show_of_a_configuration_is_accepted(name: str, tmp_path: Path) -> None:
    page = (Path(__file__).resolve().parents[3] / name).read_text(encoding="utf-8")
    shown = re.findall(r"```toml\n(.*?)```|^(?=\[gateways)(.+?)\n\$", page, re.DOTALL | re.MULTILINE)
    assert shown
    for text in map("".join, shown):
        load_config(write(tmp_path / "vnpy-core.toml", text), environ={"VNPY_DATA_DIR": str(tmp_path)})


def test_a_secret_comes_from_a_file_and_shows_nowhere(tmp_path: Path) -> None:
    secret = write(tmp_path / "url", "mysql+asyncmy://core:s3cret@127.0.0.1/core\n")
    config = load_config(environ={"VNPY_DATA_DIR": str(tmp_path), "VNPY_CORE_DATABASE__URL_FILE": str(secret)})
    assert config.database_url.get_secret_value() == "mysql+asyncmy://core:s3cret@127.0.0.1/core"
    assert "s3cret" not in repr(config)
    assert "s3cret" not in config.model_dump_json()


def test_a_refused_value_is_not_repeated() -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(environ={"VNPY_CORE_DATABASE__URL": '{"password": "s3cret"}'})
    assert "s3cret" not in caught.value.detail


def test_the_time_zone_of_an_existing_vn_py_folder_is_kept(tmp_path: Path) -> None:
    write_vt_setting(tmp_path, {"database.timezone": "America/New_York", "font.size": 14})
    environ = {"VNPY_DATA_DIR": str(tmp_path / "data"), "VNPY_CONFIG_DIR": str(tmp_path)}
    config = load_config(environ=environ)
    assert config.timezone == "America/New_York"
    assert load_config(environ=environ, overrides={"timezone": "UTC"}).timezone == "UTC"
    assert config.get_vnpy_setting()["font.size"] == 14
    path = config.save_vnpy_setting({"font.size": 9})
    assert path == tmp_path / "data" / ".vntrader" / "vt_setting.json"
    assert json.loads(path.read_text())["database.timezone"] == "America/New_York"


@pytest.mark.parametrize("text", ["{", "[]", "\x00"])
def test_a_broken_vt_setting_is_named(tmp_path: Path, text: str) -> None:
    write(tmp_path / "vt_setting.json", text)
    with pytest.raises(ConfigError, match="vt_setting"):
        read_vt_setting(tmp_path)


def test_a_missing_file_that_was_asked_for_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="vnpy-core init"):
        load_config(tmp_path / "none.toml", environ={})


@given(st.data())
def test_every_setting_can_be_named_in_the_environment(data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(setting_names(VnPyCoreConfig)))
    name = PREFIX + "__".join("SIM" if part == "<name>" else part.upper() for part in path)
    value: object = read_environment({name: "1"}, VnPyCoreConfig)
    for part in path:
        assert isinstance(value, dict)
        value = value["SIM" if part == "<name>" else part]
    assert value == "1"


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ('tls_ca = "/ca.pem"', "tls must be true when"),
        ('tls = true\ntls_key = "/key.pem"', "tls_key is of no use without tls_cert"),
        ("pool_size = 0", "database.pool_size"),
        ("timeout_s = 0", "database.timeout_s"),
    ],
)
def test_a_database_setting_that_makes_no_sense_is_explained(tmp_path: Path, lines: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load_config(write(tmp_path / "c.toml", f"[database]\n{lines}\n"), environ={})


def test_the_urls_of_databases_are_secrets(tmp_path: Path) -> None:
    urls = 'url = "mysql://core:s3cret@db/facts"\nread_only_url = "mysql://core:s3cret@replica/facts"'
    config = load_config(write(tmp_path / "c.toml", f"[database]\n{urls}\n"), environ={})
    assert "s3cret" not in repr(config)
