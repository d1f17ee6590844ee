"""The commented configuration that ``safelist init`` writes, made from the models."""

from collections.abc import Collection, Iterator, Mapping

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from safelist.config.model import Collect, Database, Exchange, Mailboxes, Overrides, Policy, StatusSettings, Web


def sample(
    database_url: str, targets: Mapping[str, type[BaseModel]], kinds: Mapping[str, type[BaseModel]]
) -> str:  # fmt: skip
    """The commented configuration that ``safelist init`` writes; every key of every section stands in it."""
    sections: dict[str, type[BaseModel]] = {
        "exchange": Exchange, "mailboxes": Mailboxes, "collect": Collect, "database": Database, "policy": Policy,
        "overrides": Overrides, "status": StatusSettings,
    }  # fmt: skip
    sections |= {f"publish.{name}": model for name, model in targets.items()} | {"web": Web}
    lines = ["# The configuration of safelist. `safelist config check` reports every fault in it.", ""]
    written = {"database.url": database_url}
    for name, model in sections.items():
        title = getattr(model, "TITLE", "") or (model.__doc__ or "").split("\n")[0]
        section = [f"[{name}]"]
        for key, field in model.model_fields.items():
            section += sample_of(key, field, written.get(f"{name}.{key}"))
        mark = "#" if getattr(model, "IS_OPTIONAL", False) else ""
        lines += [f"# {title}", *(mark + line for line in section), ""]
    for kind, model in kinds.items():
        lines += [*_source_of(kind, model, frozenset(sections.values())), ""]
    return "\n".join(lines)


def _source_of(kind: str, model: type[BaseModel], shown: Collection[type[BaseModel]]) -> Iterator[str]:
    """The section of a source of that kind, as a comment; of the sections in it, those ``shown`` are only named."""
    title = getattr(model, "TITLE", "") or (model.__doc__ or "").split("\n")[0]
    yield f"# A further source; there may be any number of these sections. {title}"
    yield "#[[sources]]"
    yield "## The name stays with the mailboxes that are recorded from it."
    yield f"#name = {toml(f'{kind}-2')}"
    yield f"#kind = {toml(kind)}"
    below = []
    for key, field in model.model_fields.items():
        inner = field.annotation
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            yield from (f"#{line}" for line in sample_of(key, field))
        elif inner in shown:
            below += [f"#[sources.{key}]", f"## The keys of [{key}], as above."]
        else:
            keys = (line for name, each in inner.model_fields.items() for line in sample_of(name, each))
            below += [f"#[sources.{key}]", *(f"#{line}" for line in keys)]
    yield from below


def sample_of(key: str, field: FieldInfo, value: str | None = None) -> list[str]:
    """The commented lines of one key; ``value`` where it is known."""
    comment = [f"# {line}" for line in (field.description or "").split("\n") if line]
    if value is not None:
        return [*comment, f"{key} = {toml(value)}"]
    required = field.is_required()
    example = (field.examples or [None])[0] if required or not field.default else field.default
    shown = toml(example if example is not None else field.default)
    return [*comment, f"{key} = {shown}" if required else f"#{key} = {shown}"]


def toml(value: object) -> str:
    """``value`` (text, number, truth or a list of them) as TOML writes it."""
    match value:
        case bool():
            return str(value).lower()
        case int() | float():
            return str(value)
        case list() | tuple():
            return "[" + ", ".join(map(toml, value)) + "]"
    escaped = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\U{ord(c):08X}" for c in escaped) + '"'
