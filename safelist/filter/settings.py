"""The filter's own configuration: a file of its own, without a secret and without the database."""

import re
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator

from safelist.config import LenientPath, Section, Texts, faults_of, read_text, sample_of
from safelist.errors import ConfigError
from safelist.filter.dnsbl import AllowProvider, Lookup, Provider
from safelist.override import days
from safelist.sender import Form, typed

DEFAULT_PATH = Path("/etc/safelist/filter.toml")


class Filter(Section):
    """How `safelist filter` listens, whom it asks, and what it does."""

    TITLE = "The DNSBL filter: a policy service for Postfix."

    snapshot: LenientPath = Field(
        description="What `safelist publish` writes: the `path` of [publish.filter].",
        examples=["/var/lib/safelist-snapshot/snapshot"],
    )
    max_age: str = Field("7d", description="A snapshot that was published longer ago than this makes nobody safe.")
    mode: Literal["enforce", "observe"] = Field(
        "enforce", description="`observe` never rejects and never lifts: it logs and counts what it would have done."
    )
    listen: Texts = Field(
        ("inet:127.0.0.1:10045",),
        description="inet:HOST:PORT or unix:PATH; sockets that systemd passes are used instead.",
    )
    socket_mode: str = Field("0660", description="The mode of UNIX sockets, octal.")
    max_connections: int = Field(
        200, ge=1, le=100_000, description="For one more the one that has been silent longest is closed."
    )
    lookup: Texts = Field(
        (),
        description="Where to answer GET /lookup for rspamd and others: inet:HOST:PORT on loopback, or unix:PATH.",
        examples=[["inet:127.0.0.1:10046"]],
    )
    lookup_beyond_loopback: bool = Field(
        False, description="Let `lookup` listen where other hosts reach it, and ask who trusts whom."
    )
    trusted_networks: Texts = Field(
        ("127.0.0.0/8", "::1/128"), description="Clients there are not looked up, as if they had logged in."
    )
    allow_list: Texts = Field((), description="IP allow list: these clients and networks are not looked up.")
    bypassed_recipients: Texts = Field(
        (), description="Recipients for whom no list counts. Default: none.", examples=[["postmaster@example.com"]]
    )
    recipient_delimiter: str = Field(
        "", max_length=1, description="Postfix's: x+y@example.com then is x@example.com. Default: none.", examples=["+"]
    )
    reject_blocked_senders: bool = Field(
        False, description="Reject whom the recipient has among the Blocked Senders, listed or not (554 5.1.0)."
    )
    defer_unproven: bool = Field(
        True, description="Defer (451) a safe sender on a listed client whose SPF gives no result now; else reject."
    )
    header: str = Field(
        "X-Safelist", description="The header that says that a listing was lifted, and why; empty: none."
    )
    resolvers: Texts = Field(
        (), description="DNS servers, ADDRESS or ADDRESS:PORT. Default: those of /etc/resolv.conf, as it changes.",
        examples=[["127.0.0.1"]],
    )  # fmt: skip
    timeout: float = Field(3.0, gt=0, le=60, description="Seconds for the lists' answers, and again for SPF.")
    cache_entries: int = Field(100_000, ge=100, le=10_000_000, description="DNS answers that are kept.")
    used: LenientPath | None = Field(
        None,
        description="Where to note which senders were let through, for `safelist audit used`.",
        examples=["/var/lib/safelist-filter/used.db"],
    )
    metrics: str | None = Field(
        None, description="HOST:PORT for Prometheus (safelist[metrics]).", examples=["127.0.0.1:9945"]
    )
    providers: Annotated[tuple[Provider, ...], Field(strict=False)] = Field(
        (), validate_default=True, description="IP Block List providers, a [[providers]] each."
    )
    allow_providers: Annotated[tuple[AllowProvider, ...], Field(strict=False)] = Field(
        (), description="IP Allow List providers, an [[allow_providers]] each."
    )

    @field_validator("snapshot", "used")
    @classmethod
    def _is_a_file(cls, path: Path | None) -> Path | None:
        if path is not None and ("\0" in str(path) or not path.name):
            raise ValueError("must be the path of a file")
        return path

    @field_validator("max_age")
    @classmethod
    def _is_a_number_of_days(cls, text: str) -> str:
        days(text[:_SHOWN])
        return text

    @field_validator("listen", "lookup")
    @classmethod
    def _are_listenable(cls, texts: tuple[str, ...]) -> tuple[str, ...]:
        return _all(texts, _listenable)

    @field_validator("socket_mode")
    @classmethod
    def _is_a_mode(cls, text: str) -> str:
        if not re.fullmatch("0?[0-7]{3}", text):
            raise ValueError(f"{text[:_SHOWN]!r} is no mode, write one such as 0660")
        return text

    @field_validator("trusted_networks", "allow_list")
    @classmethod
    def _are_networks(cls, texts: tuple[str, ...]) -> tuple[str, ...]:
        return _all(texts, _network)

    @field_validator("bypassed_recipients")
    @classmethod
    def _are_addresses(cls, texts: tuple[str, ...]) -> tuple[str, ...]:
        wrong = [text for text in texts if typed(text).form is not Form.ADDRESS]
        if wrong:
            raise ValueError("not an e-mail address: " + ", ".join(map(repr, wrong)))
        return tuple(typed(text).text for text in texts)

    @field_validator("recipient_delimiter")
    @classmethod
    def _is_a_delimiter(cls, text: str) -> str:
        if not re.fullmatch("[!#$%&'*+/=?^_{|}~.-]?", text):
            raise ValueError(f"{text!r} delimits nothing, write + or another one that an address may hold, or nothing")
        return text

    @field_validator("header")
    @classmethod
    def _is_a_field_name(cls, text: str) -> str:
        if text and not (text.isascii() and text.replace("-", "").isalnum() and len(text) <= 60):
            raise ValueError("must be a header's name such as X-Safelist, or empty")
        return text

    @field_validator("resolvers")
    @classmethod
    def _are_nameservers(cls, texts: tuple[str, ...]) -> tuple[str, ...]:
        return _all(texts, nameserver)

    @field_validator("metrics")
    @classmethod
    def _is_a_host_and_port(cls, text: str | None) -> str | None:
        found = _HOST_AND_PORT.fullmatch(text or ":")
        if text is not None and not (found and _port(found[1])):
            raise ValueError("write HOST:PORT, such as 127.0.0.1:9945")
        return text

    @field_validator("providers")
    @classmethod
    def _ask_somebody(cls, providers: tuple[Provider, ...], given: ValidationInfo) -> tuple[Provider, ...]:
        only_lookups = given.data.get("listen") == () and given.data.get("lookup")
        if not only_lookups and not any(provider.enabled for provider in providers):
            raise ValueError("nobody would be asked, write a [[providers]]")
        return providers

    @model_validator(mode="after")
    def _keeps_lookups_here(self) -> Self:
        open_ones = [text for text in self.lookup if not (self.lookup_beyond_loopback or is_local(text))]
        if open_ones:
            raise ValueError(
                f"lookup: other hosts may reach {', '.join(open_ones)}, and ask who trusts whom: write an address such "
                "as inet:127.0.0.1:10046 or unix:PATH, or, behind a firewall, lookup_beyond_loopback = true"
            )
        return self

    @model_validator(mode="after")
    def _listens_once(self) -> Self:
        """At each address; the system would say that another process listens there."""
        given = Counter([*self.listen, *self.lookup, *([f"inet:{self.metrics}"] if self.metrics else [])])
        if twice := [text for text, count in given.items() if count > 1 and not text.endswith(":0")]:
            raise ValueError(
                f"listen, lookup, metrics: {', '.join(twice)} stands there twice: what is asked there is one of them; "
                "give each an address of its own"
            )
        return self

    @model_validator(mode="after")
    def _blocks_or_allows(self) -> Self:
        blocking = {each.lookup_domain for each in self.providers}
        faults = [
            f"allow_providers: {each.name} asks {each.public_domain}, as one of the providers does: it would admit "
            "whom it lists; write it into one of the two"
            for each in self.allow_providers
            if each.lookup_domain in blocking
        ]
        if faults := faults or list(self._ambiguous_names()):
            raise ValueError("\n".join(faults))
        return self

    def _ambiguous_names(self) -> Iterator[str]:
        """Lists of one name: what is known of one, such as that it does not answer, would count for the other."""
        seen: set[str] = set()
        for key, lists in (("providers", self.providers), ("allow_providers", self.allow_providers)):
            for each in lists:
                if each.enabled and each.name.lower() in seen:
                    yield f"{key}: two lists are called {each.name}; give each a name of its own"
                seen.update([each.name.lower()] if each.enabled else [])

    def networks(self, name: Literal["trusted_networks", "allow_list"]) -> tuple[IPv4Network | IPv6Network, ...]:
        """The networks of one of the two lists."""
        return tuple(_network(text) for text in getattr(self, name))

    @property
    def nameservers(self) -> tuple[tuple[str, int], ...]:
        """IP address and port of every resolver."""
        return tuple(map(nameserver, self.resolvers))


