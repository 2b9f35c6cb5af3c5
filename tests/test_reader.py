"""What h does not understand is refused or marked unsure, and a molecule has one answer however it is written."""

import hashlib
import io
import json
import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

import elekit as ele
from elekit import cli
from elekit.evaluation import conformal
from elekit.evaluation.judging import decode_many, readable
from elekit.graphs.smiles import Chem, is_molecular, parse_smiles
from elekit.model.artifact import JSON_NAME, load, save
from elekit.model.surrogate import BackboneConfig
from elekit.model.surrogate.reader import (
    UNSURE_SHARE,
    SmilesReader,
    TextReader,
    ValueReader,
    holds_words,
    make_reader,
    misspell,
    reader_from_json,
)  # fmt: skip
from elekit.model.surrogate.regressor import UnfamiliarInputWarning
from elekit.training.loop import TrainerConfig

NO_MOLECULES = [
    "", " ", "not a smiles", "C1CC", "C(C", "CC)", "c1cccc1", "C=(=O)C", "F(F)F", "CC(C)(C)(C)C", "N#N#N", "[C", "C]",
    "hello", "ethanol", "123", "C%", "[Xx]", "C[", "=C", "()", "C\nC", "CCé", "CC\0C", "C$C", "[CH2]", "[O]", "C[N]", "*", "C*",
]  # fmt: skip
OTHER_MOLECULES = [
    "CC(=O)Cl", "CC(N)=S", "BrC", "CI", "CS", "[Na+].[Cl-]", "C[Si](C)C", "CP", "B(O)O", "[Fe]", "[2H]S[2H]", "Clc1ccccc1",
    "CCCCCCCCCC", "c1ccc2ccccc2c1", "OC(=O)CCCCCCCCC", "[NH3+]CCCCCCCCCC", "[CH3-2]", "[Se]",
]  # fmt: skip
STRANGE_TEXTS = [
    "", "hello", "The quick brown fox jumps over the lazy dog.", "C#CC(N)=N", "What is the answer?", "Das Molekül ist ein Ether.",
    "The molecule is a methane carrying a sulfanyl substituent.", "The molecule is a chloromethane.",
    "the the the the the", "molecule molecule molecule", "carrying a an two substituents", "The molecule contains gold.",
    "It is an alkene. The molecule is an ethene carrying", "ether an is molecule The", "12 34 56", "!!!", "a" * 2_000,
    "The moleclue is an ehtene.", "Replace the hydraulic hose on pump 3.", "<script>alert(1)</script>", "\t", "🙂",
    "The molecule is benzene with three sulfur atoms and two bromine atoms. It is an organic compound.",
]  # fmt: skip
KNOWN_TEXT = "The molecule is a methane carrying an amino substituent and an oxo substituent. It is a carboxamide."


@pytest.fixture(scope="module")
def shipped():
    return ele.load("molecules7")


@pytest.fixture(scope="module")
def descriptions():
    return ele.datasets.load("molecules7", inputs="description")


def written_ways(smiles: str, seed: int) -> list[str]:
    """A molecule in eight ways: other order, Kekule form, hydrogens, atom maps, isotopes, stereo marks, a name, all."""
    mol = Chem.MolFromSmiles(smiles)
    kekulized, mapped, heavy = Chem.Mol(mol), Chem.Mol(mol), Chem.Mol(mol)
    Chem.Kekulize(kekulized, clearAromaticFlags=True)
    for atom in mapped.GetAtoms():
        atom.SetAtomMapNum(atom.GetIdx() + 1)
    heavy.GetAtomWithIdx(0).SetIsotope(15)
    marked = next(Chem.rdmolops.AddHs(mol) for _ in (0,))
    with_hydrogens = Chem.MolToSmiles(marked)
    stereo = Chem.Mol(marked)
    for atom in stereo.GetAtoms():
        if atom.GetDegree() == 4:
            atom.SetChiralTag(Chem.ChiralType.CHI_TETRAHEDRAL_CW)
    return [
        Chem.MolToRandomSmilesVect(mol, 1, randomSeed=seed + 1)[0],
        Chem.MolToSmiles(kekulized, kekuleSmiles=True),
        with_hydrogens,
        Chem.MolToSmiles(mapped),
        Chem.MolToSmiles(heavy),
        Chem.MolToCXSmiles(stereo).partition(" ")[0],
        f"{smiles} some name",
        f"{Chem.MolToRandomSmilesVect(stereo, 1, randomSeed=seed + 2)[0]}\tname 7",
    ]


