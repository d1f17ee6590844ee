"""The auditor's report: its values on a real SQLite store, its page in a real browser."""

import base64
import hashlib
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from lxml import html
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

import safelist
from safelist.audit.report import AuditReport, FirstRows, ProviderLine, Setting, build
from safelist.audit.report.page import render
from safelist.entry import ALL_LISTS, Entry, UserList
from safelist.override import Authentication, Effect, Level, Terms
from safelist.policy import Settings
from safelist.publisher.targets import TARGETS
from safelist.sender import Form, Pattern, Refusal
from safelist.store import Store, Verified
from tests.audit.console import complaints
from tests.publisher.contract import CASES, Case
from tests.store.samples import NOW, SEEN, address, domain, entries, refused

SETTINGS = Settings(own_domains=frozenset({"corp.example"}))
DAY = timedelta(days=1)
PAYLOAD = "<img src=x onerror=window.hacked=1>"
HOSTILE = (
    '"<script>window.hacked=1</script>"@evil.example',
    '"</script><script>window.hacked=1//"@evil.example',
    'x" onmouseover="window.hacked=1" y="@evil.example',
    "'><svg/onload=window.hacked=1>@evil.example",
    "{{7*7}}{% raw %}@evil.example",
    "</style></title>&lt;b&gt;<!--@evil.example",
    "\u202egnp.exe@evil.example",
    "\u05d0\u2066@evil.example",
)
FREE_MAIL = (
    "posteo.de", "freenet.de", "libero.it", "orange.fr", "mail.ru", "wp.pl", "seznam.cz", "laposte.net", "free.fr",
    "bluewin.ch", "arcor.de", "rediffmail.com", "qq.com", "naver.com", "zoho.com", "onet.pl", "fastmail.com",
    "hushmail.com", "centrum.cz", "abv.bg", "yandex.ru", "sapo.pt", "tiscali.it",
)  # fmt: skip


def record(opened: Store, mailbox: str, *texts: str, list_: UserList = UserList.SAFE_SENDERS) -> None:
    record_all(opened, mailbox, entries(*texts, list_=list_))


def record_all(opened: Store, mailbox: str, found: frozenset[Entry]) -> None:
    run = opened.begin_run(NOW, "sync", "cron")
    opened.record(run, f"{mailbox}@corp.example", SEEN, found, ALL_LISTS, NOW)


def override(opened: Store, effect: str, pattern: Pattern, reason: str = "because", **more: object) -> int:
    """Make one, and say its number."""
    terms = Terms(Effect(effect), pattern, reason, **more)  # type: ignore[arg-type]
    return opened.make_overrides([terms], NOW, "root")[0].override.id


def report_of(opened: Store, settings: Settings = SETTINGS, after: timedelta = DAY) -> AuditReport:
    return build(opened, settings, NOW + after)


# Values.


def test_nothing_recorded(opened: Store) -> None:
    report = report_of(opened)
    assert (report.made, report.version, report.stale_after) == (NOW + DAY, safelist.__version__, 7 * DAY)
    assert report.totals == (0, 0, 0, 0, 0, 0)
    assert [report.safe, report.mailboxes, report.made_anew] == [FirstRows((), 0)] * 3
    assert [*report.providers, *report.trusted, *report.refused, *report.not_senders, *report.overrides] == []
    assert "No mailbox trusts anybody." in render(report)


def test_policy_in_words(opened: Store) -> None:
    words = dict(report_of(opened).policy)
    assert words["Quorum"].endswith("at least 2 different mailboxes trust it.")
    assert words["Domains"] == "Entries for whole domains do not count, only addresses do."
    assert words["Own domains"].endswith(": corp.example.")
    many = frozenset(f"p{n:02}.example" for n in range(23))
    excluded = frozenset({"test@corp.example"})
    bulk = frozenset({"bulk.example"})
    other = Settings(1, True, True, 365 * DAY, Authentication.NONE, frozenset(), many, excluded, bulk)
    others = dict(report_of(opened, other).policy)
    assert others["Quorum"].endswith("at least 1 mailbox trusts it.")
    assert others["Age"] == "Entries that were added more than 365 days ago do not count."
    assert others["Free-mail domains"].endswith("p19.example and 3 more.")
    assert others["Excluded mailboxes"].endswith(": test@corp.example.")
    assert others["Shared domains"] == "The well-known ones and: bulk.example."
    assert words.keys() == others.keys()
    assert [name for name in words if words[name] == others[name]] == ["Published"]
    assert words["Published"] == "No target is configured: no mail filter reads any of this."


