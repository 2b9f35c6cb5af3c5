"""Questions about one learned loss, answered as arrays and DataFrames; nothing here draws.

edit_scan                the price of every single edit of a graph
edit_costs               the price of each kind of edit over many graphs
sample_edits             the same edits for several losses
shapley_values           which nodes and edges bring two graphs together, and which keep them apart
contrast                 which nodes and edges make a graph more like some graphs than like others
faithfulness             whether Shapley values find the parts that matter
neighbors                the nearest graphs on the sphere
separating_edits         the edits that turn a graph into others
counterfactuals          the smallest edit after which the loss prefers another answer
analogies                other pairs of graphs with the same difference
descent_directions       what the gradient would change at each step of a decoding run
uniformity, alignment    whether points fill the sphere, and whether views of a graph coincide
fit_map                  a map of the sphere; `maps` stores maps in files
"""

from elekit.inspect.analogies import analogies
from elekit.inspect.counterfactuals import counterfactuals
from elekit.inspect.descent_directions import descent_directions
from elekit.inspect.edit_costs import edit_costs, sample_edits
from elekit.inspect.edit_scan import edit_scan
from elekit.inspect.faithfulness import faithfulness
from elekit.inspect.maps import fit_map
from elekit.inspect.neighbors import neighbors, separating_edits
from elekit.inspect.shapley import contrast, shapley_values
from elekit.inspect.uniformity import alignment, uniformity

__all__ = [
    "alignment", "analogies", "contrast", "counterfactuals", "descent_directions",
    "edit_costs", "edit_scan", "faithfulness", "fit_map", "neighbors", "sample_edits",
    "separating_edits", "shapley_values", "uniformity",
]  # fmt: skip
