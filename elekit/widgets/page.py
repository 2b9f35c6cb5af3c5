"""Widgets as HTML pages: one file, no kernel, no network, nothing that the data could smuggle in."""

import base64
import hashlib
import json
import math
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from elekit.datasets.files import write_atomically
from elekit.widgets import bundle
from elekit.widgets.inspection import Inspection
from elekit.widgets.inspector_io import Json

APPLIED = 6  # edits at each end of the price list that can be applied in a page
CHANGING = ("scene", "table", "heat", "loss", "neighbors", "separations", "shares")  # traits that differ by step
FIXED = (
    "palette", "anchor_scene", "anchor_name", "context", "map_note", "view", "valid_only", "picked", "molecular",
    "unit", "unit_words",
)  # fmt: skip
SHEETS = ("explorer.css", "stepper.css", "inspector.css", "page.css")


def save(path: str | Path, kind: str, state: Json, title: str) -> Path:
    """Write a page with one widget; an older file stays until the new one is on disk."""
    text = page(kind, state, title)
    write_atomically(path, lambda partial: partial.write_text(text, encoding="utf-8"))
    return Path(path)


def page(kind: str, state: Json, title: str) -> str:
    """The page of an "explorer", "stepper" or "inspector" with this state.

    Its policy allows its own script and no request.
    """
    script = bundle.script(bundle.STATIC / "page.js")
    if "</script" in script.lower() or "<!--" in script:
        raise AssertionError("the script of the page would end its script element")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{escape(policy, quote=True)}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title><style>{bundle.style(*SHEETS)}</style></head>",
            f'<body><h1>{escape(title)}</h1><div id="widget" data-kind="{kind}"></div>',
            f'<script type="application/json" id="state">{script_json(state)}</script>',
            f'<script type="module">{script}</script></body></html>\n',
        ]
    )


def script_json(value: Any) -> str:
    """JSON that cannot end the script element around it, nor be read as markup in any other way."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def plain_values(value: Any) -> Any:
    """The same as plain Python values: floats in six digits, None for NaN and infinity."""
    if isinstance(value, dict):
        return {str(k): plain_values(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [plain_values(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value


# -- inspector and stepper -----------------------------------------------------------------------------------------
def inspector_state(shown: Inspection, applied: int = APPLIED, **fixed: Any) -> Json:
    """An inspector, with the graph shown and what a few edits make of it.

    fixed: traits that do not change. states: the graph and its edited ones, each with its traits, its place on
    the map, its description, and next: {row of the table: number of the state that its edit leads to}.
    """
    start, states = shown.at, [_inspected(shown)]
    priced = shown.scan.table
    order = priced[priced["valid"] & priced["connected"]].sort_values("price", kind="stable").index.tolist()
    anchor, steps = shown.path["anchor"], shown._visits  # put back in the end
    for row in dict.fromkeys([*order[:applied], *order[-applied:]]):
        shown.apply(row)
        states[0]["next"][str(row)] = len(states)
        states.append(_inspected(shown))
        shown.at = start
    shown._visits = steps
    shown._arrive()
    known = {trait: getattr(shown, trait) for trait in FIXED} | {"molecular": False} | fixed
    return plain_values({"fixed": known, "states": states, "anchor": anchor})


def _inspected(shown: Inspection) -> Json:
    """The step that is shown, with all that is computed on demand."""
    shown.compute_shares()
    shown.compute_separations()
    state = {trait: getattr(shown, trait) for trait in CHANGING}
    return {**state, "place": shown.path["places"][shown.at], "words": shown.steps[shown.at], "next": {}}


def stepper_page_state(state: Json) -> Json:
    """A stepper, from `elekit.widgets.stepper_state.stepper_state`."""
    used = {"step": 0, "playing": False, "speed": 4.0, "show": "gradient", "problem": ""}
    numbers = base64.b64encode(bytes(state["numbers"])).decode()
    return {**plain_values(used | state | {"numbers": None}), "numbers": numbers}
