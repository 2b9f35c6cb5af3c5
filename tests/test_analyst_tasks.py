"""Fifteen tasks of an analyst in real JupyterLab, each done once by mouse and once by keyboard alone, without code.

Code only prepares: it clears what an earlier task left, and looks at the result.
"""

import json
from functools import partial

import numpy as np
import pandas as pd
import pytest
from test_explorer import DRAWN, HOME, MARK, lasso, places, tool
from test_selections import drag

N = 150
CELL = f"""
import elekit as ele, numpy as np
from elekit.datasets import Split
psi, data = ele.load("molecules7").psi, ele.datasets.load("molecules7", inputs="description")
test = data.test.sample({N})
frame = test.frame.assign(name=[f"MOL{{1000 + k}}" for k in range({N})], weight=np.arange({N}) / 7,
                          assay=["active", "silent", "toxic"] * {N // 3})
points = psi.embed(test.graphs).numpy()
other = points + np.random.default_rng(0).normal(size=points.shape) / np.sqrt(points.shape[1])
explorer = ele.widgets.explore(psi, Split(test.inputs, test.graphs, frame), other=other, losses=("before", "after"),
                               id="name", facts=["assay"], color="nodes", session="tasks.json")
explorer"""
CLEAN = """
explorer.selection, explorer.pinned, explorer.combine = None, None, "replace"
explorer.find("id", "")
for name in list(explorer.tags): explorer.untag(name)
explorer.color_by, explorer.tab = "nodes", "Graph"
explorer._select_panel.show("weight")
explorer.look([[]] * 2)
"""
ROWS = "explorer.selection_rows.tolist()"
# How many elements that take the focus lie between the focus and an element; below 0 if it is before.
STEPS = """(wanted) => {
  const reached = [...document.querySelectorAll('button, input, select, textarea, summary, [tabindex]')]
    .filter((one) => one.tabIndex >= 0 && !one.disabled && one.checkVisibility());
  return reached.indexOf(wanted) - reached.indexOf(document.activeElement);
}"""


