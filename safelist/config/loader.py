"""Reads a configuration: TOML into values; every fault is reported at once, each with its key and what to write."""

import difflib
import os
import re
import shlex
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, get_args, get_origin
from urllib.parse import urlsplit

import platformdirs
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from safelist.config.model import Config, NamedSource
from safelist.entry import FIRST_SOURCE
from safelist.errors import ConfigError, PermissionDeniedError

MAX_BYTES = 1 << 20
"""A configuration file larger than this is refused unread."""


def default_path() -> Path:
    """``$SAFELIST_CONFIG``, else /etc/safelist/safelist.toml for root, else in the user's own configuration."""
    if named := os.environ.get("SAFELIST_CONFIG"):
        return Path(named)
    if os.geteuid() == 0:
        return Path("/etc/safelist/safelist.toml")
    return _own(platformdirs.user_config_path) / "safelist.toml"


def default_database() -> Path:
    """safelist.db in ``$STATE_DIRECTORY`` (systemd), else /var/lib/safelist for root, else in the user's own state."""
    if state := os.environ.get("STATE_DIRECTORY"):
        return Path(state.split(":")[0]) / "safelist.db"
    if os.geteuid() == 0:
        return Path("/var/lib/safelist/safelist.db")
    return _own(platformdirs.user_state_path) / "safelist.db"


def _own(directory: Callable[[str], Path]) -> Path:
    try:
        return directory("safelist")
    except RuntimeError:
        raise ConfigError("this user has no home directory; name the configuration with --config") from None


def load(
    path: Path, targets: Mapping[str, type[BaseModel]], kinds: Mapping[str, type[BaseModel]] | None = None
) -> Config:
    """Read and check the file.

    ``targets`` maps each target's name to the model of its section, ``kinds`` each kind of source to that of its own.

    Raises ConfigError with every fault at once, PermissionDeniedError where the file may not be read.
    """
    text = read_text(path, "write one with `safelist init`")
    try:
        table = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # ValueError: also a number of thousands of digits
        raise ConfigError(f"{path}: not TOML: {error}") from None
    faults = [f"{key}: holds a NUL character, remove it" for key in _keys_with_nul(table, "")]
    if faults:
        raise ConfigError(*(f"{path}: {fault}" for fault in faults))
    targets_read = _read_targets(table.get("publish", {}), targets, faults)
    sources_read = _read_sources(table, kinds or {}, path.parent.absolute(), faults)
    try:
        config = Config.model_validate(_with_absolute_paths(table, path.parent))
    except ValidationError as error:
        faults.extend(fault for detail in error.errors() for fault in faults_of(detail, Config))
        config = None
    faults.extend(_open_secret(path, table))
    if faults or config is None:
        raise ConfigError(*(f"{path}: {fault}" for fault in faults))
    return config.model_copy(update={"publish": targets_read, "sources": sources_read})


