"""The report in a real browser: sizes, colour schemes, paper; accessible, and asks nobody."""

import shutil

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright
from projects import copy_project

SIZES = {"phone": {"width": 360, "height": 800}, "laptop": {"width": 1280, "height": 800}}


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """Report of the smoke study."""
    project = copy_project(tmp_path_factory.mktemp("smoke"))
    project.snakemake()
    return project.folder / "results/smoke/report.html"


@pytest.fixture(scope="module")
def browser():
    """Debian's chromium, headless."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    assert program, "install Debian's package chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def visit(browser, report):
    """Open the report: ``visit(size, **options)`` gives its page and the list of what it asks for
    and of its errors."""
    contexts = []

    def open_page(size="laptop", **options):
        contexts.append(browser.new_context(viewport=SIZES[size], offline=True, **options))
        page = contexts[-1].new_page()
        heard = []
        page.on("request", lambda request: heard.append(request.url))
        page.on("pageerror", lambda error: heard.append(str(error)))
        page.on("console", lambda message: heard.append(message.text))
        page.goto(report.as_uri())
        return page, heard

    yield open_page
    for context in contexts:
        context.close()


def violations(page):
    """What axe finds, one line each."""
    found = Axe().run(page).response["violations"]
    return [f"{each['id']}: {node['html']}" for each in found for node in each["nodes"]]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_report_is_accessible_and_fits(visit, size, scheme):
    page, _ = visit(size, color_scheme=scheme)
    page.click("button[data-do=unfold]")
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") == SIZES[size]["width"]
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background == ("rgb(254, 254, 254)" if scheme == "light" else "rgb(24, 24, 27)")
    page.click("button[data-do=scheme]")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != background


@pytest.mark.parametrize(("width", "screens"), [(1280, 8), (500, 14)])
def test_the_folded_page_is_short_and_no_wider_than_its_window(visit, width, screens):
    page, _ = visit()
    page.set_viewport_size({"width": width, "height": 900})
    assert page.evaluate("document.documentElement.scrollHeight") <= screens * 900
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_report_asks_nobody_and_has_no_errors(visit, report):
    page, heard = visit()
    page.click("button[data-do=unfold]")
    page.wait_for_load_state("networkidle")
    assert heard == [report.as_uri()]
    assert page.locator("figure svg").count() >= 6


def test_a_number_opens_its_runs(visit):
    page, _ = visit()
    page.click("button[data-do=unfold]")
    number = page.locator("#table-accuracy a.from[data-and]").first
    number.focus()
    page.keyboard.press("Enter")
    assert page.locator("dialog tbody").count() == 2
    assert page.locator("dialog a[href$='record.json']").count() >= 2
    assert violations(page) == []
    page.keyboard.press("Escape")
    assert not page.locator("dialog").is_visible()


def test_tables_sort_by_keyboard(visit):
    page, _ = visit()
    page.click("button[data-do=unfold]")
    heading = page.locator("#table-accuracy th", has_text="Test accuracy")
    column = "#table-accuracy tbody tr td:has(a.from):nth-child({})"
    place = heading.evaluate("each => each.cellIndex") + 1
    read = "each => each.map(cell => parseFloat(cell.textContent))"

    def values():
        return page.locator(column.format(place)).evaluate_all(read)

    heading.locator("button").focus()
    for direction in ("ascending", "descending"):
        page.keyboard.press("Enter")
        assert heading.get_attribute("aria-sort") == direction
        assert values() == sorted(values(), reverse=direction == "descending")
        assert len(values()) > 5


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", ["accuracy", "pruning", "comparison", "latency"])
def test_a_table_shows_names_and_accuracy_and_every_column_is_reached(visit, size, name):
    page, _ = visit(size)
    page.click("button[data-do=unfold]")
    table, region = page.locator(f"#table-{name} table"), page.locator(f"#table-{name} .scroll")
    table.scroll_into_view_if_needed()
    width, row = SIZES[size]["width"], table.locator("tbody tr").first
    second = table.locator("thead th").nth(1)
    if name != "latency":
        assert second.inner_text().startswith("Test accuracy")
        for cell in (second, row.locator("td").first):
            box = cell.bounding_box()
            assert 0 <= box["x"] <= box["x"] + box["width"] <= width + 1
    left = row.locator("th").bounding_box()["x"]
    region.evaluate("each => { each.scrollLeft = each.scrollWidth; }")
    last = row.locator("td").last.bounding_box()
    assert last["x"] + last["width"] <= width + 1
    assert row.locator("th").bounding_box()["x"] == pytest.approx(left, abs=1), "names stay"


def test_without_scripts_nothing_is_missing(visit):
    page, _ = visit(java_script_enabled=False)
    assert page.locator(".answer p").first.is_visible()
    page.locator("#all > details > summary").click()  # the browser itself opens folds
    page.locator("#table-accuracy > summary").click()
    assert page.locator("#table-accuracy table").is_visible()
    assert not page.locator("#all-runs table").is_visible()
    page.locator("#table-accuracy a.from").first.click()
    assert page.locator("#all-runs table").is_visible()


def test_a_link_into_a_fold_opens_it(visit, report):
    page, _ = visit()
    page.click("button[data-do=fold]")
    page.get_by_role("link", name="Methods", exact=True).click()
    page.wait_for_function("document.querySelector('#methods > details').open")


def test_paper_shows_every_fold(visit, tmp_path):
    page, _ = visit(color_scheme="dark")
    closed = page.locator("details:not([open])").count()
    assert closed
    page.pdf(path=tmp_path / "report.pdf", format="A4")
    assert (tmp_path / "report.pdf").stat().st_size > 100_000
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("#all-runs table").is_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(254, 254, 254)"
    assert not page.locator("nav").is_visible()
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("details:not([open])").count() == closed