@pytest.mark.parametrize("name", ["qm9", "molecules7"])
def test_a_molecule_has_one_answer_however_it_is_written(name):
    artifact = ele.load(name)
    _, h = artifact.surrogate("smiles")
    molecules = ["CC(C)O", "OC1CC1", "c1cc[nH]c1", "CC(F)N", "C#CC(N)=N", "O=CC1CN1"]
    for seed, smiles in enumerate(molecules):
        ways = written_ways(smiles, seed)
        readings = h.read([smiles, *ways])
        assert {one.value for one in readings} == {parse_smiles(smiles).canonical}
        assert not any(one.refused or one.doubt() for one in readings)
        points = h.predict([smiles, *ways])
        assert torch.allclose(points, points[:1].expand_as(points), atol=1e-5)
    assert "atom maps" in h.read(["[CH4:1]"])[0].dropped and not h.read(["C"])[0].dropped


@pytest.mark.parametrize("name", ["qm9", "molecules7"])
def test_no_smiles_that_h_does_not_know_is_answered_as_if_it_were_known(name):
    artifact = ele.load(name)
    _, h = artifact.surrogate("smiles")
    for text in [*NO_MOLECULES, *OTHER_MOLECULES]:
        (reading,) = h.read([text])
        assert reading.doubt(), text
        if text in NO_MOLECULES:
            assert reading.refused, text
    with pytest.raises(ValueError, match=r"input 1, 'CCl'.*Cl.*2 of 3"):
        h.predict(["CC", "CCl", "C1CC"])
    with pytest.raises(ValueError, match="input 0"):
        h.graphs(["CCl"])


def test_texts_that_h_does_not_know_are_unsure(shipped):
    _, h = shipped.surrogate("description")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnfamiliarInputWarning)
        decoded = decode_many(shipped.psi, h.predict(STRANGE_TEXTS), config=ele.DecodeConfig("gradient"))
    doubts = [one.doubt(loss) for one, loss in zip(h.read(STRANGE_TEXTS), decoded.loss.tolist())]
    assert all(doubts), [text for text, doubt in zip(STRANGE_TEXTS, doubts) if not doubt]
    (sulfur,) = h.read(["The molecule is a methane carrying a sulfanyl substituent."])
    assert sulfur.unknown == ("sulfanyl",) and "sulfanyl" in sulfur.doubt()


def test_inputs_like_those_of_calibration_are_rarely_unsure(shipped, descriptions):
    _, h = shipped.surrogate("description")
    for part in (descriptions.validation, descriptions.test):  # the limits come from the first
        decoded = 2 - 2 * (h.predict(part.inputs) * shipped.psi.embed(part.graphs)).sum(1)
        unsure = np.mean([bool(one.doubt(loss)) for one, loss in zip(h.read(part.inputs), decoded.tolist())])
        sampled = 2 * (UNSURE_SHARE * (1 - UNSURE_SHARE) / len(part)) ** 0.5
        assert unsure <= UNSURE_SHARE + sampled


def test_with_typos_few_answers_are_wrong_and_not_marked(shipped, descriptions):
    """The statement of the shipped card, on another sample of other typos."""
    _, h = shipped.surrogate("description")
    test = descriptions.test.sample(150, seed=8)
    generator = torch.Generator().manual_seed(8)
    texts = [misspell(text, 0.02, generator) for text in test.inputs]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnfamiliarInputWarning)
        result = decode_many(shipped.psi, h.predict(texts), candidates=descriptions.train.graphs)
    exact = ele.evaluation.evaluate(result.graphs, test.graphs, edit_distance=False)["exact"].to_numpy()
    sure = np.array([not one.doubt(loss) for one, loss in zip(h.read(texts), result.loss.tolist())])
    assert exact.mean() > 0.6 and (~sure).mean() > 0.7 and (sure & ~exact).mean() < 0.05