def test_each_target_says_what_it_demands(opened: Store, tmp_path: Path) -> None:
    chosen = {
        "postfix": TARGETS["postfix"].settings(path=tmp_path / "map"),
        "filter": TARGETS["filter"].settings(path=tmp_path / "snapshot"),
    }
    demands = [Setting(name, TARGETS[name].demands(settings)) for name, settings in chosen.items()]
    words = dict(build(opened, SETTINGS, NOW, demands=demands).policy)
    assert words["postfix"].startswith("A map can ask for no authentication")
    assert "must pass SPF" in words["filter"]
    assert "Published" not in words
    assert "must pass" not in words["Authentication"] + words["postfix"]
    strict = TARGETS["postfix"].settings(path=tmp_path / "map", unauthenticated=False)
    assert "Left out: every sender but those that overrides allow" in TARGETS["postfix"].demands(strict)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_no_target_forgets_to_say_it(case: Case, tmp_path: Path) -> None:
    said = case.target.demands(case.target.settings.model_validate(case.section(tmp_path)))
    assert said.endswith(".")
    assert "eft out" in said


def test_what_each_mailbox_trusts_is_on_the_page(opened: Store) -> None:
    record(opened, "a", "x@aol.com", "alone@x.example")
    record(opened, "b", "blocked@x.example", list_=UserList.BLOCKED_SENDERS)
    record(opened, "c", "x@aol.com")
    assert report_of(opened).trust == FirstRows(
        (("a@corp.example", ("alone@x.example", "x@aol.com")), ("c@corp.example", ("x@aol.com",))), 0
    )
    few = build(opened, SETTINGS, NOW, most_trust=1)
    assert few.trust == FirstRows((("c@corp.example", ("x@aol.com",)),), 1)
    page = render(few)
    assert "does not find everything:</strong> what 1 mailbox trusts is left out" in page
    assert "safelist audit who SENDER" in page


def test_entries_by_provider_have_other_domains_last(opened: Store) -> None:
    record(opened, "a", "x@aol.com", "y@aim.com", "z@yahoo.com", "s@supplier.example", "t@supplier.example")
    record(opened, "b", "x@aol.com", "s@supplier.example", "t@supplier.example")
    assert report_of(opened).providers == (
        ProviderLine("AOL", 2, 3, 1, 3 / 8, 1.0),
        ProviderLine("Yahoo", 1, 1, 0, 1 / 8, 1 / 3),
        ProviderLine("other domains", 2, 4, 2, 4 / 8, None),
    )


def test_small_providers_are_one_line(opened: Store) -> None:
    record(opened, "a", "s@supplier.example", *(f"x@{provider}" for provider in FREE_MAIL))
    record(opened, "b", f"x@{FREE_MAIL[-1]}")
    rows = [row[:3] for row in report_of(opened).providers]
    assert rows[0] == (FREE_MAIL[-1], 1, 2)
    assert [name for name, *_ in rows[1:-2]] == sorted(FREE_MAIL[:-1])[:19]
    assert rows[-2:] == [("3 more free-mail providers", 3, 3), ("other domains", 1, 1)]


def test_most_trusted_senders_with_their_decision(opened: Store) -> None:
    record(opened, "a", "b@aol.com", "a@aol.com", "boss@corp.example", *(f"n{n}@x.example" for n in range(60)))
    record(opened, "b", "b@aol.com", "boss@corp.example")
    rows = report_of(opened).trusted
    assert [(row.text, row.votes, row.safe, row.reason) for row in rows[:3]] == [
        ("b@aol.com", 2, True, "quorum"),
        ("boss@corp.example", 2, False, "own-domain"),
        ("a@aol.com", 1, False, "below-quorum"),
    ]
    assert rows[0].sentence == "2 mailboxes trust b@aol.com; the quorum is 2."
    assert len(rows) == 50


