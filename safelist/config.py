"""The configuration: TOML into frozen values; every fault is reported at once, each with its key and what to write.

The sections ``[publish.NAME]`` belong to the targets, which pass their own models in; so this module knows no target.
"""

import difflib
import os
import re
import shlex
import tomllib
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self, get_args, get_origin
from urllib.parse import SplitResult, urlsplit

import platformdirs
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from safelist import policy
from safelist.entry import ALL_LISTS, UserList
from safelist.errors import ConfigError, PermissionDeniedError
from safelist.override import Authentication, days, parse_expiry
from safelist.sender import Form, typed

MAX_BYTES = 1 << 20
"""A configuration file larger than this is refused unread."""

ListType = Literal["safe-senders", "safe-recipients", "both", "blocked-senders", "all"]

_LISTS_OF_TYPE: Mapping[str, frozenset[UserList]] = {
    "safe-senders": frozenset({UserList.SAFE_SENDERS, UserList.SAFE_SENDER_DOMAINS, UserList.TRUSTED_CONTACTS}),
    "safe-recipients": frozenset({UserList.SAFE_RECIPIENTS, UserList.SAFE_RECIPIENT_DOMAINS}),
    "blocked-senders": frozenset({UserList.BLOCKED_SENDERS, UserList.BLOCKED_DOMAINS}),
    "all": ALL_LISTS,
}
_DOMAIN_LISTS = frozenset({UserList.BLOCKED_DOMAINS, UserList.SAFE_SENDER_DOMAINS, UserList.SAFE_RECIPIENT_DOMAINS})

LenientPath = Annotated[Path, Field(strict=False)]
Texts = Annotated[tuple[str, ...], Field(strict=False)]


