"""The operator's page in a browser, at the width of a desk and of a phone.

``RINGFENCE_SCREENSHOTS=DIR`` keeps what was seen, to be looked at. Needs a Chromium of the system
(Debian: apt install chromium) and ``pip install 'ringfence-serve[browser]'``.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from guards import add, ask, images, pool, running
from ringfence_serve.direct import ask_server
from ringfence_serve.operations import Order

sync_api = pytest.importorskip("playwright.sync_api", reason="pip install playwright")

SIZES = {"desk": (1280, 900), "phone": (390, 844)}
BEYOND = """() => [...document.querySelectorAll('body *')].filter(one => {
  const box = one.getBoundingClientRect()
  return box.width && getComputedStyle(one.closest('thead') ?? one).position !== 'absolute'
    && (box.right > innerWidth + 1 || box.left < -1)
}).map(one => one.outerHTML.slice(0, 80))"""
BROKEN = "() => [...document.images].filter(one => !one.naturalWidth).length"


@pytest.fixture(scope="module")
def browser():
    program = shutil.which("chromium")
    if not program:
        pytest.skip("no chromium is installed (Debian: apt install chromium)")
    with sync_api.sync_playwright() as playwright:
        sandbox = [] if os.getuid() else ["--no-sandbox"]
        one = playwright.chromium.launch(executable_path=program, args=sandbox)
        yield one
        one.close()


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """Yield the address and the password of a guard with a history."""
    folder = tmp_path_factory.mktemp("guard")
    names = ("alice", "bob-of-a-department-whose-name-is-rather-long-to-read", "carol", "mallory")
    keys = {name: add(folder, name, quota=5000) for name in names}
    with running(folder) as (_, url):
        http = pool()
        for turn, key in enumerate(keys.values()):
            some = images(3 + 20 * turn, seed=turn)
            assert ask(http, url, key, some)[0] == 200
        for action, name in (("trust", "carol"), ("revoke", "mallory"), ("pardon", names[1])):
            ask_server(folder, Order(action=action, name=name, reason=f"{action}: asked by phone"))
        yield url, (folder / "operator.key").read_text().strip()


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_the_page_fits_and_asks_nobody_else(browser, served, tmp_path, size, scheme):
    url, password = served
    wide, high = SIZES[size]
    context = browser.new_context(
        viewport={"width": wide, "height": high},
        is_mobile=size == "phone",
        color_scheme=scheme,
        http_credentials={"username": "operator", "password": password},
    )
    page, asked, said = context.new_page(), [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    folder = Path(os.environ.get("RINGFENCE_SCREENSHOTS", tmp_path))

    def look(name):
        page.screenshot(path=folder / f"{name}-{size}-{scheme}.png", full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth") <= wide
        assert page.evaluate(BEYOND) == []
        assert page.evaluate(BROKEN) == 0

    page.goto(f"{url}/operator")
    assert page.get_by_text("mallory").is_visible()
    look("clients")
    page.get_by_role("link", name="mallory").click()
    assert page.locator("img").count() > 10
    assert page.get_by_text("asked by phone").is_visible()
    assert page.get_by_text("suspected", exact=True).first.is_visible()
    look("client")
    context.close()
    assert {one.split("/operator")[0] for one in asked if not one.startswith("data:")} == {url}
    assert not said