def test_python_raises_or_warns(shipped):
    _, h = shipped.surrogate("description")
    with pytest.warns(UnfamiliarInputWarning, match="sulfanyl"):
        h.predict(["The molecule is a methane carrying a sulfanyl substituent."])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        h.predict([KNOWN_TEXT])


def test_typos_are_read_as_the_only_known_word_nearby_and_still_count_as_unknown():
    texts = ["a methane ring", "a methyl ring", "a propane chain", "a propene chain"]
    reader = make_reader(texts, ele.datasets.load("molecules7").vocabulary)
    assert isinstance(reader, TextReader) and reader.spelling
    for typed, read in (("mehtane", "methane"), ("metane", "methane"), ("methxane", "methane"), ("Mthyl", "methyl")):
        (reading,) = reader.read([f"a {typed} ring"])
        assert reading.value == f"a {read} ring" and reading.unknown == (typed.lower(),)
        assert reading.measures["unknown"] == pytest.approx(1 / 3) and reading.measures["unseen"] == 0
    for kept in ("propine", "rong", "pentane", "12345"):  # between two words, short, far, no word
        (reading,) = reader.read([f"a {kept} chain"])
        assert reading.value == f"a {kept} chain" and reading.unknown == (kept,) and not reading.respelled
    verbatim = make_reader(texts, ele.datasets.load("molecules7").vocabulary, "verbatim")
    assert verbatim.read(["a mehtane ring"])[0].value == "a mehtane ring"


@pytest.mark.parametrize("rate", [0.0, 0.02, 0.3])
def test_typos_are_as_frequent_as_asked(rate):
    text = "abcdefghij " * 400
    typed = misspell(text, rate, torch.Generator().manual_seed(3))
    assert typed == misspell(text, rate, torch.Generator().manual_seed(3))
    changed = sum(a != b for a, b in zip(text.split(), typed.split())) / 400
    if rate == 0:
        assert typed == text
    else:
        assert changed == pytest.approx(1 - (1 - rate) ** 10, abs=0.08)


def test_readers_survive_json():
    vocabulary = ele.datasets.load("molecules7").vocabulary
    readers = [
        make_reader(["CCO", "C#N", "c1cc[nH]c1"], vocabulary),
        make_reader(["a ring", "a path of 3"], vocabulary),
        make_reader(["ab", "zzx"], vocabulary),
        make_reader(torch.tensor([[1.0, 2.0], [3.0, 2.0]]), vocabulary),
    ]
    kinds = (SmilesReader, TextReader, TextReader, ValueReader)
    assert [type(reader) for reader in readers] == list(kinds)
    for reader in readers:
        reader = replace(reader, limits={"loss": 0.25}, calibrated_on=7)
        back = reader_from_json(json.loads(json.dumps(reader.to_json())))
        assert back.to_json() == json.loads(json.dumps(reader.to_json()))
        inputs = torch.tensor([[9.0, 2.0]]) if isinstance(reader, ValueReader) else ["CCO", "a ring", "zz"]
        first, second = reader.read(inputs), back.read(inputs)
        assert [(a.refused, a.measures, a.doubt(0.3)) for a in first] == [
            (b.refused, b.measures, b.doubt(0.3)) for b in second
        ]


def test_what_is_read_as_smiles_follows_from_the_data():
    molecules = ele.datasets.load("molecules7").vocabulary
    others = ele.graphs.GraphVocabulary(("a", "b"), ("edge",), 4)
    assert is_molecular(molecules) and not is_molecular(others)
    assert type(make_reader(["CCO", "C#N"], others)) is TextReader
    assert type(make_reader(["ethanol", "nitrile"], molecules)) is TextReader
    assert type(make_reader(["CCO", "C#N"], molecules, "verbatim")) is TextReader
    assert make_reader([("a", 1)], others) is None
    for text, words in (("CCO mol1", False), ("C\tmethane", False), ("C is methane", True), ("an ether", True)):
        assert holds_words([text, "CC"]) is words
        assert type(make_reader([text], molecules)) is (TextReader if words else SmilesReader)
    assert make_reader(["CCO", "C1CC", "CN"], molecules, "smiles").atoms == ("C", "N", "O")
    with pytest.raises(ValueError, match="none of 2 training inputs is a molecule.*C1CC"):
        make_reader(["C1CC", "hello"], molecules, "smiles")
    with pytest.raises(ValueError, match="reads must be one of"):
        make_reader(["CCO"], molecules, "words")


