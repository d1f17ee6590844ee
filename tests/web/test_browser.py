"""The pages in a real Chromium, as a demonstration on loopback: nothing runs, nothing is fetched, all is reached."""

import re
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.waiting import until
from tests.web.site import AOL, AUDITOR, HOSTILE, PAYLOAD, USER, made, running

PHONE = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
PAGES = (
    "", "search?q=evil", "sender?sender=accounts.desk@aol.com", f"mailbox?address={USER}", "overrides", "changes",
    "mailbox?address=second@corp.example", "rejections", "looks", "verify", "report",
)  # fmt: skip


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the demonstration is; everybody is an auditor there."""
    site = made(tmp_path_factory.mktemp("demonstration"))
    with running(site, "--demo", AUDITOR, "--port", "0") as (_, log):
        found = re.search(r"no log-in: whoever opens (\S+) on this machine is (\S+) ", log.read_text())
        assert found is not None
        assert found[2] == AUDITOR
        yield found[1]


@pytest.fixture
def page(address: str, browser: webdriver.Chrome) -> Iterator[str]:
    """The same; the console must stay empty, and the window is a desk's again."""
    browser.get_log("browser")
    yield address
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    assert [each for each in browser.get_log("browser") if "favicon" not in each["message"]] == []


def background(browser: webdriver.Chrome) -> str:
    return str(browser.execute_script("return getComputedStyle(document.body).backgroundColor"))


def test_from_a_part_of_an_address_to_the_names_by_keyboard(browser: webdriver.Chrome, page: str) -> None:
    browser.get(f"{page}search")
    browser.switch_to.active_element.send_keys("desk@a", Keys.ENTER)
    assert until(lambda: "q=desk" in browser.current_url)
    browser.find_element(By.LINK_TEXT, AOL).send_keys(Keys.ENTER)
    assert until(lambda: "sender?" in browser.current_url)
    assert browser.find_element(By.TAG_NAME, "h1").text == AOL
    browser.find_element(By.LINK_TEXT, "Show the names").send_keys(Keys.ENTER)
    assert until(lambda: "names?" in browser.current_url)
    assert [e.text for e in browser.find_elements(By.CSS_SELECTOR, "tbody th")] == [
        "second@corp.example", "third@corp.example", USER,
    ]  # fmt: skip


def test_the_first_key_leads_to_the_text(browser: webdriver.Chrome, page: str) -> None:
    browser.get(page)
    ActionChains(browser).send_keys(Keys.TAB).perform()
    focused = browser.switch_to.active_element
    assert (focused.text, focused.is_displayed()) == ("To the text", True)
    seen = []
    for _ in range(3):
        ActionChains(browser).send_keys(Keys.TAB).perform()
        seen.append(browser.switch_to.active_element.text)
    assert seen == ["My safe senders", "Search", "Why"]
    outline = browser.execute_script("return getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"


def test_without_any_script(browser: webdriver.Chrome, page: str) -> None:
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    browser.get(f"{page}sender")
    browser.find_element(By.NAME, "sender").send_keys(AOL)
    browser.find_element(By.NAME, "recipient").send_keys("third@corp.example", Keys.ENTER)
    assert until(lambda: "recipient=third" in browser.current_url)
    assert "Safe for third@corp.example" in browser.find_element(By.CLASS_NAME, "alert").text


@pytest.mark.parametrize("path", PAGES)
def test_nothing_from_outside_runs(browser: webdriver.Chrome, page: str, path: str) -> None:
    browser.get(page + path)
    assert browser.execute_script("return window.hacked") is None
    assert browser.execute_script("return document.querySelectorAll('img, script, b, svg, style').length") == 0
    resources = browser.execute_script("return performance.getEntriesByType('resource').map(e => e.name)")
    assert {name for name in resources if "favicon" not in name} == {f"{page}style.css"}
    assert browser.find_element(By.CLASS_NAME, "demo").is_displayed()
    assert AUDITOR in browser.find_element(By.CLASS_NAME, "demo").text


def test_the_policy_stops_what_is_slipped_in(browser: webdriver.Chrome, page: str) -> None:
    browser.get(page)
    browser.execute_script(
        "document.body.innerHTML += arguments[0]", PAYLOAD + "<p id=slipped style='color: red'>x</p>"
    )
    assert until(lambda: "Content Security Policy" in str(said := browser.get_log("browser")) or said)
    assert browser.execute_script("return window.hacked") is None
    color = browser.execute_script("return getComputedStyle(document.getElementById('slipped')).color")
    assert color != "rgb(255, 0, 0)"
    browser.get_log("browser")


@pytest.mark.parametrize("path", PAGES)
def test_a_phone_scrolls_in_one_direction(browser: webdriver.Chrome, page: str, path: str) -> None:
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", PHONE)
    browser.get(page + path)
    wide = browser.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
    assert wide[0] <= wide[1] == PHONE["width"]


def test_dark_and_print(browser: webdriver.Chrome, page: str) -> None:
    browser.get(page)
    assert background(browser) == "rgb(255, 255, 255)"
    dark = {"name": "prefers-color-scheme", "value": "dark"}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [dark]})
    assert background(browser) == "rgb(20, 24, 30)"
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print", "features": [dark]})
    assert background(browser) == "rgb(255, 255, 255)"
    assert not browser.find_element(By.TAG_NAME, "nav").is_displayed()


def test_hostile_entries_are_read_as_they_are(browser: webdriver.Chrome, page: str) -> None:
    browser.get(f"{page}mailbox?address=second@corp.example")
    texts = [e.text for e in browser.find_elements(By.CSS_SELECTOR, "tbody th")]
    assert set(HOSTILE[:4]) <= set(texts)
    browser.find_element(By.LINK_TEXT, HOSTILE[1]).click()
    assert until(lambda: "sender?" in browser.current_url)
    assert "onmouseover=" in browser.find_element(By.TAG_NAME, "h1").text
    assert browser.find_element(By.NAME, "sender").get_property("value") == HOSTILE[1]


def test_a_demonstration_is_asked_by_its_own_name_alone(address: str) -> None:
    request = urllib.request.Request(address, headers={"Host": "rebound.example"})
    with pytest.raises(urllib.error.HTTPError) as found:
        urllib.request.urlopen(request, timeout=60)
    with found.value as answer:
        assert answer.code == 403
        assert b"at 127.0.0.1 alone" in answer.read()
