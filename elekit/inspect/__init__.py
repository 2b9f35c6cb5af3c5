"""Questions about a learned loss, answered as arrays and DataFrames Nothing here draws.

    edit_scan          what does the loss make of every single edit of this graph?
    shapley_values             which nodes and edges bring two graphs together, which keep them apart?
    contrast           which nodes and edges make a graph more like these graphs than like those?
    faithfulness       do shares find the parts that count, better than simpler methods and a random order?
    neighbors         which graphs lie nearest to this point of the sphere?
    separating_edits          which edits turn this graph into those?
    fit_map            where do graphs lie on the sphere, on a flat map, and how far can the map be trusted?
    search             which graphs have this id, SMILES, substructure or label?
    descent_directions             what does the loss want to change at each step of a decoding run?
    uniformity, alignment  do the points of many graphs fill the sphere, and do views of one lie together?
    edit_costs         what does each kind of edit cost, over many graphs, and what does that depend on?
    sample_edits       the edits alone, to ask several losses the same: `sample.edit_costs(psi)`
    counterfactuals    which smallest edit makes the loss prefer another answer, or another neighborhood?
    analogies          which other pairs are as far apart for the same reason, and does that hold everywhere?

`map_key`, `find_map` and `keep_map` keep maps in files, since fitting one takes up to a minute.
"""

from elekit.inspect.analogies import Analogies, analogies
from elekit.inspect.counterfactuals import Counterfactuals, counterfactuals
from elekit.inspect.descent_directions import Wishes, descent_directions
from elekit.inspect.edit_costs import EditCosts, EditSample, edit_costs, sample_edits
from elekit.inspect.edit_scan import EditScan, edit_scan
from elekit.inspect.faithfulness import Faithfulness, faithfulness
from elekit.inspect.maps import EmbeddingMap, find_map, fit_map, keep_map, map_key
from elekit.inspect.neighbors import neighbors, separating_edits
from elekit.inspect.search import search
from elekit.inspect.shapley import Contrast, Shares, contrast, shapley_values
from elekit.inspect.uniformity import alignment, uniformity

__all__ = [
    "Analogies",
    "Contrast",
    "Counterfactuals",
    "EditCosts",
    "EditSample",
    "EditScan",
    "EmbeddingMap",
    "Faithfulness",
    "Shares",
    "Wishes",
    "alignment",
    "analogies",
    "contrast",
    "counterfactuals",
    "descent_directions",
    "edit_costs",
    "edit_scan",
    "faithfulness",
    "find_map",
    "fit_map",
    "keep_map",
    "map_key",
    "neighbors",
    "sample_edits",
    "search",
    "separating_edits",
    "shapley_values",
    "uniformity",
]
