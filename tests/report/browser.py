# SPDX-License-Identifier: Apache-2.0
"""A page in a real browser: headless Chromium, driven through WebDriver. Says what its console and its network saw."""
import json
import os
import shutil
import time

from job_kit import Skipped

WIDE, NARROW = 1280, 400


def start():
    """The browser; one serves many pages."""
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    driver = shutil.which("chromedriver")
    try:
        from selenium import webdriver
        from selenium.webdriver.chrome.service import Service
    except ImportError as missing:
        raise Skipped("no selenium in this Python (scripts/install-packages test)") from missing
    if program is None or driver is None:
        raise Skipped("no chromium with its driver here (scripts/install-packages test)")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--disable-background-networking"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    return webdriver.Chrome(options=options, service=Service(driver))


class Page:
    """A page opened from its file, at a width, in the system's light or dark colours."""

    def __init__(self, browser, path, width=WIDE, is_dark=False):
        self.browser = browser
        browser.get("about:blank")
        browser.get_log("browser")
        browser.get_log("performance")
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}]})
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False})
        self.address = "file://" + os.path.abspath(path)
        browser.get(self.address)
        end = time.monotonic() + 30
        while self.run("return document.documentElement.dataset.ready") != "true":
            assert time.monotonic() < end, f"the page is not drawn: {self.console()}"
            time.sleep(0.02)

    def run(self, script, *arguments):
        return self.browser.execute_script(script, *arguments)

    def text(self, selector="body"):
        return self.run("return [...document.querySelectorAll(arguments[0])].map((node) => node.innerText).join('\\n')", selector)

    def count(self, selector):
        return self.run("return document.querySelectorAll(arguments[0]).length", selector)

    def console(self):
        return [entry["message"] for entry in self.browser.get_log("browser")]

    def requests(self):
        """Everything that was asked for besides the page's own file and what it holds."""
        found = []
        for entry in self.browser.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                address = message["params"]["request"]["url"]
                if address != self.address and not address.startswith(("data:", "about:")):
                    found.append(address)
        return found

    def is_sound(self):
        """No complaint of the browser, no request, nothing wider than the window."""
        console, requests = self.console(), self.requests()
        assert not console, console
        assert not requests, requests
        widths = self.run("return [document.documentElement.scrollWidth, window.innerWidth]")
        assert widths[0] <= widths[1], f"the page is {widths[0]} wide in a window of {widths[1]}"
        return self
