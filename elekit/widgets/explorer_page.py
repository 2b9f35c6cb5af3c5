"""What the page of an explorer holds, see `elekit.widgets.page`."""

import base64
from typing import Any

import numpy as np
import torch
from tqdm.auto import tqdm

from elekit.decoding.index import nearest
from elekit.draw.maps import paint
from elekit.inspect.maps import trust_words
from elekit.widgets.base import verdict
from elekit.widgets.canvas import Canvas
from elekit.widgets.explored import FOUND, NEIGHBORS, TO_PINNED, Explored, size_words
from elekit.widgets.inspector_io import Json

MOST = 50_000  # graphs
HUNDREDTHS = 100


def explorer_state(
    explored: Explored, canvas: Canvas, color_by: str, colors: str, pinned: int | None, palette: Json
) -> Json:
    """Places, drawings, colors by every column, and neighbors by the first loss."""
    n = len(explored)
    if not explored.drawn:
        raise ValueError("a page draws graphs, and these are vectors without graphs; pass the graphs to explore")
    if n > MOST:
        raise ValueError(f"a page holds at most {MOST:,} graphs, these are {n:,}; explore a part of them")
    space = explored.spaces[0]
    k = min(NEIGHBORS, n - 1)
    losses, rows = nearest(space.points, space.points, k + 1)
    own = rows == torch.arange(n)[:, None]
    own[~own.any(1), -1] = True  # many graphs at one point
    graphs = tqdm(range(n), desc="drawing", disable=n < 1_000, leave=False)
    counts = ["\n".join([size_words(line), *_own_facts(explored, line)]) for _, line in explored.table.iterrows()]
    return {
        "places": _encoded(canvas.places, "<f4"), "shape": canvas.shape,
        "names": [explored.name(row) for row in range(n)], "ids": explored.table["id"].astype(str).tolist(),
        "texts": explored.texts or [], "facts": counts, "columns": _columns(explored, colors, color_by),
        "near": _encoded(rows[~own].reshape(n, k).numpy(), "<u4"), "neighbors": k,
        "losses": _encoded(losses.clamp_min(0)[~own].reshape(n, k).numpy(), "<f4"), "unit": explored.edits[0],
        "scenes": [compact(explored.scene(row)) for row in graphs],
        "palette": palette, "color_by": color_by,
        "trust": trust_words(space.map.kept, space.map.method), "health": verdict(space.psi), "pinned": pinned,
    }  # fmt: skip


def _own_facts(explored: Explored, line: Any) -> list[str]:
    return [f"{name}: {line[name]}" for name in explored.facts]


def _columns(explored: Explored, colors: str, color_by: str) -> Json:
    """Colors by every column that does not depend on what is pinned or searched."""
    names = [name for name in dict.fromkeys([*explored.columns, color_by]) if name not in (TO_PINNED, FOUND)]
    found = {}
    for name in names:
        painted = paint(explored.column(name), ramp=colors)
        found[name] = {
            "codes": _encoded(painted.codes, "u1"), "colors": painted.colors, "legend": painted.legend(),
        }  # fmt: skip
    return found


def compact(scene: Json) -> list[list[int]]:
    """A scene as integers: nodes, positions and ring centers in hundredths of an edge, edges."""
    positions = [round(HUNDREDTHS * value) for at in scene["positions"] for value in at]
    edges = [int(value) for edge in scene["edges"] for value in edge]
    centers = [
        value for i, j, x, y in scene["centers"] for value in (i, j, round(HUNDREDTHS * x), round(HUNDREDTHS * y))
    ]
    return [scene["nodes"], positions, edges, centers]


def _encoded(values: Any, kind: str) -> str:
    return base64.b64encode(np.ascontiguousarray(values).astype(kind).tobytes()).decode()