class Section(BaseModel):
    """A table of the file: unknown keys and wrong types are faults, values never change."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)
    TITLE: ClassVar[str] = ""
    IS_OPTIONAL: ClassVar[bool] = False
    """Whether the sample shows the section as a comment."""


def _all_of(texts: tuple[str, ...], form: Form, otherwise: str) -> tuple[str, ...]:
    """Every text normalised, each once; ValueError names those that are of another form."""
    wrong = [text for text in texts if typed(text).form is not form]
    if wrong:
        raise ValueError(f"{otherwise}: " + ", ".join(map(repr, wrong)))
    return tuple(dict.fromkeys(typed(text).text for text in texts))


class Exchange(Section):
    """How the collector reaches Exchange."""

    TITLE = "The Exchange Server whose mailboxes are read (2013 to SE); `safelist sync` needs this section."

    endpoint: str | None = Field(
        None,
        description="The EWS address. Leave it out when `autodiscover` is set.",
        examples=["https://mail.example.com/EWS/Exchange.asmx"],
    )
    autodiscover: str | None = Field(
        None, description="Find the endpoint by autodiscover for this mailbox.", examples=["svc-safelist@example.com"]
    )
    access: Literal["impersonation", "delegate"] = Field(
        "impersonation",
        description="`impersonation` (role ApplicationImpersonation) or `delegate` (full access to each mailbox).",
    )
    authentication: Literal["basic", "ntlm", "kerberos", "oauth"] = Field(
        "ntlm",
        description="basic, ntlm, kerberos (safelist[kerberos], a ticket from kinit) or oauth (safelist[oauth]).",
    )
    username: str | None = Field(
        None, description="The account that reads the mailboxes.", examples=["EXAMPLE\\svc-safelist"]
    )
    secret_file: LenientPath | None = Field(
        None,
        description="The password (for oauth the client secret): name exactly one of the five places it can be in.\n"
        "The first line of a file that others cannot read:",
        examples=["/etc/safelist/secret"],
    )
    secret_command: str | None = Field(
        None, description="the output of a command (no shell);", examples=["pass show exchange/svc-safelist"]
    )
    secret_credential: str | None = Field(
        None, description="a systemd credential (LoadCredential=);", examples=["exchange"]
    )
    secret_env: str | None = Field(None, description="an environment variable;", examples=["SAFELIST_SECRET"])
    secret: SecretStr | None = Field(
        None, description="or here, if nobody but the owner can read this file.", examples=["..."]
    )
    tenant_id: str | None = Field(None, description="For oauth: the tenant,", examples=["contoso.onmicrosoft.com"])
    client_id: str | None = Field(
        None, description="the application's id,", examples=["00000000-0000-0000-0000-000000000000"]
    )
    token_url: str | None = Field(
        None,
        description="and, where it is not Microsoft's public cloud, the token endpoint.",
        examples=["https://login.example.com/tenant/oauth2/v2.0/token"],
    )
    ca_file: LenientPath | None = Field(
        None,
        description="PEM file of a private CA; without it the system's trusted CAs count. TLS is always verified.",
        examples=["/etc/ssl/certs/corp-ca.pem"],
    )
    workers: int = Field(
        16, ge=1, le=100, description="Mailboxes asked at once. Exchange's default limit (EWSMaxConcurrency) is 27."
    )
    timeout: int = Field(60, ge=1, le=3600, description="Seconds for one answer, log-in included.")
    budget: int = Field(
        50, ge=0, le=10_080,
        description="Minutes after which a run stops asking; it records and publishes what it has, and the next run\n"
        "asks the others first. 0: no end.",
    )  # fmt: skip

    @field_validator("endpoint", "token_url")
    @classmethod
    def _is_a_url(cls, url: str | None) -> str | None:
        if url is None:
            return None
        parts = urlsplit(url)
        if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(parts.hostname)):
            raise ValueError("must be an https:// address (http:// only to this machine)")
        if (
            not parts.hostname
            or not _has_port(parts)
            or parts.username
            or any(c.isspace() or not c.isprintable() for c in url)
        ):
            raise ValueError("must be an address such as https://mail.example.com/EWS/Exchange.asmx, without a login")
        return url

    @model_validator(mode="after")
    def _belongs_together(self) -> Self:
        faults = [fault for fault in self._faults() if fault]
        if faults:
            raise ValueError("\n".join(faults))
        return self

    def _faults(self) -> list[str | None]:
        oauth, kerberos = self.authentication == "oauth", self.authentication == "kerberos"
        secrets = [key for key in SECRET_KEYS if getattr(self, key) is not None]
        return [
            "endpoint: write one of endpoint and autodiscover"
            if bool(self.endpoint) == bool(self.autodiscover)
            else None,
            "username: missing, write the account's name" if not (self.username or oauth or kerberos) else None,
            "tenant_id, client_id: oauth needs both" if oauth and not (self.tenant_id and self.client_id) else None,
            f"{', '.join(secrets)}: kerberos takes the ticket of kinit, remove it" if kerberos and secrets else None,
            f"secret_file: {'too many secrets' if secrets else 'missing'}, write one of {', '.join(SECRET_KEYS)}"
            if not kerberos and len(secrets) != 1
            else None,
            "secret_command: is empty, write a command" if (self.secret_command or "x").strip() == "" else None,
        ]


SECRET_KEYS = ("secret_file", "secret_command", "secret_credential", "secret_env", "secret")


class Mailboxes(Section):
    """Whose lists are collected."""

    TITLE = "Whose lists are collected: every address named here, once."

    addresses: Texts = Field((), description="Primary addresses.", examples=[["reception@example.com"]])
    file: LenientPath | None = Field(
        None, description="A file with one address a line; # starts a comment.", examples=["/etc/safelist/mailboxes"]
    )
    groups: Texts = Field(
        (), description="Distribution groups, expanded with the groups inside them.", examples=[["all@example.com"]]
    )

    exclude: Texts = Field((), description="Members of those groups that are not asked.", examples=[["x@example.com"]])

    @field_validator("addresses", "groups", "exclude")
    @classmethod
    def _are_addresses(cls, addresses: tuple[str, ...]) -> tuple[str, ...]:
        return _all_of(addresses, Form.ADDRESS, "not an e-mail address")


class Collect(Section):
    """Which of a mailbox's lists are recorded."""

    TITLE = "Which of each mailbox's lists are recorded (as Update-Safelist's -Type and -IncludeDomains)."

    type: ListType = Field("all", description="safe-senders, safe-recipients, both, blocked-senders or all.")
    include_domains: bool = Field(True, description="Record domain entries too; [policy] decides what is published.")

    @property
    def lists(self) -> frozenset[UserList]:
        """The lists that a run with these settings records."""
        both = _LISTS_OF_TYPE["safe-senders"] | _LISTS_OF_TYPE["safe-recipients"]
        lists = both if self.type == "both" else _LISTS_OF_TYPE[self.type]
        return lists if self.include_domains else lists - _DOMAIN_LISTS


