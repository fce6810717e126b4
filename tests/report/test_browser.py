"""The page in a real browser: phone and desktop, light and dark, on paper, without the network."""

from __future__ import annotations

import base64
import itertools
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="neither chromium nor chromedriver is installed"),
]

CENTRAL = ["leaks", "no_leak_shown", "inconclusive", "confounded", "small_leak", "tiny"]
ARGUMENTS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --disable-dev-shm-usage"
)


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """One headless Chromium with a fresh profile."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for argument in ARGUMENTS.split():
        options.add_argument(argument)
    options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('profile')}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=str(DRIVER)))
    browser.execute_cdp_cmd("Network.enable", {})
    yield browser
    browser.quit()


@pytest.fixture(scope="module")
def urls(pages: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The address of each example's page."""
    directory = tmp_path_factory.mktemp("pages")
    addresses = {}
    for name, page in pages.items():
        path: Path = directory / f"{name}.html"
        path.write_text(page, encoding="utf-8")
        addresses[name] = path.as_uri()
    return addresses


SCREENS = tuple(itertools.product((390, 1280), ("light", "dark")))


def show(driver: Any, url: str, width: int = 1280, mode: str = "light", media: str = "screen") -> None:
    """Open a page on an emulated screen, with the logs of earlier pages thrown away."""
    emulate(driver, width, mode, media)
    for log in ("browser", "performance"):
        driver.get_log(log)
    driver.get(url)


def emulate(driver: Any, width: int, mode: str = "light", media: str = "screen") -> None:
    """Change the screen under a page. It has no script, so that it is laid out as if it were opened there."""
    phone = width < 600
    metrics = {
        "width": width,
        "height": 844 if phone else 800,
        "deviceScaleFactor": 2 if phone else 1,
        "mobile": phone,
    }
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    features = [{"name": "prefers-color-scheme", "value": mode}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": features})


def requested(driver: Any) -> set[str]:
    """Return the addresses that the page asked for, apart from data that stand in the page itself.

    Chromium's own start page (chrome://) may still be loading; no page of another kind can ask for those.
    """
    events = (json.loads(entry["message"])["message"] for entry in driver.get_log("performance"))
    urls = {e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"}
    return {url for url in urls if not url.startswith(("data:", "chrome://"))}


@pytest.mark.parametrize("name", [*CENTRAL, "exposed", "learner", "server", "encrypted", "consortium"])
def test_it_opens_quietly_and_fits(driver: Any, urls: dict[str, str], name: str) -> None:
    show(driver, urls[name], *SCREENS[0])
    assert requested(driver) == {urls[name]}
    driver.execute_script("document.querySelectorAll('details').forEach(d => { d.open = true })")
    for width, mode in SCREENS:
        emulate(driver, width, mode)
        root = "document.documentElement"
        scroll, client = driver.execute_script(f"return [{root}.scrollWidth, {root}.clientWidth]")
        assert scroll <= client and abs(client - width) < 20
        paper = driver.execute_script("return getComputedStyle(document.body).backgroundColor")
        brightness = sum(int(part) for part in paper.strip("rgb()").split(","))
        assert (brightness > 384) == (mode == "light")
        assert requested(driver) == set() and driver.get_log("browser") == []


@pytest.mark.parametrize("name", [*CENTRAL, "learner", "encrypted", "consortium"])
def test_the_answer_is_on_the_first_screen(driver: Any, urls: dict[str, str], name: str) -> None:
    show(driver, urls[name])
    bottom = "return document.querySelector(arguments[0]).getBoundingClientRect().bottom"
    assert driver.execute_script(bottom, ".sentence") < 400
    assert driver.execute_script(bottom, ".brief") < 800
    emulate(driver, 390)
    assert driver.execute_script(bottom, ".sentence") < 844


@pytest.mark.parametrize(
    ("name", "figures"), [("leaks", 4), ("exposed", 5), ("server", 5), ("consortium", 1)]
)
def test_text_in_figures_is_never_small(driver: Any, urls: dict[str, str], name: str, figures: int) -> None:
    show(driver, urls[name])
    for width, shown in ((390, "narrow"), (1280, "wide")):
        emulate(driver, width)
        heights = driver.execute_script(
            f"""return [...document.querySelectorAll('.{shown} svg')].map(svg => {{
                const scale = svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
                return Math.min(...[...svg.querySelectorAll('text')].map(
                    text => parseFloat(getComputedStyle(text).fontSize) * scale));
            }})"""
        )
        assert len(heights) == figures
        assert min(heights) >= 9.5


@pytest.mark.parametrize("name", ["learner", "server", "consortium"])
def test_grids_can_be_read(driver: Any, urls: dict[str, str], name: str) -> None:
    show(driver, urls[name])
    for width, mode in SCREENS:
        emulate(driver, width, mode)
        squares = driver.execute_script(
            """return [...document.querySelectorAll('.grid td[class^=s]')].map(cell => {
                const style = getComputedStyle(cell),
                      numbers = c => c.match(/[\\d.]+/g).slice(0, 3).map(Number);
                return {ink: numbers(style.color), paper: numbers(style.backgroundColor),
                        size: parseFloat(style.fontSize), frame: style.outlineStyle, bold: style.fontWeight,
                        shown: cell.classList.contains('stands'), cut: cell.scrollWidth > cell.clientWidth};
            })"""
        )
        assert len(squares) >= 4
        for square in squares:
            assert contrast(square["ink"], square["paper"]) >= 4.5
            assert square["size"] >= 11
            assert not square["cut"]
            assert (square["frame"] == "solid") == square["shown"] == (square["bold"] == "700")
        assert any(square["shown"] for square in squares)


def contrast(one: list[float], two: list[float]) -> float:
    """Return the contrast of two colours by WCAG 2."""
    lights = []
    for colour in (one, two):
        linear = [(c / 255 + 0.055) ** 2.4 / 1.055**2.4 if c > 10.3 else c / 255 / 12.92 for c in colour]
        lights.append(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2])
    return (max(lights) + 0.05) / (min(lights) + 0.05)


def test_values_open_without_a_script_of_the_page(driver: Any, urls: dict[str, str]) -> None:
    show(driver, urls["leaks"])
    height = "return document.querySelector('.values').getBoundingClientRect().height"
    assert driver.execute_script(height) == 0
    driver.execute_script("document.querySelector('summary').click()")
    assert driver.execute_script(height) > 50


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_paper_is_white_and_shows_everything(driver: Any, urls: dict[str, str], mode: str) -> None:
    show(driver, urls["leaks"], 794, mode, media="print")
    heights = driver.execute_script(
        "return [...document.querySelectorAll('.values')].map(v => v.getBoundingClientRect().height)"
    )
    assert min(heights) > 50
    assert (
        driver.execute_script("return getComputedStyle(document.body).backgroundColor")
        == "rgb(255, 255, 255)"
    )
    widest = driver.execute_script(
        "return Math.max(...[...document.querySelectorAll('table, figure')].map(e => e.scrollWidth))"
    )
    assert widest <= 794


def test_it_prints(driver: Any, urls: dict[str, str]) -> None:
    show(driver, urls["leaks"], media="print")
    paper = {"paperWidth": 8.27, "paperHeight": 11.69, "printBackground": True}
    pdf = base64.b64decode(driver.execute_cdp_cmd("Page.printToPDF", paper)["data"])
    assert pdf.startswith(b"%PDF-")
    assert 3 <= pdf.count(b"/Type /Page\n") <= 15