def test_vectors_far_from_those_of_training_are_unsure(shipped, descriptions):
    part = descriptions.train.take(range(300))
    values = torch.stack([part.graphs.dense().nodes.sum(1)[:, 0], part.graphs.dense().edges.sum((1, 2))[:, 1]], 1)
    split = replace(part, inputs=values)
    training = ele.SurrogateTraining(loop=TrainerConfig(steps=3, learning_rate=1e-3))
    h = ele.fit_surrogate(
        shipped.psi, split.take(range(200)), validation=split.take(range(200, 300)), training=training,
        backbone=BackboneConfig("vector", width=8), progress=False,
    )  # fmt: skip
    assert h.reader.calibrated_on == 100 and set(h.reader.limits) == {"deviation", "loss"}
    near, far = h.read(torch.stack([values.median(0).values, torch.tensor([1e6, 2.0])]))
    assert not near.doubt() and "standard deviations" in far.doubt()
    with pytest.raises(ValueError, match=r"inputs must be \(B, 2\), got \(1, 3\)"):
        h.read(torch.zeros(1, 3))


def test_a_smiles_reader_is_learned_kept_and_used(shipped, tmp_path):
    data = ele.datasets.load("molecules7", inputs="smiles")
    some = data.train.take(range(120))
    odd = replace(some, inputs=[f"{text} name" if i % 2 else text for i, text in enumerate(some.inputs)])
    training = ele.SurrogateTraining(loop=TrainerConfig(steps=3, learning_rate=1e-3))
    options = {"training": training, "backbone": BackboneConfig("smiles", width=8), "progress": False}
    validation = data.validation.take(range(60))
    h = ele.fit_surrogate(shipped.psi, some, validation=validation, **options)
    same = ele.fit_surrogate(shipped.psi, odd, validation=validation, reads="smiles", **options)
    for one, other in zip(h.state_dict().values(), same.state_dict().values()):
        assert torch.equal(one, other)  # the inputs are the same molecules
    assert "N" in h.reader.atoms and h.reader.max_atoms == 5 and h.reader.calibrated_on > 0
    broken = replace(some, inputs=["C1CC", *some.inputs[1:]])
    with pytest.warns(UnfamiliarInputWarning, match="1 of 120 inputs are left out.*C1CC"):
        ele.fit_surrogate(shipped.psi, broken, validation=validation, **options)
    save(ele.model.Artifact("kept", shipped.psi, {"smiles": h}), tmp_path)
    back = load(tmp_path).surrogates["smiles"]
    assert back.reader.to_json() == json.loads(json.dumps(h.reader.to_json()))
    assert back.read(["CCCl"])[0].refused == h.read(["CCCl"])[0].refused != ""


def test_an_artifact_without_a_reader_refuses_by_the_tokens_of_its_backbone(tmp_path):
    artifact = ele.load("molecules7")
    save(artifact, tmp_path)
    content = json.loads((tmp_path / JSON_NAME).read_text())
    for values in content["surrogates"].values():
        del values["reader"]
    del content["digest"]
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    (tmp_path / JSON_NAME).write_text(json.dumps({**content, "digest": digest}))
    old = load(tmp_path)
    assert old.surrogates["smiles"].read(["CCl"])[0].refused
    assert old.surrogates["description"].read(["The sulfanyl molecule"])[0].unknown == ("sulfanyl",)