def test_safe_senders_with_their_voters(opened: Store) -> None:
    for mailbox in "abc":
        record(opened, mailbox, "x@aol.com")
    record(opened, "c", "y@aol.com")
    record(opened, "d", "y@aol.com")
    override(opened, "allow", address("z@yahoo.com"), authentication=Authentication.SPF)
    number = override(opened, "block", address("y@aol.com"), scope=address("d@corp.example"))
    report = report_of(opened)
    assert report.safe_by == (("quorum", 2), ("enforced-allow", 1))
    assert [(row.text, row.votes, row.voters.rows, row.reason, row.authentication) for row in report.safe.rows] == [
        ("x@aol.com", 2, ("a@corp.example", "b@corp.example"), "quorum", "dkim-or-spf"),
        ("y@aol.com", 2, ("c@corp.example", "d@corp.example"), "quorum", "dkim-or-spf"),
        ("z@yahoo.com", 0, (), "enforced-allow", "spf"),
    ]
    exceptions = [row.exceptions for row in report.safe.rows]
    assert exceptions == [(), (f"override {number} blocks it for d@corp.example",), ()]


def test_voters_are_those_who_count(opened: Store) -> None:
    contact = Entry(UserList.TRUSTED_CONTACTS, address("x@aol.com"))
    record(opened, "a", "x@aol.com")
    record(opened, "b", "x@aol.com")
    record(opened, "test", "x@aol.com")
    record_all(opened, "c", frozenset({contact}))
    record(opened, "d", "x@aol.com", list_=UserList.BLOCKED_SENDERS)
    excluding = replace(SETTINGS, excluded_mailboxes=frozenset({"test@corp.example"}))
    (row,) = report_of(opened, excluding).safe.rows
    assert (row.votes, row.voters) == (2, FirstRows(("a@corp.example", "b@corp.example"), 0))
    (row,) = report_of(opened, replace(excluding, include_contacts=True)).safe.rows
    assert (row.votes, row.voters.rows) == (3, ("a@corp.example", "b@corp.example", "c@corp.example"))


def test_long_tables_are_cut_and_say_so(opened: Store) -> None:
    texts = [f"n{n:04}@x.example" for n in range(1003)]
    for number in range(12):  # more votes than are asked for at once
        record(opened, f"m{number:02}", *texts, "popular@x.example")
    for number in range(12, 23):
        record(opened, f"m{number:02}", "popular@x.example")
    report = report_of(opened)
    first, *others = report.safe.rows
    assert (len(report.safe.rows), report.safe.more, report.safe.all) == (1000, 4, 1004)
    assert (first.text, len(first.voters.rows), first.voters.more) == ("popular@x.example", 20, 3)
    assert [row.text for row in others] == texts[:999]
    assert {row.voters.rows for row in others} == {tuple(f"m{number:02}@corp.example" for number in range(12))}
    page = render(report)
    assert "… and 4 more senders with fewer votes" in page
    assert "… and 3 more<" in page
    assert "1,004 senders" in page


def test_refused_entries_by_reason(opened: Store) -> None:
    texts = [f"n{n}@x.example" for n in range(7)]
    domains = {Entry(UserList.SAFE_SENDER_DOMAINS, domain(text)) for text in ("aol.com", "co.uk", "supplier.example")}
    record_all(opened, "a", entries("boss@corp.example", "bad@x.example", *texts) | domains)
    record_all(opened, "b", frozenset({Entry(UserList.SAFE_SENDER_DOMAINS, domain("yahoo.com"))}))
    record_all(opened, "c", frozenset({Entry(UserList.SAFE_SENDER_DOMAINS, domain("yahoo.com"))}))
    override(opened, "block", address("bad@x.example"))
    override(opened, "block", address("unknown@x.example"))  # nobody trusts it: no entry
    found = report_of(opened).refused
    assert [(row.reason, row.entries, row.examples) for row in found] == [
        ("below-quorum", 7, tuple(texts[:5])),
        ("free-mail-domain", 2, ("yahoo.com", "aol.com")),
        ("domain-not-included", 1, ("supplier.example",)),
        ("enforced-block", 1, ("bad@x.example",)),
        ("own-domain", 1, ("boss@corp.example",)),
        ("public-suffix", 1, ("co.uk",)),
    ]
    assert found[1].sentence.startswith("2 mailboxes trust yahoo.com, but anybody gets an address at yahoo.com")
    assert [row.bar for row in found[:3]] == [1.0, 2 / 7, 1 / 7]


