"""The pages in a real browser: drawing, promotion, comparison, upload, keyboard, narrow screens, accessibility."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright
from web_site import Site, addresses, listening, pair, png

from pachyderm.client.commits import head
from pachyderm.dag.promotion import promote
from pachyderm.dag.repos import INPUT_IMAGES, MODEL, TRAINING
from web.pages import pictures

CHROMIUM = shutil.which("chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE = 120_000
"""Milliseconds to wait for the page, on a loaded machine."""

PAGES = ("/", "/models", "/pictures", "/draw", "/upload")

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed; apt-get install chromium")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@contextmanager
def opened(browser: Browser, address: str, width: int = 1280) -> Iterator[Page]:
    """Provide a page; a message on the console, an error or a dialog that nobody expects fails the test."""
    context = browser.new_context(viewport={"width": width, "height": 900})
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    problems: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            problems.append(message.text)

    page.on("console", note)
    page.on("pageerror", lambda error: problems.append(str(error)))
    # Leaving a page aborts its requests.
    page.on("requestfailed", lambda request: None if "ABORTED" in request.failure else problems.append(request.url))
    page.goto(address)
    yield page
    context.close()
    assert problems == []


@pytest.fixture(scope="module")
def address(history: Site) -> Iterator[str]:
    with listening(history) as address:
        yield address


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("page_address", PAGES)
def test_no_page_is_wider_than_the_screen(browser: Browser, address: str, page_address: str, width: int) -> None:
    with opened(browser, address + page_address, width) as page:
        page.wait_for_load_state("load")
        assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("page_address", [*PAGES, "/models/compare"])
def test_no_page_has_a_serious_accessibility_problem(
    browser: Browser, address: str, history: Site, page_address: str
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    query = f"?a={history.sets['first']}&b={history.sets['second']}" if page_address == "/models/compare" else ""
    with opened(browser, address + page_address + query) as page:
        page.wait_for_load_state("load")
        violations = Axe().run(page).response["violations"]
    serious = [violation["id"] for violation in violations if violation["impact"] in ("serious", "critical")]
    assert serious == []


def test_hostile_text_opens_no_dialog_on_any_page(browser: Browser, address: str, history: Site) -> None:
    with opened(browser, address + "/") as page:
        dialogs: list[str] = []
        page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
        for path in addresses(history):
            if path.startswith("/fragments"):
                continue  # has no icon, which Chromium then asks for
            page.goto(address + path)
            page.wait_for_load_state("load")
        page.goto(address + "/pictures")
        page.locator(".tile").first.click()
        page.locator("summary").first.click()
    assert dialogs == []


def test_a_drawing_is_translated_while_it_is_drawn(browser: Browser, address: str, history: Site) -> None:
    with opened(browser, address + "/draw") as page:
        page.wait_for_selector("#output[data-commit]")
        before = page.evaluate("document.getElementById('output').toDataURL()")
        box = page.locator("#canvas").bounding_box()
        assert box is not None
        page.locator("#palette button").nth(2).click()
        page.mouse.move(box["x"] + 20, box["y"] + 20)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] - 20, box["y"] + box["height"] - 20)
        page.wait_for_function("before => document.getElementById('output').toDataURL() !== before", arg=before)
        page.mouse.up()
        assert page.locator("#output").get_attribute("data-commit") == history.sets["second"]
        page.locator("#undo").click()
        page.wait_for_function("before => document.getElementById('output').toDataURL() === before", arg=before)


def test_a_drawing_is_made_with_the_keyboard_alone(browser: Browser, address: str) -> None:
    with opened(browser, address + "/draw") as page:
        page.wait_for_selector("#output[data-commit]")
        before = page.evaluate("document.getElementById('canvas').toDataURL()")
        page.locator("#canvas").focus()
        page.keyboard.press("Space")
        page.keyboard.press("Shift+ArrowRight")
        assert page.evaluate("document.getElementById('canvas').toDataURL()") != before
        page.keyboard.press("Control+z")


def test_the_drawing_page_takes_a_new_model_without_a_reload(browser: Browser, changing: Site) -> None:
    with listening(changing) as address, opened(browser, address + "/draw") as page:
        page.wait_for_selector(f"#output[data-commit='{changing.sets['second']}']")
        page.evaluate("window.marked = true")
        promote(changing.client, changing.sets["first"], 2e9)
        page.wait_for_selector(f"#output[data-commit='{changing.sets['first']}']")
        assert page.evaluate("window.marked"), "the page was reloaded"


def test_a_drawing_is_added_to_the_inputs(browser: Browser, changing: Site) -> None:
    before = head(changing.client, INPUT_IMAGES).id
    with listening(changing) as address, opened(browser, address + "/draw") as page:
        page.wait_for_selector("#output[data-commit]")
        page.locator("#commit").click()
        page.wait_for_function("() => document.getElementById('made').textContent.startsWith('committed')")
    commit = head(changing.client, INPUT_IMAGES)
    assert commit.id != before and commit.description == "a drawing"


def test_a_model_is_rolled_back_from_the_table(browser: Browser, changing: Site) -> None:
    with listening(changing) as address, opened(browser, address + "/models") as page:
        page.on("dialog", lambda dialog: dialog.accept())
        with page.expect_navigation():
            page.get_by_role("button", name="Roll back").click()
        assert head(changing.client, MODEL).id == changing.sets["first"]
        assert "in use" in page.locator("tr", has_text=changing.sets["first"][:12]).inner_text()


def test_a_candidate_is_rejected_and_another_approved_on_its_page(browser: Browser, changing: Site) -> None:
    in_use = head(changing.client, MODEL).id
    for verdict, button in (("rejected", "Reject"), ("approved", "Approve")):
        candidate = changing.train(verdict, "review")
        with listening(changing) as address, opened(browser, f"{address}/models/{candidate}") as page:
            page.get_by_label("Your name").fill("ann")
            page.get_by_label("Reason").fill(f"roofs are {verdict}")
            with page.expect_navigation():
                page.get_by_role("button", name=button).click()
            assert f"{verdict} by ann: roofs are {verdict}" in page.locator("main").inner_text()
        in_use = candidate if verdict == "approved" else in_use
        assert head(changing.client, MODEL).id == in_use


def test_a_folder_of_pairs_is_uploaded_and_committed(browser: Browser, changing: Site, tmp_path: Path) -> None:
    folder = tmp_path / "pairs"
    folder.mkdir()
    for name, data in {"a.png": pair(), "b.png": png(), "notes.txt": b"text"}.items():
        (folder / name).write_bytes(data)
    with listening(changing) as address:
        context = browser.new_context()
        page = context.new_page()
        page.goto(address + "/upload")
        page.get_by_label("A|B pairs to train on").check()
        page.locator("#files").set_input_files([str(path) for path in sorted(folder.iterdir())])
        page.get_by_label("Description of the commit").fill("from the browser")
        page.get_by_role("button", name="Commit").click()
        page.wait_for_function("() => document.getElementById('result').textContent.includes('committed')")
        assert "2 of 2 files committed" in page.locator("#result").inner_text()
        assert "notes.txt" in page.locator("#refused").inner_text()
        context.close()
    assert head(changing.client, TRAINING).description == "from the browser"


def test_a_grid_of_ten_thousand_pictures_scrolls(browser: Browser, empty: Site) -> None:
    empty.train()
    empty.put(INPUT_IMAGES, {"/00000.png": png()})
    empty.run("resize", "generate")
    names = [f"/{number:05}.png" for number in range(10_000)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pictures.Listings, "paths", lambda self, client, commit_id: names)
        with listening(empty) as address:
            context = browser.new_context(viewport={"width": 1280, "height": 900})
            page = context.new_page()
            page.goto(address + "/pictures")
            for _ in range(3):
                seen = page.locator(".tile").count()
                page.mouse.wheel(0, 100_000)
                page.wait_for_function("seen => document.querySelectorAll('.tile').length > seen", arg=seen)
            assert "10,000" in page.locator("h1").inner_text()
            context.close()


def test_the_overview_follows_a_commit_without_a_reload(browser: Browser, changing: Site) -> None:
    with listening(changing) as address, opened(browser, address + "/") as page:
        page.wait_for_load_state("load")
        page.wait_for_function("() => version !== null")
        changing.put(INPUT_IMAGES, {"/late.png": png()}, "a late picture")
        page.wait_for_selector("text=a late picture")