_SHOWN = 60


def _all(texts: tuple[str, ...], read: Callable[[str], object]) -> tuple[str, ...]:
    """The texts, if each can be read; ValueError names every one that cannot."""
    faults = []
    for text in texts:
        try:
            read(text)
        except ValueError as fault:
            faults.append(f"{text[:_SHOWN]!r}: {fault}")
    if faults:
        raise ValueError("; ".join(faults))
    return texts


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        found = ip_network(text)
    except ValueError:
        raise ValueError("no address or network such as 192.0.2.0/24 (bits after the prefix must be 0)") from None
    if isinstance(found, IPv6Network) and found.network_address.ipv4_mapped:
        raise ValueError("clients there count as IPv4, write an IPv4 network")
    return found


_HOST_AND_PORT = re.compile(r"[^\0]+:([0-9]{1,5})")


def _port(text: str | None) -> int:
    """0 for what is none."""
    return int(text) if text and int(text) < 65536 else 0


def _listenable(text: str) -> None:
    kind, _, rest = text.partition(":")
    found = _HOST_AND_PORT.fullmatch(rest) if kind == "inet" else None
    is_unix = kind == "unix" and rest and "\0" not in rest
    if not (is_unix or (found and int(found[1]) < 65536)):
        raise ValueError("write inet:HOST:PORT, such as inet:127.0.0.1:10045, or unix:PATH")