class Database(Section):
    """Where the aggregate lives."""

    TITLE = "Where the aggregate lives: SQLite, or PostgreSQL (safelist[postgres])."

    url: str = Field(description="", examples=["postgresql+psycopg:///safelist"])


class Policy(Section):
    """Which senders become safe, for whom."""

    TITLE = "Which senders become safe: for the mailbox that trusts them, and by a quorum for everybody."

    quorum: int = Field(2, ge=1, le=1_000_000, description="An entry counts for all when this many mailboxes trust it.")
    include_domains: bool = Field(False, description="Publish domain entries too, not only addresses.")
    include_contacts: bool = Field(False, description="Trusted contacts count too, where the user trusts them.")
    max_age: str | None = Field(
        None, description="Entries that were added longer ago than this do not count.", examples=["730d"]
    )
    authentication: Authentication = Field(
        Authentication.DKIM_OR_SPF, strict=False,
        description="What a mail must prove before its sender counts as safe: dkim-or-spf, spf or none.",
    )  # fmt: skip
    own_domains: Texts = Field(
        (),
        description="The organisation's own (accepted) domains; no entry there or below makes anybody safe.\n"
        "The domains of the collected mailboxes are meant anyhow.",
        examples=[["example.com"]],
    )
    free_mail_domains: Texts = Field(
        (), description="Providers where anybody gets an address, beside the well-known.", examples=[["isp.example"]]
    )
    shared_domains: Texts = Field(
        (),
        description="Services that send for many organisations, beside the well-known (sendgrid.net and the like).",
        examples=[["bulk-mailer.example"]],
    )
    exclude_mailboxes: Texts = Field(
        (), description="Mailboxes that are collected, but whose entries do not count.", examples=[["test@example.com"]]
    )

    @field_validator("own_domains", "free_mail_domains", "shared_domains")
    @classmethod
    def _are_domains(cls, texts: tuple[str, ...]) -> tuple[str, ...]:
        return _all_of(texts, Form.DOMAIN, "not a domain")

    @field_validator("exclude_mailboxes")
    @classmethod
    def _are_addresses(cls, texts: tuple[str, ...]) -> tuple[str, ...]:
        return _all_of(texts, Form.ADDRESS, "not an e-mail address")

    @field_validator("max_age")
    @classmethod
    def _is_a_number_of_days(cls, text: str | None) -> str | None:
        if text is not None:
            days(text)
        return text

    def settings(self, mailbox_domains: Iterable[str] = ()) -> policy.Settings:
        """The same, as the policy takes it; ``mailbox_domains`` are those of the collected mailboxes."""
        return policy.Settings(
            quorum=self.quorum,
            include_domains=self.include_domains,
            include_contacts=self.include_contacts,
            max_age=None if self.max_age is None else days(self.max_age),
            authentication=self.authentication,
            own_domains=frozenset(self.own_domains).union(mailbox_domains),
            free_mail_domains=frozenset(self.free_mail_domains),
            shared_domains=frozenset(self.shared_domains),
            excluded_mailboxes=frozenset(self.exclude_mailboxes),
        )


class Overrides(Section):
    """What an override says where its maker does not."""

    TITLE = "What `safelist override allow` and `block` take for granted."

    expires: str = Field("never", description="When an override ends: 30d, a day such as 2027-01-31, or never.")

    @field_validator("expires")
    @classmethod
    def _is_a_time(cls, text: str) -> str:
        parse_expiry(text, datetime.min.replace(tzinfo=UTC))
        return text


class Config(Section):
    """The whole file. ``publish`` maps the name of each configured target to its settings."""

    exchange: Exchange | None = None
    mailboxes: Mailboxes = Mailboxes()
    collect: Collect = Collect()
    database: Database
    policy: Policy = Policy()
    overrides: Overrides = Overrides()
    publish: Annotated[dict[str, Any], Field(strict=False)] = {}


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


