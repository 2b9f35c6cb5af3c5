"""Questions about one learned loss, answered as arrays and DataFrames; nothing here draws."""

from elekit.inspect.analogies import analogies
from elekit.inspect.counterfactuals import counterfactuals
from elekit.inspect.edit_costs import edit_costs, sample_edits
from elekit.inspect.edit_scan import edit_scan
from elekit.inspect.faithfulness import faithfulness
from elekit.inspect.maps import fit_map
from elekit.inspect.neighbors import neighbors, separating_edits
from elekit.inspect.shapley import contrast, shapley_values
from elekit.inspect.uniformity import alignment, uniformity

__all__ = [
    "alignment", "analogies", "contrast", "counterfactuals", "edit_costs", "edit_scan", "faithfulness",
    "fit_map", "neighbors", "sample_edits", "separating_edits", "shapley_values", "uniformity",
]  # fmt: skip