def read_text(path: Path, write_one: str) -> str:
    """The file's text; ``write_one`` says how to come by one. Raises ConfigError, PermissionDeniedError."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; {write_one}, or name yours with --config") from None
    except PermissionError:
        raise PermissionDeniedError(f"{path}: may not be read by this user; run as its owner") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    if len(data) > MAX_BYTES:
        raise ConfigError(f"{path}: larger than {MAX_BYTES} bytes, this is no safelist configuration")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 at byte {error.start}; save it as UTF-8") from None


def _read_targets(sections: object, models: Mapping[str, type[BaseModel]], faults: list[str]) -> dict[str, BaseModel]:
    read: dict[str, BaseModel] = {}
    if not isinstance(sections, dict):
        return read
    for kind, whole in sections.items():
        if kind not in models:
            faults.append(f"publish.{kind}: no such target{_suggest(kind, models)}; there are: {', '.join(models)}")
            continue
        for name, section in _each_of(kind, whole, models[kind], faults):
            try:
                read[name] = models[kind].model_validate(section)
            except ValidationError as error:
                details = error.errors(include_input=False)
                faults.extend(f for detail in details for f in faults_of(detail, models[kind], f"publish.{name}"))
    faults.extend(_on_one_path(read))
    return read


_TARGET_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,29}")


def _each_of(kind: str, whole: object, model: type[BaseModel], faults: list[str]) -> Iterator[tuple[str, object]]:
    """The section ``[publish.KIND]``, or the keys and the named sections that stand in it."""
    may_be_several = getattr(model, "MAY_BE_SEVERAL", False)
    named = {key: each for key, each in whole.items() if isinstance(each, dict)} if isinstance(whole, dict) else {}
    if not (may_be_several and named and isinstance(whole, dict)):
        yield kind, whole
        return
    if rest := {key: each for key, each in whole.items() if key not in named}:
        yield kind, rest
    for name, section in named.items():
        if _TARGET_NAME.fullmatch(name):
            yield f"{kind}.{name}", section
        else:
            faults.append(f"publish.{kind}.{name}: write a name: small letters, digits, - and _, no more than 30")


def _on_one_path(read: Mapping[str, BaseModel]) -> Iterator[str]:
    """Targets would overwrite each other's files, whatever links lead there, and those that stand beside them."""
    paths = {name: path for name, section in read.items() if (path := getattr(section, "path", None)) is not None}
    seen: dict[str, str] = {}
    for name, path in paths.items():
        real = os.path.realpath(path)
        if real in seen:
            yield f"publish.{name}.path: {path} is the path of [publish.{seen[real]}] already; write another"
        seen.setdefault(real, name)
    for name, path in paths.items():
        real = os.path.realpath(path)
        if other := next((each for each in seen if each != real and real in _beside(each)), None):
            yield f"publish.{name}.path: {path} stands beside the path of [publish.{seen[other]}]; write another"


def _beside(path: str) -> Iterator[str]:
    """What targets may name their further files, behind the path of the first; scripts of one of theirs are alike."""
    yield from (f"{path}.{suffix}" for suffix in ("recipients", "rules", "users", "db", "cdb", "lmdb"))
    yield from (f"{path.removesuffix('.ps1')}.{suffix}" for suffix in ("ps1", "apply.ps1"))


_SOURCE_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,49}")


def _read_sources(
    table: Mapping[str, Any], models: Mapping[str, type[BaseModel]], base: Path, faults: list[str]
) -> tuple[NamedSource, ...]:
    """The sources in ``[[sources]]``, in their order; those that cannot be are faults."""
    sections, has_first = table.get("sources", []), bool(table.get("exchange"))
    if not isinstance(sections, list) or not all(isinstance(section, dict) for section in sections):
        faults.append("sources: must be sections of their own, write [[sources]] before each")
        return ()
    if sections and table.get("mailboxes") and not has_first:  # `safelist init` writes both empty
        faults.append("mailboxes: is about [exchange], which is not there; write [sources.mailboxes] below the source")
    read: dict[str, NamedSource] = {}
    taken = {FIRST_SOURCE} if has_first else set[str]()
    for number, section in enumerate(sections, start=1):
        name = section.get("name")
        if not isinstance(name, str) or not _SOURCE_NAME.fullmatch(name):
            faults.append(f"sources.{number}.name: write a name: small letters, digits, - and _, no more than 50")
        elif name in taken:
            faults.append(f"sources.{name}: two sources have that name; rename one (a name stays with its mailboxes)")
        else:
            taken.add(name)
            read |= {source.name: source for source in _read_source(name, section, models, base, faults)}
    return tuple(read.values())