def test_texts_that_cannot_be_senders(opened: Store) -> None:
    odd = [refused("/o=a", Refusal.X500), refused("/o=b", Refusal.X500), refused("*@x", Refusal.WILDCARD)]
    record_all(opened, "a", frozenset(Entry(UserList.SAFE_SENDERS, pattern) for pattern in odd))
    assert report_of(opened).not_senders == (
        ("x500", Refusal.X500.sentence, 2, 1.0),
        ("wildcard", Refusal.WILDCARD.sentence, 1, 0.5),
    )


def test_overrides_in_force_first_and_what_expires_soonest(opened: Store) -> None:
    forever = override(opened, "allow", domain("aol.com"), "wanted", ticket="INC-1", level=Level.DEFAULT)
    late = override(opened, "block", address("l@x.example"), expires=NOW + 40 * DAY)
    soon = override(opened, "block", address("s@x.example"), scope=domain("corp.example"), expires=NOW + 4 * DAY)
    revoked = override(opened, "block", address("r@x.example"))
    expired = override(opened, "allow", Pattern(".x.example", Form.SUBDOMAINS), expires=NOW + timedelta(hours=20))
    hours = override(opened, "block", address("h@x.example"), expires=NOW + timedelta(hours=33))
    opened.revoke_overrides([revoked], "a mistake", NOW + timedelta(hours=1), "anna")
    report = report_of(opened)
    assert report.overrides_in_force == 4
    assert [(row.id, row.state, row.remark) for row in report.overrides] == [
        (hours, "in force", "expires in 9 hours"),
        (soon, "in force", "expires in 3 days"),
        (late, "in force", "expires in 39 days"),
        (forever, "in force", "never expires"),
        (expired, "expired", "4 hours ago"),
        (revoked, "revoked", "by anna: a mistake"),
    ]
    rows = {row.id: row for row in report.overrides}
    assert [row.is_soon for row in report.overrides] == [True, True, False, False, False, False]
    assert (rows[soon].scope, rows[expired].sender) == ("everybody at corp.example", "x.example with its sub-domains")
    assert rows[forever].dangers == ("anybody gets an address at aol.com; allow single addresses instead",)
    assert (rows[forever].ticket, rows[forever].actor, rows[forever].level) == ("INC-1", "root", "default")
    assert report_of(opened, after=-DAY).overrides_in_force == 5, "a clock that is behind puts none out of force"


def test_mailboxes_that_failed_or_grow_stale(opened: Store) -> None:
    run = opened.begin_run(NOW, "sync", "cron")
    for name in ("fine", "denied", "stale", "gone"):
        record(opened, name, "x@aol.com")
    for day in (8 * DAY, 9 * DAY):
        opened.note(run, "fine@corp.example", NOW + day, "unchanged")
        opened.note(run, "kiosk@corp.example", NOW + day, "no-rule")
        opened.note(run, "denied@corp.example", NOW + day, "failed", "denied", "svc may not open it")
        opened.note(run, "gone@corp.example", NOW + day, "forgotten")
        opened.note(run, "never@corp.example", NOW + day, "failed", "timeout", "no answer in 60 seconds")
    opened.note(run, "vanished@corp.example", NOW + 9 * DAY, "vanished")
    rows = report_of(opened, after=9 * DAY).mailboxes.rows
    assert [(row.address.partition("@")[0], row.outcome, row.is_stale, row.reason) for row in rows] == [
        ("never", "failed", False, "timeout"),
        ("denied", "failed", True, "denied"),
        ("stale", "collected", True, None),
        ("vanished", "vanished", False, None),
        ("gone", "forgotten", False, None),
    ]
    assert rows[1].problem == "svc may not open it"
    assert rows[0].answered is None
    assert rows[1].answered == NOW