class Analyst:
    """Hands on the widget: `by` is "mouse" or "keyboard"."""

    def __init__(self, lab, by: str):
        self.lab, self.page, self.by = lab, lab.page, by
        self.root = lab.page.locator(".elekit-explorer").first

    @property
    def mouse(self) -> bool:
        return self.by == "mouse"

    def button(self, name: str):
        return self.root.get_by_role("button", name=name).locator("visible=true").first

    def field(self, name: str):
        return self.root.get_by_label(name).locator("visible=true").first

    def go(self, target) -> None:
        """Press Tab, or Shift and Tab, until the focus is there."""
        for _ in range(4):  # the elements in between are only counted, which may be off by some
            steps = target.evaluate(STEPS)
            if not steps:
                return
            for _ in range(abs(steps)):
                self.page.keyboard.press("Tab" if steps > 0 else "Shift+Tab")
        raise AssertionError(f"Tab does not lead to {target}")

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def use(self, target) -> None:
        """Click a button, or press Enter on it."""
        if self.mouse:
            target.click()
        else:
            self.go(target)
            self.press("Enter")

    def write(self, target, text: str) -> None:
        if self.mouse:
            target.fill(text)
        else:
            self.go(target)
            self.press("Control+a")
            self.page.keyboard.type(text)

    def choose(self, target, option: str) -> None:
        """An option of a list, by mouse or by its first letters."""
        if self.mouse:
            target.select_option(option)
        else:
            self.go(target)
            self.page.keyboard.type(option)

    def tab(self, name: str) -> None:
        self.use(self.root.get_by_role("button", name=name, exact=True))

    def find(self, name: str) -> None:
        """Find a molecule by its id, and pin it."""
        self.write(self.field("Search for"), name)
        self.use(self.button("Find"))
        self.use(self.root.get_by_role("button", name=f"id {name}"))
        self.lab.eventually("explorer.pinned", int(name[3:]) - 1000)

    def walk(self, *keys: str) -> None:
        self.go(self.button("Walk on the map"))
        self.press(*keys)

    def lasso(self, left: float, right: float, key: str = "") -> np.ndarray:
        """Draw around the points between two shares of the first map's width; the rows within."""
        tool(self.lab, 1)
        where = places(self.lab, N)
        (x, top), (x2, bottom) = where.min(0) - 6, where.max(0) + 6
        x, x2 = x + left * (x2 - x), x + right * (x2 - x)
        if key:
            self.page.keyboard.down(key)
        lasso(self.lab, [(x + 20, top), (x2, top), (x2, bottom), (x, bottom), (x, top), (x + 10, top)])
        if key:
            self.page.keyboard.up(key)
        return np.flatnonzero((where[:, 0] > x) & (where[:, 0] < x2))

    def near(self, name: str, size: int) -> set[int]:
        """Rows of a circle around a molecule."""
        row = int(name[3:]) - 1000
        away = f"np.linalg.norm(explorer.map.positions - explorer.map.positions[{row}], axis=1)"
        whole = f"np.ptp(explorer.map.positions, axis=0).max() * {size} / 20"
        return set(self.lab.value(f"np.flatnonzero({away} <= {whole}).tolist()"))

    def selected(self, least: int = 1) -> set[int]:
        self.lab.eventually(f"len(explorer.selection_rows) >= {least}", True)
        return set(self.lab.value(ROWS))

    def shows(self, text: str) -> None:
        self.root.get_by_text(text).locator("visible=true").first.wait_for(timeout=10_000)

    def download(self, kind: str) -> bytes:
        self.tab("Select")
        self.choose(self.field("Format of the file"), kind)
        with self.page.expect_download() as waiting:
            self.use(self.button("Download the selection as"))
        with open(waiting.value.path(), "rb") as file:
            return file.read()


# -- the tasks -----------------------------------------------------------------------------------------------------
def find_by_id(hand):
    hand.find("MOL1042")
    hand.root.locator("[data-card=pinned]").get_by_text("id MOL1042").wait_for()


def color_by_a_column(hand):
    hand.choose(hand.field("Color by"), "assay")
    hand.lab.eventually("explorer.color_by", "assay")
    hand.shows("toxic")


def filter_by_a_range(hand):
    hand.tab("Select")
    if hand.mouse:
        drag(hand.page, hand.root.locator(".elekit-histogram").bounding_box(), start=(0.5, 0.5), end=(0.75, 0.5))
        assert 30 < len(hand.selected()) < 45
    else:
        hand.write(hand.field("lower limit"), "10")
        hand.write(hand.field("upper limit"), "15")
        hand.press("Enter")
        assert hand.selected() == set(range(70, 106))


def lasso_and_add_another(hand):
    if hand.mouse:
        first = hand.lasso(0, 0.2)
        assert len(hand.selected() ^ set(first)) <= 2
        second = hand.lasso(0.8, 1, "Shift")
        assert len(hand.selected(len(first) + 1) ^ set(first) ^ set(second)) <= 4
    else:
        hand.find("MOL1003")
        hand.walk("3")
        assert hand.selected() == hand.near("MOL1003", 3)
        hand.choose(hand.field("What a new lasso"), "adds")
        hand.find("MOL1005")
        hand.walk("4")
        both = hand.near("MOL1003", 3) | hand.near("MOL1005", 4)
        assert hand.selected(len(both)) == both


def subtract(hand):
    if hand.mouse:
        first = hand.lasso(0, 0.6)
        hand.selected(len(first) - 2)
        second = hand.lasso(0, 0.3, "Alt")
        hand.lab.eventually(f"len(explorer.selection_rows) < {len(first) - len(second) // 2}", True)
        assert len(hand.selected() ^ (set(first) - set(second))) <= 4
    else:
        hand.find("MOL1003")
        hand.walk("9")
        hand.selected()
        hand.choose(hand.field("What a new lasso"), "sub")
        hand.walk("2")
        left = hand.near("MOL1003", 9) - hand.near("MOL1003", 2)
        hand.lab.eventually(f"len({ROWS})", len(left))
        assert hand.selected() == left