def _read_source(
    name: str, section: Mapping[str, Any], models: Mapping[str, type[BaseModel]], base: Path, faults: list[str]
) -> Iterator[NamedSource]:
    kind, settings = section.get("kind"), {key: value for key, value in section.items() if key not in ("name", "kind")}
    if not isinstance(kind, str) or kind not in models:
        suggested = _suggest(kind, models) if isinstance(kind, str) else ""
        faults.append(f"sources.{name}.kind: no such kind of source{suggested}; there are: {', '.join(models)}")
        return
    try:
        yield NamedSource(name, kind, models[kind].model_validate(_absolute(settings, models[kind], base)))
    except ValidationError as error:
        details = error.errors(include_input=False)
        faults.extend(f for detail in details for f in faults_of(detail, models[kind], f"sources.{name}"))


def _absolute(section: Any, model: type[BaseModel], base: Path) -> Any:
    """The section with its relative paths below ``base``; what is no section stays as it is."""
    if not isinstance(section, dict):
        return section
    changed = dict(section)
    for key, value in section.items():
        if key in model.model_fields and isinstance(value, str) and _is_path(model.model_fields[key].annotation):
            changed[key] = str(base / value)
        elif key in model.model_fields and isinstance(value, dict):
            changed[key] = _absolute(value, _model_at(model, [key]), base)
    return changed


def _is_path(annotation: Any) -> bool:
    """Whether a field of that type is a path, or may be one."""
    return annotation is Path or any(map(_is_path, get_args(annotation)))


def _with_absolute_paths(table: dict[str, Any], base: Path) -> dict[str, Any]:
    """Relative paths in the file are relative to its directory, wherever cron starts."""
    base = base.absolute()
    apart = {"sources"} | ({"exchange"} if table.get("exchange") == {} else set())  # as `safelist init` writes it
    table = {name: section for name, section in table.items() if name not in apart}
    for name in ("exchange", "mailboxes", "web"):
        if name in table:
            table = table | {name: _absolute(table[name], _model_at(Config, [name]), base)}
    database = table.get("database")
    if isinstance(database, dict) and isinstance(url := database.get("url"), str):
        scheme, slashes, rest = url.partition(":///")
        if slashes and scheme.split("+")[0] == "sqlite" and rest and not rest.startswith(("/", ":memory:", "file:")):
            table = table | {"database": database | {"url": f"{scheme}:///{base / rest}"}}
    return table


def faults_of(detail: ErrorDetails, model: type[BaseModel], above: str = "") -> list[str]:
    """One pydantic error as lines ``key: what is wrong, what to write``; ``above`` is the key of the model's table.

    No line shows what looks like a secret: people paste one into the wrong key.
    """
    location = [str(part) for part in detail["loc"]]
    key = ".".join(filter(None, [above, *location]))
    if detail["type"] == "value_error":
        lines = [hide_secrets(line) for line in str(detail["ctx"]["error"]).split("\n")]
        return [f"{key}{'.' if _names_a_key(line) else ': '}{line}" if key else line for line in lines]
    if detail["type"] == "extra_forbidden":
        known = _model_at(model, location[:-1]).model_fields
        fault = f"no such key{_suggest(location[-1], known)}; there are: {', '.join(known)}"
        return [f"{hide_secrets(key)}: {fault}"]
    if detail["type"] in _TABLE_TYPES:
        return [f"{key}: must be a section with keys of its own, not a single value"]
    if detail["type"] == "tuple_type" and _model_at(model, location) is not _model_at(model, location[:-1]):
        return [f"{key}: must be sections of their own, write [[{key}]] before each"]
    words = _WORDS.get(detail["type"], "is not what belongs there; see the sample of the file")
    return [f"{key}: {words.format_map(detail.get('ctx', {}))}"]


_TABLE_TYPES = ("model_type", "model_attributes_type", "dict_type")
_WORDS = {
    "missing": "missing, write it",
    "string_type": "must be a text, in quotes",
    "string_too_long": "is too long, write no more than {max_length}",
    "path_type": "must be the path of a file, in quotes",
    "bool_type": "must be true or false, without quotes",
    "int_type": "must be a whole number, without quotes",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number, without quotes",
    "finite_number": "must be a finite number",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "literal_error": "must be {expected}",
    "enum": "must be {expected}",
    "tuple_type": 'must be a list, such as ["..."]',
}
"""What pydantic's types of errors mean to whoever writes the file (docs.pydantic.dev, "Validation Errors")."""

