"""What a page makes the browser complain of."""

from selenium import webdriver


def complaints(browser: webdriver.Chrome) -> list[str]:
    """The lines of its console since the last call; its own pages (a new tab, on a slow machine) are none of ours."""
    said = [str(line["message"]) for line in browser.get_log("browser")]
    return [line for line in said if not line.startswith("chrome://")]