def is_local(text: str) -> bool:
    """Whether only this host can connect there; of a name but localhost nobody knows."""
    kind, _, rest = text.partition(":")
    host = rest.rpartition(":")[0].strip("[]")
    try:
        return kind == "unix" or host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def nameserver(text: str) -> tuple[str, int]:
    """``192.0.2.1``, ``192.0.2.1:5353``, ``2001:db8::1`` or ``[2001:db8::1]:5353``."""
    found = re.fullmatch(r"\[(.+)\](?::([0-9]{1,5}))?", text) or re.fullmatch(r"([^:]+):([0-9]{1,5})", text)
    host, port = found.groups() if found else (text, None)
    try:
        ip_address(host)
    except ValueError:
        host = ""
    if not host or not (number := _port(port or "53")):
        raise ValueError("write an IP address, or one with a port: 192.0.2.1:5353, [2001:db8::1]:5353")
    return host, number


def load(path: Path) -> Filter:
    """Read and check the file. Raises ConfigError with every fault at once, PermissionDeniedError."""
    text = read_text(path, "`safelist filter sample` prints one")
    try:
        table = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: not TOML: {error}") from None
    for key in ("snapshot", "used"):
        if isinstance(value := table.get(key), str) and value:
            table[key] = str(path.absolute().parent / value)
    try:
        found = Filter.model_validate(table)
    except ValidationError as error:
        faults = (fault for detail in error.errors(include_input=False) for fault in faults_of(detail, Filter))
        raise ConfigError(*(f"{path}: {fault}" for fault in faults)) from None
    _refuse_open_key(found, path)
    return found


def _refuse_open_key(found: Filter, path: Path) -> None:
    lists: tuple[Lookup, ...] = (*found.providers, *found.allow_providers)
    mode = path.stat().st_mode & 0o777
    for each in lists:
        if mode & 0o004 and each.public_domain != each.lookup_domain:
            raise ConfigError(
                f"{path}: the lookup domain of {each.name} holds a key and everybody may read the file "
                f"(mode {mode:o}): chgrp it to the filter's group and chmod 640"
            )


_TABLES: dict[str, type[Lookup]] = {"providers": Provider, "allow_providers": AllowProvider}


def _for_allow_list(line: str) -> str:
    """An example that is an allow list: a block list's would admit exactly whom it lists."""
    examples = {"Spamhaus ZEN": "DNSWL", "zen.spamhaus.org": "list.dnswl.org", "127.0.0.2-127.0.0.11": "127.0.0.0/16"}
    for block, allow in examples.items():
        line = line.replace(block, allow)
    return line


def sample() -> str:
    """A commented file in which every key stands."""
    lines = [f"# {Filter.TITLE}", ""]
    for key, field in Filter.model_fields.items():
        if key not in ("providers", "allow_providers"):
            lines += sample_of(key, field)
    for name, model in _TABLES.items():
        lines += ["", f"# {model.TITLE}", f"[[{name}]]" if name == "providers" else f"#[[{name}]]"]
        for key, field in model.model_fields.items():
            found = sample_of(key, field)
            if key == "ip_address_match":  # a list that matches nothing is a fault
                found[-1] = found[-1].removeprefix("#")
            lines += found if name == "providers" else [f"#{_for_allow_list(line)}" for line in found]
    return "\n".join(lines) + "\n"