def select_weights(hand, low, high):
    hand.tab("Select")
    hand.write(hand.field("lower limit"), str(low))
    hand.write(hand.field("upper limit"), str(high))
    hand.use(hand.button("Select range"))
    hand.selected()


def tag_a_selection(hand, name="hits <b>"):
    select_weights(hand, 0, 5)
    hand.write(hand.field("Name of the tag"), name)
    hand.use(hand.button("Tag the selection"))
    hand.lab.eventually("{name: len(rows) for name, rows in explorer.tags.items()}", {name: 36})


def write_a_note(hand):
    hand.find("MOL1007")
    hand.tab("Select")
    hand.write(hand.field("Note on the pinned graph"), f"by {hand.by}")
    hand.use(hand.button("Keep note"))
    hand.lab.eventually("explorer.notes", {"7": f"by {hand.by}"})
    hand.tab("Graph")
    hand.shows(f"note: by {hand.by}")


def what_sets_them_apart(hand):
    hand.lab.python("explorer.tag('carbons', explorer.frame.query('`nodes: O` == 0'))")
    hand.lab.python("explorer.selection = explorer.frame.query('`nodes: O` > 0')")
    hand.tab("Select")
    hand.choose(hand.field("Compare the selection with"), "carbons" if hand.mouse else "tag carbons")
    hand.use(hand.button("What sets the selection apart from"))
    found = hand.root.locator("td button")
    found.first.wait_for()
    assert any("O" in text for text in found.all_text_contents()[:3])


def export_csv(hand):
    select_weights(hand, 0, 5)
    text = hand.download(".csv").decode()
    assert pd.read_csv(pd.io.common.StringIO(text))["id"].tolist() == [f"MOL{1000 + k}" for k in range(36)]


def export_sdf(hand):
    select_weights(hand, 0, 2)
    content = hand.download(".sdf").decode()
    assert [block.strip().splitlines()[0] for block in content.split("$$$$")[:-1]] == [
        f"MOL{1000 + k}" for k in range(15)
    ]


def neighbors_of_a_point(hand):
    if hand.mouse:
        tool(hand.lab, 0)
        where = places(hand.lab, N)
        apart = np.linalg.norm(where[:, None] - where, axis=-1) + 1e9 * np.eye(N)
        row = int(apart.min(1).argmax())
        hand.page.mouse.move(*(where[row] + 3))
        hand.page.mouse.click(*where[row])
        hand.lab.eventually("explorer.pinned", row)
    else:
        hand.walk("ArrowRight")
        hand.lab.eventually("explorer.pinned", 0)
        hand.press("ArrowRight")
        hand.lab.eventually("explorer.pinned not in (None, 0)", True)
    near = hand.lab.value("explorer.neighbors.query('by == 0').row.tolist()")
    hand.root.get_by_text("Nearest by the learned loss, before").wait_for()
    hand.use(hand.root.locator(f".elekit-neighbor[data-row='{near[0]}']").first)
    hand.lab.eventually("explorer.pinned", near[0])


