"""Questions about a learned loss, answered as arrays and DataFrames (floor 3). Pure: nothing is drawn or shown.

    edit_scan          what does the loss make of every single edit of this graph?
    shares             which nodes and edges bring two graphs together, which keep them apart?
    contrast           which nodes and edges make a graph more like these graphs than like those?
    faithfulness       do shares find the parts that count, better than simpler methods and a random order?
    neighbours         which graphs lie nearest to this point of the sphere?
    separates          which edits turn this graph into those?
    fit_map            where do graphs lie on the sphere, on a flat map, and how far can the map be trusted?
    search             which graphs have this id, SMILES, substructure or label?
    wishes             what does the loss want to change at each step of a decoding run?
    spread, alignment  do the points of many graphs fill the sphere, and do views of one lie together?
    price_list         what does each kind of edit cost, over many graphs, and what does that depend on?
    sample_edits       the edits alone, to ask several losses the same: `sample.price_list(psi)`
    blind_spots        which different graphs does the loss hardly separate?
    separated_equals   which equal graphs does it separate?
    counterfactuals    which smallest edit makes the loss prefer another answer, or another neighbourhood?
    analogies          which other pairs are as far apart for the same reason, and does that hold everywhere?
    stability          which statements hold in all of several trainings? (`inspect.claims` makes such statements)
    across_trainings   how far do figures move from one training to the next?
    neighbours_kept    do two trainings agree on which graphs are near?
    agreement          does the loss order pairs as known distances do, and where do they disagree most?
    concepts           which properties of a graph does psi encode, and is that more than size and counts tell?
    findings.findings  what is wrong with this loss, in plain words with figures?

`map_key`, `find_map` and `keep_map` keep maps in files, since fitting one takes up to a minute.
"""

from elekit.inspect.agreement import Agreement, agreement
from elekit.inspect.analogies import Analogies, analogies
from elekit.inspect.around import neighbours, separates
from elekit.inspect.blindspots import blind_spots, separated_equals
from elekit.inspect.concepts import Concepts, concepts
from elekit.inspect.counterfactuals import Counterfactuals, counterfactuals
from elekit.inspect.faithfulness import Faithfulness, faithfulness
from elekit.inspect.maps import EmbeddingMap, find_map, fit_map, keep_map, map_key
from elekit.inspect.prices import EditSample, PriceList, price_list, sample_edits
from elekit.inspect.scan import EditScan, edit_scan
from elekit.inspect.search import search
from elekit.inspect.shares import Contrast, Shares, contrast, shares
from elekit.inspect.spread import alignment, spread
from elekit.inspect.stability import across_trainings, neighbours_kept, stability
from elekit.inspect.wishes import Wishes, wishes

__all__ = [
    "Agreement", "Analogies", "Concepts", "Contrast", "Counterfactuals", "EditSample", "EditScan",
    "EmbeddingMap", "Faithfulness", "PriceList", "Shares", "Wishes", "across_trainings", "agreement",
    "alignment", "analogies", "blind_spots", "concepts", "contrast", "counterfactuals", "edit_scan",
    "faithfulness", "find_map", "fit_map", "keep_map", "map_key", "neighbours", "neighbours_kept", "price_list",
    "sample_edits", "search", "separated_equals", "separates", "shares", "spread", "stability", "wishes",
]  # fmt: skip