def load(path: Path, targets: Mapping[str, type[BaseModel]]) -> Config:
    """Read and check the file; ``targets`` maps each target's name to the model of its section.

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
    try:
        config = Config.model_validate(_with_absolute_paths(table, path.parent))
    except ValidationError as error:
        faults.extend(fault for detail in error.errors() for fault in faults_of(detail, Config))
        config = None
    faults.extend(_open_secret(path, table))
    if faults or config is None:
        raise ConfigError(*(f"{path}: {fault}" for fault in faults))
    return config.model_copy(update={"publish": targets_read})


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
    for name, section in sections.items():
        if name not in models:
            faults.append(f"publish.{name}: no such target{_suggest(name, models)}; there are: {', '.join(models)}")
            continue
        try:
            read[name] = models[name].model_validate(section)
        except ValidationError as error:
            details = error.errors(include_input=False)
            faults.extend(f for detail in details for f in faults_of(detail, models[name], f"publish.{name}"))
    return read


def _with_absolute_paths(table: dict[str, Any], base: Path) -> dict[str, Any]:
    """Relative paths in the file are relative to its directory, wherever cron starts."""
    base = base.absolute()
    if table.get("exchange") == {}:  # as `safelist init` writes it, before anybody has filled it in
        table = {name: section for name, section in table.items() if name != "exchange"}
    for section, key in (("exchange", "secret_file"), ("exchange", "ca_file"), ("mailboxes", "file")):
        found = table.get(section)
        if isinstance(found, dict) and isinstance(value := found.get(key), str):
            table = table | {section: table[section] | {key: str(base / value)}}
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
    exchange, database = table.get("exchange"), table.get("database")
    holds = isinstance(exchange, dict) and "secret" in exchange
    url = database.get("url") if isinstance(database, dict) else None
    in_url = isinstance(url, str) and bool(_password_of(url))
    mode = path.stat().st_mode & 0o777
    if not mode & 0o077 or not (holds or in_url):
        return []
    key = "exchange.secret" if holds else "database.url"
    return [
        f"{key}: the file holds a secret and others may read it (mode {mode:o}): chmod 600 {shlex.quote(str(path))}"
    ]


def _password_of(url: str) -> str | None:
    try:
        return urlsplit(url).password
    except ValueError:
        return None


def _has_port(parts: SplitResult) -> bool:
    try:
        return parts.port is None or parts.port > 0
    except ValueError:
        return False


def _keys_with_nul(value: object, key: str) -> list[str]:
    if isinstance(value, dict):
        return [found for name, inner in value.items() for found in _keys_with_nul(inner, f"{key}.{name}".lstrip("."))]
    if isinstance(value, list):
        return [found for inner in value for found in _keys_with_nul(inner, key)]
    return [key] if isinstance(value, str) and "\0" in value else []


def _is_loopback(host: str | None) -> bool:
    return host in {"localhost", "::1"} or (host or "").startswith("127.")


def sample(database_url: str, targets: Mapping[str, type[BaseModel]]) -> str:
    """The commented configuration that ``safelist init`` writes; every key of every section stands in it."""
    sections: dict[str, type[BaseModel]] = {
        "exchange": Exchange, "mailboxes": Mailboxes, "collect": Collect, "database": Database, "policy": Policy,
        "overrides": Overrides,
    }  # fmt: skip
    sections |= {f"publish.{name}": model for name, model in targets.items()}
    lines = ["# The configuration of safelist. `safelist config check` reports every fault in it.", ""]
    written = {"database.url": database_url}
    for name, model in sections.items():
        title = getattr(model, "TITLE", "") or (model.__doc__ or "").split("\n")[0]
        section = [f"[{name}]"]
        for key, field in model.model_fields.items():
            section += sample_of(key, field, written.get(f"{name}.{key}"))
        mark = "#" if getattr(model, "IS_OPTIONAL", False) else ""
        lines += [f"# {title}", *(mark + line for line in section), ""]
    return "\n".join(lines)


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