def zoom_to_it(hand):
    hand.find("MOL1020")
    if hand.mouse:
        place = places(hand.lab, N)[20]
        hand.page.mouse.move(*place)
        hand.page.keyboard.down("Control")
        for _ in range(4):
            hand.page.mouse.wheel(0, -240)
            hand.page.wait_for_timeout(60)
        hand.page.keyboard.up("Control")
    else:
        hand.walk("+", "+", "+", "+")
    hand.lab.eventually("explorer.cameras()[0][5] > 1.8", True)
    x, y = hand.page.evaluate(MARK, [0, "pinned"])
    box = hand.page.evaluate(f"(k) => {HOME}.getBoundingClientRect().toJSON()", 0)
    assert box["x"] < x < box["x"] + box["width"] and box["y"] < y < box["y"] + box["height"]
    if not hand.mouse:
        assert abs(x - box["x"] - box["width"] / 2) < 4 and abs(y - box["y"] - box["height"] / 2) < 4
        hand.press("0")
    else:
        hand.page.mouse.dblclick(box["x"] + 150, box["y"] + 20)
    hand.lab.eventually("explorer.cameras()[0][5] < 1.1", True)


def what_moved_most(hand):
    hand.use(hand.root.locator("summary").filter(has_text="The graphs that moved most"))
    first = hand.lab.value("int(explorer.frame.moved.sort_values(ascending=False, kind='stable').index[0])")
    hand.use(hand.root.get_by_role("group", name="Graphs that moved most").get_by_role("button").first)
    hand.lab.eventually("explorer.pinned", first)
    hand.shows("nearer after")
    hand.use(hand.root.locator("summary").filter(has_text="The graphs that moved most"))  # closed for the next


def sort_the_table(hand):
    hand.tab("Table")
    rows = hand.root.locator("tbody tr:visible")
    rows.first.get_by_text("MOL").first.wait_for()
    arrows = hand.root.get_by_role("button", name="weight: Activate").locator("visible=true").first
    last = rows.first.get_by_text(f"MOL{1000 + N - 1}").first
    for _ in range(3):  # up, down, unsorted; the table may start with any
        hand.use(arrows)
        hand.page.wait_for_timeout(700)
        if last.count():
            return
    raise AssertionError("the table is not sorted")


def save_the_session(hand):
    hand.find("MOL1007")
    hand.tab("Select")
    name = f"by_{hand.by}.json"
    hand.write(hand.field("File of the session"), name)
    hand.use(hand.button("Save the session to"))
    hand.shows(f"Saved to {name}")
    assert json.loads((hand.lab.folder / name).read_text())["pinned"] == 7


TASKS = {
    "find a molecule by its id": find_by_id,
    "color by a column": color_by_a_column,
    "filter by a range": filter_by_a_range,
    "lasso, and add a second one": lasso_and_add_another,
    "subtract from a selection": subtract,
    "tag a selection": tag_a_selection,
    "write a note": write_a_note,
    "what sets two groups apart": what_sets_them_apart,
    "export the selection as csv": export_csv,
    "export SDF": export_sdf,
    "neighbors of a point": neighbors_of_a_point,
    "zoom to a point": zoom_to_it,
    "compare two losses: what moved most": what_moved_most,
    "sort the table": sort_the_table,
    "save the session": save_the_session,
}


@pytest.mark.browser
def test_tasks_are_done_by_mouse_and_by_keyboard(lab):
    lab.run(CELL, name="tasks")
    lab.page.wait_for_function(DRAWN, arg=2, timeout=60_000)
    lab.page.wait_for_timeout(500)
    lab.page.set_default_timeout(6_000)
    eventually, failed = lab.eventually, []
    lab.eventually = partial(eventually, seconds=6)
    try:
        for name, task in TASKS.items():
            for by in ("mouse", "keyboard"):
                lab.python(CLEAN)
                hand = Analyst(lab, by)
                if by == "keyboard":
                    lab.page.get_by_role("button", name="Walk on the map").focus()
                try:
                    task(hand)
                except Exception as error:  # the other tasks are tried, too
                    failed.append(f"{name}, by {by}: {type(error).__name__}: {str(error)[:300]}")
                    lab.screenshot(f"task_{name.replace(' ', '_')}_{by}")
    finally:
        del lab.eventually
        lab.page.set_default_timeout(30_000)
    assert not failed, "\n".join(failed)