def test_sets_of_inputs_unlike_the_calibration_abstain(shipped, descriptions):
    _, h = shipped.surrogate("description")
    known = descriptions.test.take(range(1, 4))
    texts = [*known.inputs[1:3], "The molecule is a methane carrying a sulfanyl substituent."]
    search = {"candidates": descriptions.train.graphs[:500]}
    calibration = conformal.Calibration(level=0.9, radius=4.0, pairs=100, unreachable=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnfamiliarInputWarning)
        target = h.predict(texts)
    sets = conformal.prediction_sets(shipped.psi, target, calibration, readings=h.read(texts), **search)
    assert sets[2].abstained and "sulfanyl" in sets[2].describe() and "90 %" in sets[2].describe()
    assert not any("unknown" in one.describe() for one in sets[:2])
    with pytest.raises(ValueError, match="one reading per target"):
        conformal.prediction_sets(shipped.psi, target, calibration, readings=h.read(texts[:1]), **search)


def test_the_stepper_says_why_an_answer_is_unsure(shipped):
    _, h = shipped.surrogate("description")
    text = "The molecule is a methane carrying a sulfanyl substituent."
    config = ele.DecodeConfig("gradient", gradient=ele.decoding.GradientConfig(iterations=3, starts=1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnfamiliarInputWarning)
        _, (trace,) = ele.decode(shipped.psi, h.predict([text]), config=config, record=True)
    widget = ele.widgets.step_through(trace, reading=h.read([text]))
    assert "sulfanyl" in widget.doubt
    drawn = [words.get_text() for words in widget.picture().findobj(lambda a: a.get_gid() == "doubt")]
    assert drawn and "Unsure" in drawn[0]
    assert ele.widgets.step_through(trace).doubt == ""


def decoded(capsys, *arguments):
    status = cli.main(["decode", "--candidates", "none", "--iterations", "3", "--starts", "1", *arguments])
    return status, *capsys.readouterr()


def test_the_command_line_refuses_and_marks(capsys):
    status, out, problem = decoded(capsys, "--artifact", "qm9", "CC(=O)Cl", "C[C@H](N)O ala", "C1CC")
    lines = out.splitlines()
    assert status == 1 and lines[0].startswith("refused") and "Cl" in lines[0] and lines[-1].startswith("refused")
    assert lines[1].startswith("CC(N)O\t") and "stereochemistry" in lines[1] and "2 of 3" in problem
    text = "The molecule is a methane carrying a sulfanyl substituent."
    status, out, problem = decoded(capsys, "--artifact", "molecules7", "--json", text)
    (answer,) = json.loads(out)["decoded"]
    assert status == 0 and "sulfanyl" in answer["unsure"] and answer["unknown"] == ["sulfanyl"] and not problem
    status, out, problem = decoded(capsys, "--artifact", "molecules7", KNOWN_TEXT)
    assert status == 0 and "unsure" not in out and not problem


def test_evaluate_counts_what_h_refuses(capsys, tmp_path):
    table = pd.DataFrame({"smiles": ["CCO", "CC#N", "CCN", "CC=O"], "text": ["OCC", "N#CC abc", "CC[NH2:1]", "CCl"]})
    table.to_csv(tmp_path / "t.csv", index=False)
    command = ["evaluate", "--artifact", "qm9", "--data", str(tmp_path / "t.csv"), "--input", "text", "--json"]
    assert cli.main([*command, "--candidates", "none", "--table", str(tmp_path / "out.csv")]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["count"] == 3 and found["exact"] == 1 and list(found["refused"].values()) == [1]
    assert found["dropped"] == {"a name after the SMILES": 1, "atom maps": 1} and found["unsure"] == 0
    assert pd.read_csv(tmp_path / "out.csv")["row"].tolist() == [0, 1, 2]


def test_pairs_with_refused_inputs_are_left_out():
    artifact = ele.load("qm9")
    _, h = artifact.surrogate()
    frame = pd.DataFrame({"smiles": ["CCO", "CC", "CN"], "x": ["CCO", "C1CC", "CCl"]})
    split = ele.datasets.from_frame(frame, smiles="smiles", input="x", fractions=(0, 0, 1)).test
    kept, readings = readable(h, split)
    assert (
        kept.inputs == ["CCO"] and len(kept.graphs) == 1 and [bool(one.refused) for one in readings].count(True) == 2
    )


def test_a_long_text_is_refused_alone_and_a_long_word_is_no_typo(shipped):
    _, h = shipped.surrogate("description")
    word, text, known = h.read(["x" * 10**6, "methane " * 20_000, KNOWN_TEXT])
    assert word.unknown == ("x" * 10**6,) and not word.respelled and len(word.doubt()) < 200
    assert "20,000 words" in text.refused and not known.doubt()
    (empty,) = h.read([" "])
    assert empty.doubt() == "it holds no words"


@pytest.mark.parametrize("kind", [iter, np.array, tuple, pd.Series, lambda texts: pd.Series(texts, index=[7, 5])])
def test_texts_are_read_from_any_iterable(kind):
    _, h = ele.load("qm9").surrogate()
    assert [one.value for one in h.read(kind(["OCC", "NC"]))] == ["CCO", "CN"]
    assert len(h.predict(kind(["OCC", "NC"]))) == 2
    with pytest.raises(ValueError, match="input 1, 'CCl': atoms unknown"):
        h.predict(kind(["CC", "CCl"]))


@pytest.mark.parametrize("inputs", [None, 3, [], pd.DataFrame({"CCO": ["CCO"]}), {"CCO"}.pop(), [None], [["CCO"]]])
def test_what_is_no_list_of_texts_is_named(inputs):
    _, h = ele.load("qm9").surrogate()
    for read in (h, h.predict):
        with pytest.raises(ValueError, match="input"):
            read(inputs)


@pytest.mark.parametrize("inputs", [torch.zeros(2), [[1, 2], [3]], [["a", "b"]], [], 3.0, "1 2"])
def test_what_are_no_vectors_is_named(inputs):
    reader = ValueReader(mean=[0.0, 0.0], scale=[1.0, 1.0])
    with pytest.raises(ValueError, match="rows of 2 numbers"):
        reader.read(inputs)


def test_vectors_that_h_cannot_compute_with_are_refused():
    reader = ValueReader(mean=[0.0, 0.0], scale=[1.0, 1.0])
    readings = reader.read(pd.DataFrame([[1, 2], [1e30, 0], [0, None], [-np.inf, 0], [1e300, 0]]))
    assert [bool(one.refused) for one in readings] == [False, True, True, True, True]
    assert "1e+30" in readings[1].refused


def test_lines_of_other_systems(monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO("\ufeffCCO\r\n\r\nCC\rCN\n", newline=""))
    quick = ["--candidates", "none", "--method", "gradient", "--iterations", "2"]
    assert cli.main(["decode", "--artifact", "qm9", "--json", *quick]) == 0
    assert [one["input"] for one in json.loads(capsys.readouterr().out)["decoded"]] == ["CCO", "CC", "CN"]


def test_hydrogens_that_stay_are_not_reported_by_rdkit(capfd):
    assert parse_smiles("[H+].C").nodes
    assert not capfd.readouterr().err


def test_an_input_of_which_nothing_is_known_is_unsure_whatever_calibration_held():
    reader = TextReader.from_texts(["a ring of 3", "a path"], "word")
    reader = reader.calibrated(reader.read(["zz yy", "xx"]))
    assert reader.limits["unknown"] == 1
    assert [bool(one.doubt()) for one in reader.read(["ww vv", "", "a ww"])] == [True, True, False]


def test_calibration_pairs_that_h_refuses_are_named(tmp_path, capsys):
    table = tmp_path / "long.csv"
    pd.DataFrame({"smiles": ["CC", "CCO", "CCN"], "description": ["a " * 6_000] * 3}).to_csv(table, index=False)
    command = ["decode", "--artifact", "molecules7", "--surrogate", "description", "--candidates", "none"]
    assert cli.main([*command, "--sets", "0.5", "--calibrate", str(table), KNOWN_TEXT]) == 1
    assert "h refuses all 3 inputs of" in (error := capsys.readouterr().err) and "6,000 words" in error


def test_a_reader_that_refuses_all_training_inputs_is_named(shipped, descriptions):
    some = descriptions.train.take(range(4))
    with pytest.raises(ValueError, match="the reader refuses all inputs"):
        ele.fit_surrogate(shipped.psi, some, reads=ele.load("qm9").surrogate()[1].reader, progress=False)
