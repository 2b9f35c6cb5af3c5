"""A card in a real browser: from a file, without a request or an error, by keys alone, on a phone and on paper."""

import cards
import pytest
from cards import HOSTILE
from lab import browser_page

pytestmark = pytest.mark.browser
NARROW = {"width": 360, "height": 740}


@pytest.fixture(scope="module")
def opened(chromium, tmp_path_factory):
    """A page to open cards in, both cards as files, and what went wrong."""
    folder = tmp_path_factory.mktemp("cards")
    files = {
        name: one.save(folder / f"{name}.html")
        for name, one in (("made", cards.made()), ("hostile", cards.hostile()))
    }
    with browser_page(tmp_path_factory.mktemp("profile")) as (page, _):
        asked, errors = [], []
        page.context.on("request", lambda request: asked.append(request.url))
        page.on(
            "console", lambda message: errors.append(message.text) if message.type in ("error", "warning") else None
        )
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("dialog", lambda dialog: (errors.append(dialog.message), dialog.dismiss()))
        yield page, files, asked, errors


@pytest.fixture
def opening(opened):
    """Open a card; at the end nothing was asked for but its file, and nothing went wrong."""
    page, files, asked, errors = opened

    def go(name, viewport=None):
        page.set_viewport_size(viewport or {"width": 1280, "height": 900})
        page.goto(files[name].as_uri())
        return page

    asked.clear(), errors.clear()
    yield go
    assert errors == []
    assert asked and {url.partition("#")[0] for url in asked} <= {file.as_uri() for file in files.values()}


def fold(page, words, nth=0):
    """Open a fold by its summary, by keys."""
    summary = page.locator("summary", has_text=words).nth(nth)
    summary.focus()
    page.keyboard.press("Enter")
    return page.locator("details", has=summary)


@pytest.mark.parametrize("name", ["made", "hostile"])
def test_a_card_opens_from_a_file_without_a_request_or_an_error(opening, opened, name):
    page = opening(name)
    assert page.locator("h1").inner_text().startswith("Loss card: ")
    assert page.locator("html").get_attribute("lang") == "en"
    for summary in page.locator("main summary").element_handles():  # an open widget adds summaries of its own
        summary.click()
    page.locator("[data-widget]:empty").first.wait_for(state="detached")
    assert opened[1][name].stat().st_size < 3_000_000
    if name == "hostile":
        assert HOSTILE in page.locator("h1").inner_text() and page.locator("img").count() == 0


def test_the_stepper_steps_by_keys(opening):
    page = opening("made")
    place = fold(page, "Step through this search")
    slider = place.locator("input[type=range]")
    slider.wait_for()
    slider.focus()
    page.keyboard.press("End")
    last = slider.get_attribute("max")
    assert slider.input_value() == last and int(last) > 0
    said = place.locator(".elekit-stepper-reading").inner_text()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    assert slider.input_value() == "1" and place.locator(".elekit-stepper-reading").inner_text() != said
    page.keyboard.press("g")
    assert place.get_by_role("button", name="Descent directions").get_attribute("aria-pressed") == "false"


def test_the_inspector_applies_what_was_prepared_and_refuses_the_rest(opening):
    page = opening("made")
    place = fold(page, "Inspect this answer")
    rows = place.locator("tbody tr:visible")
    rows.first.wait_for()
    before = place.locator("svg.elekit-graph").first.inner_html()
    rows.first.focus()
    page.keyboard.press("Enter")  # the cheapest edit was prepared
    place.locator(".elekit-steps button[aria-pressed=true]", has_text="1 ").wait_for()
    assert place.locator(".elekit-problem").inner_text() == ""
    page.keyboard.press("u")
    place.locator(".elekit-steps button[aria-pressed=true]", has_text="0 original").wait_for()
    assert place.locator("svg.elekit-graph").first.inner_html() == before
    middle = rows.nth(rows.count() // 2)
    middle.focus()
    page.keyboard.press("Enter")
    told = place.locator(".elekit-problem")
    told.wait_for()
    assert "holds no learned loss" in told.inner_text() and "can be applied" in told.inner_text()
    place.get_by_role("button", name="Shares").click()
    assert "sum to 2" in place.locator("[data-sum]").inner_text()


def test_tables_are_sorted_by_their_headings(opening):
    page = opening("made")
    place = page.locator("#prices-figures")
    place.locator("summary").click()
    names = [head.inner_text() for head in place.locator("th").all()]

    def column(name):
        return place.locator(f"tbody td:nth-child({names.index(name) + 1})").all_inner_texts()

    def numbers(name):
        return [float(text.replace(",", "")) for text in column(name) if text != "–"]

    rows = sorted(place.locator("tbody tr").all_inner_texts())
    head = place.locator("th", has_text="median").first
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "ascending" and numbers("median") == sorted(numbers("median"))
    head.locator("button").focus()
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "descending"
    assert numbers("median") == sorted(numbers("median"), reverse=True) and len(set(numbers("median"))) > 1
    place.locator("th button").first.click()
    assert head.get_attribute("aria-sort") == "none" and len(column(names[0])) == len(rows)
    assert sorted(place.locator("tbody tr").all_inner_texts()) == rows


def test_a_link_to_figures_opens_them(opening):
    page = opening("made")
    link = page.locator('.statement[data-key^="price of"] a[href^="#prices-"]').first
    goal = link.get_attribute("href")
    assert not page.locator(goal).is_visible()
    link.focus()
    page.keyboard.press("Enter")
    page.locator(goal).wait_for(state="visible")
    page.wait_for_function(
        "id => document.activeElement.id === id", arg=goal[1:]
    )  # the fold opens before it has focus


def test_it_fits_a_phone_and_paper(opening, opened, tmp_path):
    page = opening("made", NARROW)
    for words in ("Step through this search", "Inspect this answer"):
        fold(page, words)
    page.wait_for_timeout(200)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.emulate_media(media="print")
    assert not page.locator("details.look").first.is_visible()
    page.emulate_media(media="screen")
    page.pdf(path=str(tmp_path / "card.pdf"), format="A4", prefer_css_page_size=True)
    assert (tmp_path / "card.pdf").read_bytes().startswith(b"%PDF")
    assert page.locator("details.evidence[open]").count() == 0  # as it was before


CONTRAST = """() => {
  const light = (rgb) => { const [r, g, b] = rgb.map((c) => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const behind = (node) => { for (; node; node = node.parentElement) { const c = parse(getComputedStyle(node).backgroundColor); if (c.length < 4 || c[3] > 0) return c.slice(0, 3); } return [255, 255, 255]; };
  return [...document.querySelectorAll('p, li, a, td, th, summary, dt, dd, h1, h2, h3, figcaption, span')].filter((n) => n.offsetParent && n.textContent.trim()).map((n) => {
    const [a, b] = [light(parse(getComputedStyle(n).color).slice(0, 3)), light(behind(n))].sort((x, y) => y - x);
    return (a + 0.05) / (b + 0.05);
  }).reduce((least, one) => Math.min(least, one), 21);
}"""


def test_contrast_is_enough_and_motion_is_not_forced(opening):
    page = opening("made")
    assert page.evaluate(CONTRAST) >= 4.5
    page.emulate_media(reduced_motion="reduce")
    assert page.evaluate("getComputedStyle(document.documentElement).scrollBehavior") == "auto"
    page.emulate_media(reduced_motion="no-preference")
