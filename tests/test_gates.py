"""Gates: a sound version passes, and one that is spoilt in one way is refused by the gate that names it."""

import json
import math
from dataclasses import replace

import pytest
import torch
from torch import nn

import elekit as ele
from elekit import datasets
from elekit.evaluation.conformal import Calibration
from elekit.model.artifact import Artifact
from elekit.operation import Predictor
from elekit.operation.gates import Figure, Gate, GateFile, calibration_on, check, read_gates

GATES = """
cases = 60
level = 0.8
typos = 0.02

[[gate]]
figure = "exact"
at_least = 0.6

[[gate]]
figure = "exact with typos"
at_least = 0.4

[[gate]]
figure = "coverage"
at_least = 0.7

[[gate]]
figure = "new defects"
at_most = 0
why = "what the committee has seen stays as it is"

[[gate]]
figure = "least edit cost"
at_least = 0.1

[[gate]]
figure = "edit cost of relabel C to N"
at_least = 0.2
at_most = 4

[[gate]]
figure = "rank correlation"
at_least = 0.9

[[gate]]
figure = "times slower"
at_most = 3
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("gates") / "gates.toml"
    path.write_text(GATES)
    return read_gates(path)


@pytest.fixture(scope="module")
def data():
    return datasets.load("molecules7", inputs="description")


@pytest.fixture(scope="module")
def operating(data):
    artifact = ele.load("molecules7")
    predictor = Predictor(
        artifact, surrogate="description", candidates=data.train.graphs[:2_000], settings={"beam": 1}
    )
    pairs = data.validation.sample(80, 1)
    return carrying(predictor, calibration_on(predictor, pairs, 0.8))


def carrying(predictor, calibration=None, settings=None):
    """A version of its own: the same loss and h with a calibration and settings."""
    old = predictor.artifact
    operation = {"settings": {"beam": 1, **(settings or {})}}
    held = calibration or ele.operation.predictor.stored_calibration(old)
    if held is not None:
        operation["calibration"] = held.to_json()
    artifact = Artifact(old.name, old.psi, dict(old.surrogates), {**old.about, "operation": operation})
    return Predictor(artifact, surrogate=predictor.name, candidates=predictor.candidates)


class Changed(nn.Module):
    """psi after a change of its points or of the graphs that it sees."""

    def __init__(self, psi, before=lambda graph: graph, after=lambda points: points):
        super().__init__()
        self.own, self._before, self._after = psi, before, after
        for name in ("vocabulary", "config", "typical", "prior", "health"):
            setattr(self, name, getattr(psi, name))

    def forward(self, graphs):
        return torch.nn.functional.normalize(self._after(self.own(self._before(graphs))), dim=-1)

    def embed(self, graphs, **options):
        with torch.no_grad():
            return torch.cat([self(graphs[i : i + 500]) for i in range(0, len(graphs), 500)])


def with_psi(predictor, **change):
    old = predictor.artifact
    artifact = Artifact(old.name, Changed(old.psi, **change), dict(old.surrogates), old.about)
    return Predictor(artifact, surrogate=predictor.name, candidates=predictor.candidates.graphs)


def with_h(predictor, change):
    """The same version with another h: its points are changed."""
    old = predictor.artifact
    h = ele.load("molecules7").surrogates[predictor.name]
    whole = h._point
    h._point = lambda inputs: torch.nn.functional.normalize(change(whole(inputs), inputs), dim=-1)
    return Predictor(
        Artifact(old.name, old.psi, {predictor.name: h}, old.about),
        surrogate=predictor.name,
        candidates=predictor.candidates,
    )


def merged(first, second):
    """Graphs in which one node label reads as another."""

    def change(graphs):
        graphs = graphs.dense()
        nodes = graphs.nodes.clone()
        names = graphs.vocabulary.node_labels
        i, j = names.index(first) + 1, names.index(second) + 1
        nodes[..., i] += nodes[..., j]
        nodes[..., j] = 0
        return replace(graphs, nodes=nodes)

    return change


def spoilt(predictor, kind):
    generator = torch.Generator().manual_seed(0)
    D = predictor.artifact.psi.config.dim
    noise = torch.randn(D, generator=generator) / D**0.5
    match kind:
        case "exact":  # h is off by a constant
            return with_h(predictor, lambda points, _: points + 4 * noise)
        case "exact with typos":  # h of texts with an unknown word points elsewhere
            known = set(predictor.h.reader.tokens)
            strange = lambda text: bool(set(predictor.h.reader._tokenizer.split(text)) - known)  # noqa: E731

            def lost(points, inputs):
                off = torch.tensor([strange(text) for text in inputs], dtype=torch.float)[:, None]
                return points + 5 * off * noise

            changed = with_h(predictor, lost)
            changed.h.reader = replace(changed.h.reader, spelling=False)
            return changed
        case "coverage":  # the calibration of an h that was more certain
            held = ele.operation.predictor.stored_calibration(predictor.artifact)
            return carrying(predictor, Calibration(held.level, held.radius / 40, held.pairs))
        case "least edit cost":  # blind to fluorine
            return with_psi(predictor, before=merged("O", "F"))
        case "times slower":
            return carrying(predictor, settings={"beam": 24, "search_starts": 24, "rounds": 30, "patience": 10})
        case "rank correlation":  # one direction counts more than all others
            weight = torch.ones(D)
            weight[torch.randperm(D, generator=generator)[: D // 64]] = 12.0
            return with_psi(predictor, after=lambda points: points * weight)
        case "new defects":  # all graphs near one point
            return with_psi(predictor, after=lambda points: points + 30 * noise)
        case "edit cost of relabel C to N":  # nitrogen counts for next to nothing else

            def heavier(points):
                return points

            axis = torch.nn.functional.normalize(noise, dim=0)

            class Nitrogen(Changed):
                def forward(self, graphs):
                    count = graphs.dense().nodes[..., graphs.vocabulary.node_labels.index("N") + 1].sum(-1)
                    return torch.nn.functional.normalize(
                        super().forward(graphs) + 3.0 * count[:, None] * axis, dim=-1
                    )

            old = predictor.artifact
            artifact = Artifact(old.name, Nitrogen(old.psi), dict(old.surrogates), old.about)
            return Predictor(artifact, surrogate=predictor.name, candidates=predictor.candidates.graphs)
    raise AssertionError(kind)


KINDS = (
    "exact", "exact with typos", "coverage", "least edit cost", "times slower", "rank correlation", "new defects",
    "edit cost of relabel C to N",
)  # fmt: skip


def test_a_sound_version_passes(operating, data, file):
    report = check(carrying(operating), data, file, operating=operating)
    assert report.passed, "\n".join(report.lines())
    assert all(line.startswith("met") for line in report.lines())
    stored = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert stored["passed"] and stored["file"] == file.sha256 and len(stored["results"]) == len(file.gates)


@pytest.mark.parametrize("kind", KINDS)
def test_a_version_that_is_spoilt_in_one_way_is_refused_by_the_gate_that_names_it(operating, data, file, kind):
    """Other gates may refuse it, too; alone, each of the others is left out to keep this fast."""
    one = replace(file, gates=tuple(gate for gate in file.gates if gate.figure == kind))
    report = check(spoilt(operating, kind), data, one, operating=operating)
    assert report.failed == [kind], "\n".join(report.lines())
    assert report.lines()[0].startswith("FAILED")


def test_without_a_version_in_operation_comparisons_do_not_apply(operating, data, file):
    names = ("new defects", "rank correlation", "times slower")
    some = replace(file, gates=tuple(gate for gate in file.gates if gate.figure in names))
    report = check(operating, data, some)
    assert report.passed and all("no version in operation" in line for line in report.lines())


def test_a_version_with_another_vocabulary_is_refused(operating, data, file):
    other = Predictor(ele.load("qm9"))
    with pytest.raises(
        ValueError, match="another vocabulary than the one in operation .*needs a registry of its own"
    ):
        check(other, data, file, operating=operating)
    with pytest.raises(ValueError, match="have other labels than the version"):
        check(other, data, file)


def test_what_cannot_be_measured_is_not_met(operating, data):
    file = GateFile((Gate("edit cost of relabel X to Y", at_most=9),), cases=30)
    report = check(operating, data, file)
    assert not report.passed and "these graphs have no edit 'relabel X to Y'; near are" in report.lines()[0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "lacks gate"), ("[[gate]]\n", "lacks figure"), ('[[gate]]\nfigure = "exact"\n', "has no bound"),
        ('[[gate]]\nfigure = "exakt"\nat_least = 1\n', "near are 'exact'"),
        ('[[gate]]\nfigure = "exact"\nat_leest = 1\n', "gate 1 has an unknown key 'at_leest'; did you mean 'at_least'"),
        ('casses = 3\n[[gate]]\nfigure = "exact"\nat_least = 1\n', "unknown key 'casses'; did you mean 'cases'"),
        ('[[gate]]\nfigure = "exact"\nat_least = 1\nat_most = 0\n', "accepts nothing"),
        ('[[gate]]\nfigure = "exact"\nat_least = "much"\n', "must be a number"),
        ('[[gate]]\nfigure = "exact"\nat_least = 1\n' * 2, "several gates"), ("[[gate", "gates.toml"),
        ("cases = 1\n[[gate]]\nfigure = 'exact'\nat_least = 1", "cases must be a whole number from 20"),
    ],
)  # fmt: skip
def test_gate_files_that_are_none(tmp_path, text, words):
    path = tmp_path / "gates.toml"
    path.write_text(text)
    with pytest.raises(ValueError) as error:
        read_gates(path)
    assert words in str(error.value) and str(path) in str(error.value), error.value


def test_bounds():
    gate = Gate("exact", at_least=0.8, certain=True)
    assert gate.accepts(Figure(0.9, 0.85, 0.95)) and not gate.accepts(Figure(0.9, 0.75, 0.95))
    assert replace(gate, certain=False).accepts(Figure(0.9, 0.75, 0.95))
    assert not gate.accepts(Figure(math.nan)) and gate.accepts(Figure(math.nan, applies=False))
    assert gate.accepts(Figure(0.8)) and not Gate("defects", at_most=0).accepts(Figure(1.0))
