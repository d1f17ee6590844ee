"""What DNS blocklists rejected, on the auditor's page: from logs, from kept counts, whatever stands in them."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By

from safelist.audit.report import AuditReport, FirstRows, RejectedMails, build, rejected_mails
from safelist.audit.report.page import render
from safelist.audit.report.values import KeptMonth, SavedMail
from safelist.rejections.collected import CollectedMails
from safelist.rejections.formats import FORMATS
from safelist.rejections.summary import Refused
from safelist.runs.rejections import AskedPolicy, LogOptions, open_logs, rejections, why_command
from safelist.store import RejectionCount, Store
from tests.audit.console import complaints
from tests.audit.test_report import DAY, PAYLOAD, SETTINGS, fill, override, parsed, record, shown
from tests.store.samples import NOW, domain

ZEN = "zen.spamhaus.org"
ME = "a@corp.example"
WORDS = (
    "By DNS blocklist", "By the sender’s domain", "By recipient", "Would have been let through", "Month by month",
    "All months by DNS blocklist",
)  # fmt: skip
KEPT = [
    RejectionCount("2026-10-30", ZEN, "lifted", "quorum", 30, 90),
    RejectionCount("2026-10-31", ZEN, "nobodys", "nobody", 1000, 1000),
    RejectionCount("2026-11-01", ZEN, "refused", "below-quorum", 5, 5),
    RejectionCount("2026-11-01", "bl.example", "lifted", "trusted-address", 2, 2),
    RejectionCount("2026-11-02", "bl.example", None, None, 1, 1),
    RejectionCount("2026-11-02", "bl.example", "unknown", None, 4, 4),
]


def line(sender: str, recipient: str = ME, at: datetime = NOW, by: str = ZEN) -> str:
    said = f"554 5.7.1 Service unavailable; Client host [192.0.2.9] blocked using {by}; x"
    end = f"from=<{sender}> to=<{recipient}> proto=ESMTP helo=<x>"
    return f"{at.isoformat()} mx postfix/smtpd[1]: NOQUEUE: reject: RCPT from unknown[192.0.2.9]: {said}; {end}\n"


def read(opened: Store, path: Path, *lines: str) -> RejectedMails:
    """What the page shows of a log with these lines."""
    path.write_text("".join(lines))
    with CollectedMails(UTC) as mails:
        options, asked = LogOptions(FORMATS, UTC), AskedPolicy(opened, SETTINGS, "", NOW + DAY)
        found = rejections(mails, open_logs([str(path)], with_journal=False, now=NOW + DAY), options, asked)
        return rejected_mails(mails, found, why_command(found, options, asked))


def collected(opened: Store) -> None:
    """Two mailboxes of which one has a sender of its own, and a sync that came to its end."""
    record(opened, "a", "bob@aol.com", "own@partner.example")
    record(opened, "b", "bob@aol.com")
    opened.end_run(opened.begin_run(NOW, "sync", "cron"), NOW, {}, None)


def report_of(opened: Store, rejected: RejectedMails | None) -> AuditReport:
    return build(opened, SETTINGS, NOW + DAY, rejected=rejected)


def test_there_is_no_section_where_nothing_is_known(opened: Store) -> None:
    collected(opened)
    report = report_of(opened, None)
    assert (report.rejected, report.kept) == (None, None)
    assert "DNS blocklists rejected" not in render(report)


def test_what_a_log_tells(opened: Store, tmp_path: Path) -> None:
    collected(opened)
    before = NOW - timedelta(days=3)
    found = read(
        opened, tmp_path / "log", line("bob@aol.com", at=NOW), line("bob@aol.com", at=NOW + timedelta(minutes=5)),
        line("bob@aol.com", at=before), line("own@partner.example", by="bl.example"),
        line("own@partner.example", "b@corp.example"), line("spam@evil.example"),
    )  # fmt: skip
    assert found.words[1] == (
        "5 mails were refused in 6 attempts; 5 of them because of DNS blocklists (100 %). Most by zen.spamhaus.org 4, "
        "bl.example 1."
    )
    assert found.zone == "UTC"
    assert found.providers == (Refused(ZEN, 4, 5, 2), Refused("bl.example", 1, 1, 1))
    assert found.domains[0] == Refused("aol.com", 2, 3, 2)
    assert found.recipients == (Refused(ME, 4, 5, 3), Refused("b@corp.example", 1, 1, 0))
    why = f"safelist audit why bob@aol.com --recipient {ME} --at"
    assert found.saved.rows[:2] == (
        SavedMail(before, "bob@aol.com", ME, "192.0.2.9", ZEN, "trusted-address", 1, f"{why} 2026-11-23T12:00:00Z"),
        SavedMail(NOW, "bob@aol.com", ME, "192.0.2.9", ZEN, "trusted-address", 2, f"{why} 2026-11-23"),
    )
    assert [row.sender for row in found.saved.rows] == ["bob@aol.com", "bob@aol.com", "own@partner.example"]
    page = parsed(render(report_of(opened, found)))
    (section,) = page.xpath("//section[h2/@id='rejected']")
    text = section.text_content()
    assert "the recipient trusts the address 3." in text
    assert f"{why} 2026-11-23T12:00:00Z" in text
    assert [heading.text for heading in section.findall("h3")] == list(WORDS[:4])
    assert page.xpath("//nav//a[@href='#rejected']/following-sibling::span/text()") == ["3"]


def test_a_log_with_nothing_for_the_safelist(opened: Store, tmp_path: Path) -> None:
    collected(opened)
    found = read(opened, tmp_path / "log", "hello\n")
    assert (found.providers, found.saved) == ((), FirstRows((), 0))
    page = render(report_of(opened, found))
    assert "No mail that this site refused was found in it." in page
    assert not [words for words in WORDS if words in page]


def test_the_first_two_hundred_mails_are_shown_and_the_others_counted(opened: Store, tmp_path: Path) -> None:
    collected(opened)
    lines = (line("bob@aol.com", f"r{n}@corp.example", NOW + timedelta(seconds=n)) for n in range(203))
    found = read(opened, tmp_path / "log", *lines)
    assert (len(found.saved.rows), found.saved.more) == (200, 3)
    assert [row.recipient for row in found.saved.rows] == [f"r{n}@corp.example" for n in range(200)]
    page = render(report_of(opened, found))
    assert '… and 3 more mails, which this page leaves out: <span class="code">safelist rejections --saved LOG' in page


def test_kept_counts_are_shown_by_month(opened: Store) -> None:
    opened.keep_rejections(KEPT)
    report = report_of(opened, None)
    assert report.kept is not None
    assert report.kept.months == (KeptMonth("2026-11", 2, 12, 2, 5, 0), KeptMonth("2026-10", 2, 1030, 30, 0, 1000))
    assert report.kept.providers == (Refused(ZEN, 1035, 1095, 30), Refused("bl.example", 7, 7, 2))
    (section,) = parsed(render(report)).xpath("//section[h2/@id='rejected']")
    assert [heading.text for heading in section.findall("h3")] == list(WORDS[4:])
    rows = [[cell.text_content() for cell in row] for row in section.xpath(".//table")[0].find("tbody")]
    assert rows == [["2026-11", "2", "12", "2", "5", "0"], ["2026-10", "2", "1,030", "30", "0", "1,000"]]


def test_many_lists_of_kept_counts_end_with_one_line_for_the_rest(opened: Store) -> None:
    opened.keep_rejections(KEPT[0]._replace(provider=f"bl{n:02}.example", mails=n, attempts=2 * n) for n in range(23))
    kept = report_of(opened, None).kept
    assert kept is not None
    assert [row.name for row in kept.providers[:20]] == [f"bl{n:02}.example" for n in range(22, 2, -1)]
    assert kept.providers[20:] == (Refused("3 more", 3, 6, 3),)


def test_its_tables_are_as_the_others(opened: Store, tmp_path: Path) -> None:
    collected(opened)
    opened.keep_rejections(KEPT)
    page = render(report_of(opened, read(opened, tmp_path / "log", line("bob@aol.com"))))
    assert not re.search(r"https?:|url\(|@import|data:", page)
    tree = parsed(page)
    tables = tree.xpath("//section[h2/@id='rejected']//table")
    assert [tree.get_element_by_id(table.get("aria-labelledby")).text_content() for table in tables] == list(WORDS)
    for table in tables:
        assert all(header.get("scope") == "col" for header in table.xpath("thead//th"))
        assert all(row.xpath("th[@scope='row']") for row in table.xpath("tbody/tr"))
    ids = [found.get("id") for found in tree.xpath("//*[@id]")]
    assert len(ids) == len(set(ids))


HOSTILE = (
    "x'onmouseover='window.hacked=1@evil.example", "{{7*7}}{%raw%}@evil.example", "&lt;b&gt;@evil.example",
    "\u202egnp.exe@evil.example", "\x1b[31mred@evil.example",
)  # fmt: skip


def hostile_report(opened: Store, tmp_path: Path) -> AuditReport:
    """Every text of a log, its name, and what was kept, tries to break out."""
    collected(opened)
    override(opened, "allow", domain("evil.example"))
    lines = [line(text, text, NOW + timedelta(seconds=n)) for n, text in enumerate(HOSTILE)]
    found = read(opened, tmp_path / "<img src=x onerror=window.hacked=1>", *lines)
    row = found.saved.rows[0]
    row = row._replace(sender=f'"{PAYLOAD}"@x.example', client=PAYLOAD, provider=PAYLOAD, why=f"{PAYLOAD}\0\ud800")
    table = (Refused(f"{PAYLOAD}\x1b", 1, 1, None), Refused(None, 1, 1, 1))
    found = RejectedMails(
        (*found.words, PAYLOAD), PAYLOAD, table, (*found.domains, *table), table, FirstRows((row, *found.saved.rows), 0)
    )
    opened.keep_rejections(each._replace(provider=f"{PAYLOAD}\0") for each in KEPT)
    return report_of(opened, found)


def test_texts_of_a_log_stay_texts(opened: Store, tmp_path: Path) -> None:
    report = hostile_report(opened, tmp_path)
    assert report.rejected is not None
    assert len(report.rejected.saved.rows) == len(HOSTILE) + 1
    page = render(report)
    tree = parsed(page)
    assert page.count("<script") == page.count("</script") == 1
    assert not tree.xpath("//img | //b | //iframe | //*[local-name()='svg'][not(@class='bar')]")
    assert not [name for e in tree.iter() if isinstance(e.tag, str) for name in e.attrib if name.startswith("on")]
    assert not re.search("[\0\x1b\u202e\ud800]", page)
    assert page.count("&lt;img src=x onerror=window.hacked=1&gt;") > 5
    assert page.encode()


# In a browser.


def open_page(browser: webdriver.Chrome, path: Path, report: AuditReport, fragment: str = "") -> None:
    path.write_text(render(report), encoding="utf-8")
    browser.get("about:blank")
    browser.get(f"{path.as_uri()}{fragment}")


def test_nothing_of_a_log_runs(browser: webdriver.Chrome, opened: Store, tmp_path: Path) -> None:
    open_page(browser, tmp_path / "report.html", hostile_report(opened, tmp_path), f"#q={PAYLOAD}")
    assert browser.execute_script("return window.hacked") is None
    assert browser.execute_script("return document.querySelectorAll('img, script, b').length") == 1
    assert shown(browser, "rejected-saved", 3)[0] == PAYLOAD
    assert complaints(browser) == []


def test_a_search_finds_mails_and_a_header_sorts_them(browser: webdriver.Chrome, opened: Store, tmp_path: Path) -> None:
    fill(opened)
    collected(opened)
    opened.keep_rejections(KEPT)
    lines = [line("bob@aol.com", f"{name}@corp.example", NOW + timedelta(hours=n)) for n, name in enumerate("abc")]
    lines += [line("own@partner.example", at=NOW + timedelta(hours=4), by="bl.example")]
    open_page(browser, tmp_path / "report.html", report_of(opened, read(opened, tmp_path / "log", *lines)))
    assert shown(browser, "rejected-saved", 2) == ["a@corp.example", "b@corp.example", "c@corp.example", ME]
    when = browser.find_element(By.CSS_SELECTOR, "table[aria-labelledby='rejected-saved'] th button")
    browser.execute_script("arguments[0].click()", when)
    assert shown(browser, "rejected-saved", 2) == [ME, "c@corp.example", "b@corp.example", "a@corp.example"]
    browser.find_element(By.ID, "search").send_keys("own@partner.example")
    assert shown(browser, "rejected-saved", 1) == ["own@partner.example"]
    assert not browser.find_element(By.CSS_SELECTOR, "table[aria-labelledby='rejected-months']").is_displayed()
    words = browser.find_element(By.XPATH, "//section[h2/@id='rejected']/div[contains(@class, 'still')]")
    assert not words.is_displayed()
    assert complaints(browser) == []


@pytest.mark.parametrize("media", ["print", "screen"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_can_be_read_in_the_dark_and_on_paper(
    browser: webdriver.Chrome, opened: Store, tmp_path: Path, media: str, scheme: str
) -> None:
    collected(opened)
    opened.keep_rejections(KEPT)
    lines = [line("bob@aol.com", f"{'x' * 60}{n}@{'y' * 60}.corp.example") for n in range(3)]
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": features})
    try:
        open_page(browser, tmp_path / "report.html", report_of(opened, read(opened, tmp_path / "log", *lines)))
        colours = browser.execute_script(
            "const {color, backgroundColor} = getComputedStyle(arguments[0]);"
            "return [color, getComputedStyle(document.body).backgroundColor]",
            browser.find_element(By.CSS_SELECTOR, "table[aria-labelledby='rejected-saved'] tbody td"),
        )
        dark = scheme == "dark" and media == "screen"
        assert colours == (
            ["rgb(227, 232, 238)", "rgb(20, 24, 30)"] if dark
            else [{"print": "rgb(0, 0, 0)", "screen": "rgb(27, 36, 48)"}[media], "rgb(255, 255, 255)"]
        )  # fmt: skip
        wide = "return document.documentElement.scrollWidth > document.documentElement.clientWidth"
        assert not browser.execute_script(wide), "nothing is cut off at the right"
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})