_KEY_OR_LOGIN = re.compile(
    r"(?<![a-z0-9])(?=[a-z]*[0-9])[a-z0-9]{20,}"  # as dnsbl knows the keys of lists: nobody chooses such a name
    r"|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
    r"|(?<=://)[^\s/@]*(?:/[^\s@]*)?@",
    re.IGNORECASE,
)


def hide_secrets(text: str) -> str:
    """``text`` with ``***`` for what looks like a key, and for the log-in in an address."""
    return _KEY_OR_LOGIN.sub(lambda found: "***@" if found[0].endswith("@") else "***", text)


def _names_a_key(line: str) -> bool:
    head, colon, _ = line.partition(": ")
    return bool(colon) and all(part.isidentifier() for part in head.split(", "))


def _model_at(model: type[BaseModel], location: list[str]) -> type[BaseModel]:
    """The model of the table at ``location``; a number in it is the place in a list of tables."""
    for part in location:
        annotation = model.model_fields[part].annotation if part in model.model_fields else None
        candidates = [annotation, *get_args(annotation)]
        inner = [c for c in candidates if isinstance(c, type) and get_origin(c) is None and issubclass(c, BaseModel)]
        model = inner[0] if inner else model
    return model


def _suggest(name: str, known: Mapping[str, object]) -> str:
    name = {"password": "secret", "password_file": "secret_file", "password_command": "secret_command"}.get(name, name)
    near = difflib.get_close_matches(name, known, n=1)
    return f" (did you mean {near[0]}?)" if near else ""


def _open_secret(path: Path, table: Mapping[str, Any]) -> list[str]:
    secrets = [*_secrets_in({"exchange": table.get("exchange")}), *_secrets_in({"sources": table.get("sources")})]
    secrets += [key for key, url in _urls(table) if _has_password(url)]
    mode = path.stat().st_mode & 0o777
    if not mode & 0o027 or not secrets:  # as of a file with a secret alone: its group is whom it was given to
        return []
    fault = f"the file holds a secret and others may read it (mode {mode:o}): chmod 600 {shlex.quote(str(path))}"
    return [f"{secrets[0]}: {fault}"]


def _urls(table: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    """The URLs of databases: the aggregate's, and those that a target writes into."""
    targets = table.get("publish")
    targets = targets if isinstance(targets, dict) else {}
    sections = {"database": table.get("database")} | {f"publish.{name}": section for name, section in targets.items()}
    for key, section in sections.items():
        if isinstance(section, dict):
            yield f"{key}.url", section.get("url")
    if isinstance(web := table.get("web"), dict):
        yield "web.database", web.get("database")


def _secrets_in(value: object, key: str = "") -> Iterator[str]:
    """The keys below ``key`` that hold a secret itself; a section of a list goes by its name."""
    if isinstance(value, list):
        for section in value:
            yield from _secrets_in(section, f"{key}.{section.get('name')}" if isinstance(section, dict) else key)
    for name, inner in value.items() if isinstance(value, dict) else ():
        below = f"{key}.{name}".lstrip(".")
        yield from [below] if name == "secret" else _secrets_in(inner, below)


def _has_password(url: object) -> bool:
    try:
        return isinstance(url, str) and bool(urlsplit(url).password)
    except ValueError:
        return False


def _keys_with_nul(value: object, key: str) -> list[str]:
    if isinstance(value, dict):
        return [found for name, inner in value.items() for found in _keys_with_nul(inner, f"{key}.{name}".lstrip("."))]
    if isinstance(value, list):
        return [found for inner in value for found in _keys_with_nul(inner, key)]
    return [key] if isinstance(value, str) and "\0" in value else []
