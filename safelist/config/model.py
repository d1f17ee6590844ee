"""What stands in the configuration: frozen values, each key with the words that the sample shows.

The sections ``[publish.NAME]`` belong to the targets, which pass their own models in; so this module knows no target.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Self
from urllib.parse import SplitResult, urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationInfo, field_validator, model_validator

from safelist import policy
from safelist.config.spans import span
from safelist.entry import ALL_LISTS, UserList
from safelist.override import Authentication, days, parse_expiry
from safelist.sender import Form, typed

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
    MAY_BE_SEVERAL: ClassVar[bool] = False
    """Whether there may be several such sections, each of a name of its own below this one's: ``[publish.X.NAME]``."""


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
        "The first line of a file that others cannot read (in a systemd unit: of the credential of that file's name):",
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


class StatusSettings(Section):
    """What counts as well."""

    TITLE = "What `safelist status` takes for well. Spans of time are 90min, 1h, 3d or 2w."

    interval: str = Field(
        "1h",
        description="How often `safelist sync --publish` is to run. What has not happened for two intervals is "
        "CRITICAL: a sync of\neach source, a publication of each target.",
    )
    publish_interval: str | None = Field(
        None, description="The same of publishing, where something else than the sync publishes.", examples=["15min"]
    )
    failing: str = Field(
        "1d", description="A source whose runs fail is a WARNING at once, and CRITICAL when none went well for so long."
    )
    failed_warning: int = Field(
        1, ge=0, description="So many failed mailboxes of a source, beside those acknowledged, are a WARNING. 0: never."
    )
    failed_critical: int = Field(0, ge=0, description="So many are CRITICAL. 0: never.")
    stale: str = Field(
        "7d", description="A mailbox whose entries count and that gave no answer for longer is a WARNING."
    )
    ending: str = Field(
        "3d", description="An override, or an acknowledged failure, that ends within that time is a WARNING; or never."
    )
    filters: Texts = Field(
        (),
        description="Where safelist's own filter answers: inet:HOST:PORT or unix:PATH as in its `listen`, "
        "lookup:inet:HOST:PORT or\nlookup:unix:PATH as in its `lookup`, metrics:HOST:PORT. Without it, what "
        "/etc/safelist/filter.toml says, where [publish.filter]\nis there.",
        examples=[["inet:127.0.0.1:10045", "metrics:127.0.0.1:9945"]],
    )

    @field_validator("interval", "publish_interval", "failing", "stale", "ending")
    @classmethod
    def _is_a_span(cls, text: str | None, given: ValidationInfo) -> str | None:
        if text is not None and not (text == "never" and given.field_name == "ending"):
            span(text)
        return text

    @field_validator("filters")
    @classmethod
    def _are_addresses(cls, texts: tuple[str, ...]) -> tuple[str, ...]:
        if wrong := [text for text in texts if not _FILTER_ADDRESS.fullmatch(text)]:
            raise ValueError(f"write inet:HOST:PORT, unix:PATH, lookup:... or metrics:HOST:PORT, not {wrong[0]!r}")
        return texts


_FILTER_ADDRESS = re.compile(r"(?:(?:lookup:)?inet:|metrics:)[^\s\0/]+:[0-9]{1,5}|(?:lookup:)?unix:/[^\0]+")


class Web(Section):
    """Who is shown what by ``safelist web``."""

    TITLE = "The page for users, helpdesk and auditors, behind the site's own web server (safelist[web])."
    IS_OPTIONAL = True

    socket: LenientPath = Field(
        Path("/run/safelist-web/socket"), description="Where it listens, unless systemd passes a socket."
    )
    proxy_users: Texts = Field(
        ("www-data",),
        description="The accounts that the web server runs as: only their connections are answered, and what the\n"
        "headers say of a user is believed from nobody else.",
    )
    user_header: str = Field("X-Remote-User", description="The header in which the web server names the user.")
    group_header: str | None = Field(
        None, description="The header with the user's groups, by commas.", examples=["X-Remote-Groups"]
    )
    domain: str | None = Field(
        None, description="What makes a name without @ a mailbox: anna is anna@DOMAIN.", examples=["example.com"]
    )
    realms: Texts = Field(
        (), description="Kerberos realms that stand for `domain`: anna@REALM is anna@DOMAIN.", examples=[["AD.EXAMPLE"]]
    )
    helpdesk: Texts = Field(
        (),
        description="Mailboxes of those who may look up any sender and any mailbox; each look is recorded,",
        examples=[["anna@example.com"]],
    )
    helpdesk_groups: Texts = Field((), description="and the groups whose members may.", examples=[["helpdesk"]])
    auditors: Texts = Field(
        (),
        description="Mailboxes of those who may also see overrides, changes, the report, and verify the record,",
        examples=[["otto@example.com"]],
    )
    auditor_groups: Texts = Field((), description="and the groups whose members may.", examples=[["audit"]])
    database: str | None = Field(
        None,
        description="The aggregate under another role than [database] url: one that may read, and append looks.",
        examples=["postgresql+psycopg://safelist-web@db.example.com/safelist"],
    )

    @field_validator("helpdesk", "auditors")
    @classmethod
    def _are_addresses(cls, addresses: tuple[str, ...]) -> tuple[str, ...]:
        return _all_of(addresses, Form.ADDRESS, "not an e-mail address")

    @field_validator("domain")
    @classmethod
    def _is_a_domain(cls, text: str | None) -> str | None:
        return None if text is None else _all_of((text,), Form.DOMAIN, "not a domain")[0]

    @field_validator("user_header", "group_header")
    @classmethod
    def _is_a_header(cls, text: str | None) -> str | None:
        if text is not None and re.fullmatch("[A-Za-z0-9-]{1,64}", text) is None:
            raise ValueError("must be the name of a header, such as X-Remote-User: letters, digits and -")
        return text

    @model_validator(mode="after")
    def _can_be_asked_for(self) -> Self:
        if self.realms and self.domain is None:
            raise ValueError("domain: missing, write what `realms` stand for")
        if (self.helpdesk_groups or self.auditor_groups) and self.group_header is None:
            raise ValueError("group_header: missing, write the header that names the groups")
        return self


class NamedSource(NamedTuple):
    """A source as the configuration has it: ``kind`` is one of the registry, ``settings`` are of that kind's model."""

    name: str
    kind: str
    settings: Any


class Config(Section):
    """The whole file. ``publish`` maps the name of each configured target to its settings.

    ``exchange`` and ``mailboxes`` are the source of the name :data:`~safelist.entry.FIRST_SOURCE`, ``sources`` those of
    ``[[sources]]``.
    """

    exchange: Exchange | None = None
    mailboxes: Mailboxes = Mailboxes()
    collect: Collect = Collect()
    database: Database
    policy: Policy = Policy()
    overrides: Overrides = Overrides()
    status: StatusSettings = StatusSettings()
    web: Web | None = None
    publish: Annotated[dict[str, Any], Field(strict=False)] = {}
    sources: tuple[NamedSource, ...] = ()


def _has_port(parts: SplitResult) -> bool:
    try:
        return parts.port is None or parts.port > 0
    except ValueError:
        return False


def _is_loopback(host: str | None) -> bool:
    return host in {"localhost", "::1"} or (host or "").startswith("127.")
