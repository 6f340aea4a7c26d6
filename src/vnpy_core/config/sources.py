"""The layers of the configuration: a TOML file and the environment, each checked name by name."""

import difflib
import json
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import AliasChoices, BaseModel
from pydantic.fields import FieldInfo

from vnpy_core.errors import ConfigError

PREFIX = "VNPY_CORE_"
# vn.py users know these names; they stand beside the prefixed ones.
ALSO_HONOURED = {"VNPY_DATA_DIR": "data_dir", "VNPY_LOG_DIR": "log_dir", "VNPY_CONFIG_DIR": "config_dir"}


def nearest(name: str, known: Iterable[str]) -> str:
    """Return `` Did you mean …?`` for the known name closest to ``name``, or the list of all."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f"Did you mean {close[0]}?" if close else f"Known: {', '.join(names)}."


def read_toml(path: Path) -> dict[str, Any]:
    """Raises: ConfigError when ``path`` cannot be read or is not TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"There is no configuration file {path}. `vnpy-core init` writes one.") from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}.") from error


def read_environment(environ: Mapping[str, str], model: type[BaseModel]) -> dict[str, Any]:
    """Return the nested values that ``VNPY_CORE_…`` names set; ``__`` goes one level down.

    A name ending in ``_FILE`` gives the path of a file that holds the value, so that a secret need not stand in the
    environment. Section names are written in any case; below a free-form table (a gateway's name, its settings) the
    case counts.

    Raises:
        ConfigError: a ``VNPY_CORE_`` name that is no setting; the message names the nearest one.
    """
    values: dict[str, Any] = {}
    for name, key in ALSO_HONOURED.items():
        if environ.get(name):
            values[key] = environ[name]
    for name in sorted(environ):
        if not name.startswith(PREFIX):
            continue
        text = environ[name]
        path = _locate(name, model)
        if path is None and name.endswith("_FILE"):
            path = _locate(name.removesuffix("_FILE"), model)
            if path is not None:
                try:
                    text = Path(text).read_text(encoding="utf-8").strip()
                except OSError as error:
                    raise ConfigError(f"{name} names {text}, which cannot be read: {error.strerror}.") from error
        if path is None:
            known = [PREFIX + "__".join(part.upper() for part in keys) for keys in setting_names(model)]
            raise ConfigError(f"{name} is not a setting. {nearest(name, [*known, *ALSO_HONOURED])}")
        keys, is_free = path
        target = values
        for key in keys[:-1]:
            target = target.setdefault(key, {})
        target[keys[-1]] = _decode(text, is_free)
    return values


def setting_names(model: type[BaseModel], above: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Return the path of every leaf setting of ``model``; ``<name>`` stands for a free key."""
    found: list[tuple[str, ...]] = []
    for name, field in model.model_fields.items():
        inner, values = _inner(field.annotation)
        path = (*above, public_name(name, field))
        if inner is not None:
            found += setting_names(inner, path)
        elif values is not None:
            found += setting_names(values, (*path, "<name>"))
        else:
            found.append(path)
    return found


def public_name(name: str, field: FieldInfo) -> str:
    alias = field.validation_alias
    return str(alias.choices[0]) if isinstance(alias, AliasChoices) else name


def _locate(name: str, model: type[BaseModel]) -> tuple[list[str], bool] | None:
    """Return the keys a variable names. One ``_`` after a section is enough: ``VNPY_CORE_SERVICE_PORT``."""
    parts = name.removeprefix(PREFIX).split("__")
    path = _resolve(parts, model)
    section, _, key = parts[0].partition("_")
    return path if path is not None or not key else _resolve([section, key, *parts[1:]], model)


def _resolve(parts: list[str], model: type[BaseModel] | None) -> tuple[list[str], bool] | None:
    """Return the keys that ``parts`` name, and whether they end inside a free-form table; None if they name nothing."""
    keys: list[str] = []
    expects_name: type[BaseModel] | None = None
    for index, part in enumerate(parts):
        if expects_name is not None:
            keys.append(part)
            model, expects_name = expects_name, None
            continue
        if model is None:
            return None
        names = {public_name(name, field): field for name, field in model.model_fields.items()}
        field = names.get(part.lower())
        if field is None:
            return None
        keys.append(part.lower())
        model, expects_name = _inner(field.annotation)
        if model is None and expects_name is None and index + 1 < len(parts):
            if not _is_free(field.annotation) or "" in parts:
                return None
            return [*keys, *parts[index + 1 :]], True
    return keys, False


def _inner(annotation: Any) -> tuple[type[BaseModel] | None, type[BaseModel] | None]:
    """Return the section an annotation is, and the section its free keys hold."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _inner(get_args(annotation)[0])
    if origin in (Union, UnionType):
        inner = [argument for argument in get_args(annotation) if argument is not NoneType]
        return _inner(inner[0]) if len(inner) == 1 else (None, None)
    if origin is dict:
        value = get_args(annotation)[1]
        return (None, value) if isinstance(value, type) and issubclass(value, BaseModel) else (None, None)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, None
    return None, None


def _is_free(annotation: Any) -> bool:
    return get_origin(annotation) is dict


def _decode(text: str, is_free: bool) -> Any:
    """A table or list is written as JSON; in a free-form table, so is a number or a truth value."""
    if is_free or text[:1] in ("{", "["):
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text
