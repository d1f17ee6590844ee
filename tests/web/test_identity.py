"""Who asks, by the headers of the web server: what is odd in them is refused."""

import pytest

from safelist.config import Web
from safelist.web.identity import Role, UnknownVisitorError, person_of

RULES = Web(
    domain="corp.example", realms=("AD.EXAMPLE",), helpdesk=("anna@corp.example",), auditors=("otto@corp.example",),
    group_header="X-Remote-Groups", helpdesk_groups=("desk",), auditor_groups=("audit",),
)  # fmt: skip


def person(*values: bytes, groups: tuple[bytes, ...] = (), rules: Web = RULES) -> tuple[str, Role]:
    headers = [(b"host", b"x"), *((b"x-remote-user", value) for value in values)]
    return person_of([*headers, *((b"X-Remote-Groups", value) for value in groups)], rules)


@pytest.mark.parametrize(
    ("name", "address"),
    [
        (b"bob", "bob@corp.example"), (b"Bob@Other.example", "bob@other.example"), (b" bob ", "bob@corp.example"),
        (b"bob@AD.EXAMPLE", "bob@corp.example"), (b"bob.o'neil", "bob.o'neil@corp.example"),
    ],
)  # fmt: skip
def test_a_name_is_a_mailbox(name: bytes, address: str) -> None:
    assert person(name) == (address, Role.USER)


def test_roles_by_list_and_by_group() -> None:
    assert person(b"anna") == ("anna@corp.example", Role.HELPDESK)
    assert person(b"otto@AD.EXAMPLE") == ("otto@corp.example", Role.AUDITOR)
    assert person(b"bob", groups=(b"staff, desk",)) == ("bob@corp.example", Role.HELPDESK)
    assert person(b"anna", groups=(b"staff|audit",)) == ("anna@corp.example", Role.AUDITOR)
    assert person(b"bob", groups=(b"desks,,audits",)) == ("bob@corp.example", Role.USER)


def test_groups_that_no_header_is_named_for_are_not_believed() -> None:
    rules = Web(domain="corp.example")
    assert person(b"bob", groups=(b"desk", b"audit"), rules=rules) == ("bob@corp.example", Role.USER)


@pytest.mark.parametrize(
    ("values", "status", "words"),
    [
        ((), 403, "did not say who you are"), ((b"",), 403, "did not say"), ((b" - ",), 403, "did not say"),
        ((b"(null)",), 403, "did not say"), ((b"anna", b"anna"), 400, "came twice"),
        ((b"anna", b""), 400, "came twice"), (("ännä".encode(),), 400, "printable ASCII"),
        ((b"anna\x00",), 400, "printable ASCII"), ((b"a" * 321,), 400, "longer than 320"),
        ((b"anna, otto",), 403, "not the address of a mailbox"), ((b"CORP\\anna",), 403, "not the address"),
        ((b"anna@otto@corp.example",), 403, "not the address"), ((b"a@AD.EXAMPLE@AD.EXAMPLE",), 403, "not the address"),
        ((b"smtp:otto",), 403, "not the address"), ((b'"otto"@corp.example',), 403, "not the address"),
        ((b"<anna@corp.example>",), 403, "not the address"), ((b"@corp.example",), 403, "not the address"),
    ],
)  # fmt: skip
def test_what_is_odd_is_refused(values: tuple[bytes, ...], status: int, words: str) -> None:
    with pytest.raises(UnknownVisitorError, match=words) as found:
        person(*values)
    assert found.value.status == status


def test_without_a_domain_a_bare_name_is_nobodys() -> None:
    with pytest.raises(UnknownVisitorError, match=r"\[web\] domain says what follows"):
        person(b"anna", rules=Web())


def test_odd_groups_are_refused() -> None:
    for groups in ((b"desk", b"audit"), (b"x" * 8193,), (b"\xff",)):
        with pytest.raises(UnknownVisitorError):
            person(b"anna", groups=groups)