def test_entries_that_will_not_match_twice(opened: Store) -> None:
    srs = "srs0=ab=cd=aol.com=joe@gmail.com"
    record(opened, "a", "bounce-12345@lists.example", "bounce-9@news.example", srs, "x@y.example")
    record(opened, "b", "bounce-12345@lists.example")
    override(opened, "allow", domain("news.example"))  # its mail matches by the domain
    rows = report_of(opened).made_anew.rows
    assert [(row.text, row.votes) for row in rows] == [
        ("bounce-12345@lists.example", 2),
        (srs, 1),
    ]
    assert rows[0].advice.startswith("looks as if it was made for one mail only")
    assert 'safelist override allow lists.example --reason "..."' in rows[0].advice


# The page.


def fill(opened: Store) -> None:
    """Something in every table."""
    texts = ["a@aol.com", "b@yahoo.com", "bounce-12345@lists.example", *(f"s{n}@x.example" for n in range(12))]
    for number, mailbox in enumerate("abcdefghijkl"):
        record(opened, mailbox, *texts[number // 4 :])
    record_all(opened, "odd", frozenset({Entry(UserList.SAFE_SENDERS, refused("/o=a", Refusal.X500))}))
    record(opened, "few", "lonely@aol.com", *texts[5:])
    override(opened, "allow", address("z@aol.com"), "wanted", ticket="INC-7", expires=NOW + 3 * DAY)
    override(opened, "block", address("late@x.example"), "unwanted", expires=NOW + 40 * DAY)
    override(opened, "block", address("never@x.example"), "unwanted")
    opened.note(opened.begin_run(NOW, "sync", "cron"), "d@corp.example", NOW, "failed", "denied", "may not be opened")


def parsed(page: str) -> Any:
    """lxml's own element of HTML, whose questions are answered with many kinds of values."""
    return html.document_fromstring(page)


def test_page_is_complete_in_itself(opened: Store) -> None:
    fill(opened)
    page = render(build(opened, SETTINGS, NOW + DAY, verified=opened.verify_chain()))
    assert not re.search(r"https?:|url\(|@import|data:", page)
    tree = parsed(page)
    assert {link for _, name, link, _ in tree.iterlinks() if not link.startswith("#")} == set()
    assert not tree.xpath("//@style | //link | //img | //iframe | //object | //form | //base")
    assert not [name for name in tree.xpath("//@*/..") for name in name.attrib if name.startswith("on")]
    for text in tree.xpath("//style/text() | //script/text()"):
        assert "//" not in text
    ids = {found.get("id") for found in tree.xpath("//*[@id]")}
    assert {link.removeprefix("#") for link in tree.xpath("//a/@href")} <= ids


def test_policy_of_the_page_allows_its_own_style_and_script_only(opened: Store) -> None:
    tree = parsed(render(report_of(opened)))
    (allowed,) = tree.xpath("//meta[@http-equiv='Content-Security-Policy']/@content")
    rules = dict(rule.strip().split(" ", 1) for rule in allowed.split(";"))
    hashes = [
        f"'sha256-{base64.b64encode(hashlib.sha256(tree.findtext(f'.//{name}', '').encode()).digest()).decode()}'"
        for name in ("style", "script")
    ]
    assert rules == {
        "default-src": "'none'",
        "style-src": hashes[0],
        "script-src": hashes[1],
        "base-uri": "'none'",
        "form-action": "'none'",
    }


def test_page_without_script(opened: Store) -> None:
    fill(opened)
    tree = parsed(render(report_of(opened)))
    assert tree.get("lang") == "en"
    assert tree.findtext(".//title") == "safelist audit report, 2026-11-24 12:00 UTC"
    tables = tree.xpath("//table")
    assert len(tables) == 9
    for table in tables:
        assert tree.get_element_by_id(table.get("aria-labelledby")).text_content()
        assert all(header.get("scope") == "col" for header in table.xpath("thead//th"))
        assert all(row.xpath("th[@scope='row']") for row in table.xpath("tbody/tr"))
    assert tree.xpath("//search/@hidden") == [""]


@pytest.mark.parametrize(
    ("verified", "sentence"),
    [
        (None, "was not verified"),
        (Verified(1234, "ab" * 32, None), "holds: 1,234 change sets, head " + "ab" * 32),
        (Verified(1, "ab" * 32, "number 2 <b>"), "does not hold: number 2 <b>. Up to there 1 change set holds"),
    ],
)
def test_chain_of_change_sets(opened: Store, verified: Verified | None, sentence: str) -> None:
    page = render(build(opened, SETTINGS, NOW, verified=verified))
    assert sentence in parsed(page).find_class("alert")[0].text_content()


def hostile_report(opened: Store) -> AuditReport:
    """Every text from outside tries to break out."""
    for mailbox in (f"{PAYLOAD}a", f"{PAYLOAD}b"):
        record(opened, mailbox, *HOSTILE)
    for text in HOSTILE:
        override(opened, "block", address(text), f"{PAYLOAD}{text}", ticket=f"{PAYLOAD}\0")
    run = opened.begin_run(NOW, "sync", PAYLOAD)
    opened.note(run, f"{PAYLOAD}@corp.example", NOW, PAYLOAD[:50], PAYLOAD[:50], f"{PAYLOAD}\x1b[31m\0")
    report = build(opened, SETTINGS, NOW, verified=Verified(1, PAYLOAD, f"{PAYLOAD}{HOSTILE[0]}"))
    nul = tuple(row._replace(reason=f"{row.reason}\0\ud800", actor=PAYLOAD) for row in report.overrides)
    return replace(report, overrides=nul)


def test_texts_from_outside_stay_texts(opened: Store) -> None:
    page = render(hostile_report(opened))
    tree = parsed(page)
    assert page.count("<script") == page.count("</script") == page.count("<style") == page.count("</style") == 1
    assert not tree.xpath("//img | //b | //iframe | //*[local-name()='svg'][not(@class='bar')]")
    assert not [name for e in tree.iter() if isinstance(e.tag, str) for name in e.attrib if name.startswith("on")]
    shown = [cell.text_content() for cell in tree.xpath("//table[@aria-labelledby='overrides']/tbody/tr/th")]
    assert set(HOSTILE[:6]) <= set(shown)
    assert {"\\u202egnp.exe@evil.example", "\u05d0\\u2066@evil.example"} <= set(shown)
    assert not re.search("[\0\x1b\u202e\u2066\ud800]", page)
    assert page.encode()


# In a browser.


@pytest.fixture
def page(opened: Store, tmp_path: Path, browser: webdriver.Chrome) -> Iterator[str]:
    """The address of a page with something in every table; its console must stay empty."""
    fill(opened)
    path = tmp_path / "report.html"
    path.write_text(render(report_of(opened)), encoding="utf-8")
    yield path.as_uri()
    assert complaints(browser) == []


def table(browser: webdriver.Chrome, name: str) -> WebElement:
    return browser.find_element(By.CSS_SELECTOR, f"table[aria-labelledby='{name}']")


def shown(browser: webdriver.Chrome, name: str, column: int) -> list[str]:
    """The texts of one column, in the rows that are to be seen."""
    script = "return [...arguments[0].tBodies[0].rows].filter(r => !r.hidden).map(r => r.cells[arguments[1]].innerText)"
    return [text.split("\n")[0] for text in browser.execute_script(script, table(browser, name), column)]


def header(browser: webdriver.Chrome, name: str, title: str) -> WebElement:
    path = f".//thead//th[normalize-space()='{title}']"
    return table(browser, name).find_element(By.XPATH, path)


def click(browser: webdriver.Chrome, name: str, title: str) -> str | None:
    """Click on a column's header; its aria-sort afterwards."""
    found = header(browser, name, title)
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", found)
    found.click()
    return found.get_attribute("aria-sort")


def test_search_filters_every_table(browser: webdriver.Chrome, page: str) -> None:
    browser.get(page)
    box, status = browser.find_element(By.ID, "search"), browser.find_element(By.CSS_SELECTOR, "search output")
    every = len(browser.find_elements(By.CSS_SELECTOR, "tbody tr"))
    assert (box.is_displayed(), status.text) == (True, f"{every} rows")
    box.send_keys("AOL")
    assert set(shown(browser, "providers", 0)) == {"AOL"}
    assert set(shown(browser, "trusted", 0)) == {"a@aol.com", "lonely@aol.com"}
    assert set(shown(browser, "overrides", 2)) == {"z@aol.com"}
    assert shown(browser, "mailboxes", 0) == []
    assert not table(browser, "mailboxes").is_displayed()
    hits = len([row for row in browser.find_elements(By.CSS_SELECTOR, "tbody tr") if row.is_displayed()])
    assert status.text == f"{hits} of {every} rows contain “AOL”"
    assert browser.execute_script("return location.hash") == "#q=AOL"
    box.send_keys(" lonely")
    assert shown(browser, "trusted", 0) == ["lonely@aol.com"]
    box.send_keys(Keys.CONTROL, "a")
    box.send_keys(Keys.BACKSPACE)
    assert (status.text, browser.execute_script("return location.hash")) == (f"{every} rows", "")


def test_search_finds_who_trusts_a_sender_that_is_safe_for_nobody_else(browser: webdriver.Chrome, page: str) -> None:
    browser.get(page)
    box = browser.find_element(By.ID, "search")
    box.send_keys("lonely@aol.com")
    (mailbox,) = shown(browser, "trust", 0)
    box.clear()
    box.send_keys(mailbox, " lonely@aol.com")
    assert shown(browser, "trust", 0) == [mailbox]


def test_address_says_what_to_search(browser: webdriver.Chrome, page: str) -> None:
    browser.get("about:blank")
    browser.get(f"{page}#q=x.example%20unwanted")
    assert browser.find_element(By.ID, "search").get_property("value") == "x.example unwanted"
    assert shown(browser, "overrides", 2) == ["late@x.example", "never@x.example"]
    browser.get(f"{page}#q=INC-7")
    assert shown(browser, "overrides", 2) == ["z@aol.com"]
    browser.get(f"{page}#q=%zz")  # no text at all: the search stays
    assert shown(browser, "overrides", 2) == ["z@aol.com"]
    browser.get(f"{page}#overrides")
    assert shown(browser, "overrides", 2) == ["z@aol.com"]


def test_headers_sort_texts_numbers_and_dates(browser: webdriver.Chrome, page: str) -> None:
    browser.get(page)
    before = shown(browser, "trusted", 1)
    assert before == sorted(before, key=int, reverse=True)
    assert before != sorted(before, reverse=True)
    assert header(browser, "trusted", "votes").get_attribute("aria-sort") == "descending"
    assert click(browser, "trusted", "votes") == "ascending"
    assert shown(browser, "trusted", 1) == sorted(before, key=int)
    assert click(browser, "trusted", "sender") == "ascending"
    assert header(browser, "trusted", "votes").get_attribute("aria-sort") is None
    names = shown(browser, "trusted", 0)
    assert names.index("s2@x.example") < names.index("s10@x.example")
    assert click(browser, "trusted", "sender") == "descending"
    assert shown(browser, "trusted", 0) == names[::-1]
    assert click(browser, "overrides", "ends") == "descending"
    assert shown(browser, "overrides", 2) == ["late@x.example", "z@aol.com", "never@x.example"]
    assert click(browser, "overrides", "ends") == "ascending"
    assert shown(browser, "overrides", 2) == ["z@aol.com", "late@x.example", "never@x.example"]


@pytest.mark.parametrize("key", [Keys.ENTER, Keys.SPACE])
def test_headers_sort_by_the_keyboard(browser: webdriver.Chrome, page: str, key: str) -> None:
    browser.get(page)
    browser.find_element(By.ID, "search").send_keys(Keys.TAB)
    focused = browser.switch_to.active_element
    assert (focused.tag_name, focused.text) == ("button", "provider")
    focused.send_keys(key)
    assert header(browser, "providers", "provider").get_attribute("aria-sort") == "ascending"
    assert shown(browser, "providers", 0) == ["AOL", "other domains", "Yahoo"]


def test_nothing_from_outside_runs(browser: webdriver.Chrome, opened: Store, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text(render(hostile_report(opened)), encoding="utf-8")
    browser.get(f"{path.as_uri()}#q={PAYLOAD}")
    browser.find_element(By.ID, "search").send_keys(PAYLOAD)
    assert browser.execute_script("return window.hacked") is None
    assert browser.execute_script("return document.querySelectorAll('img, script, b').length") == 1
    assert browser.title.startswith("safelist audit report")
    assert complaints(browser) == []
