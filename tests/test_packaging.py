"""The files that install the project agree with each other."""

import re
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
PIN = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)==([0-9][A-Za-z0-9.]*)")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
LARGE = {"hf"}  # an extra that users install for themselves
MAIN = {"torch", "jupyterlab", "ipywidgets", "matplotlib", "networkx", "umap-learn", "pandas"}


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def installed():
    """The extras that `make env` and conda install; the others have a pin, but not all that they bring along."""
    return project()["optional-dependencies"].keys() - LARGE


def norm(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def constraint_lines():
    lines = (line.strip() for line in read("constraints.txt").splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def constraints():
    return {norm(name): version for name, version in map(split_pin, constraint_lines())}


def split_pin(line):
    match = PIN.fullmatch(line)
    assert match, f"not an exact pin: {line!r}"
    return match.groups()


def project():
    return tomllib.loads(read("pyproject.toml"))["project"]


def declared():
    groups = [project()["dependencies"], *project()["optional-dependencies"].values()]
    return {norm(NAME.match(requirement)[0]) for group in groups for requirement in group}


def conda_items():
    return yaml.safe_load(read("environment.yml"))["dependencies"]


def pip_items():
    (section,) = [item["pip"] for item in conda_items() if isinstance(item, dict)]
    return section


def conda_pins():
    pairs = [split_pin(item) for item in pip_items() if not item.startswith("-")]
    return {norm(name): version for name, version in pairs}


def makefile_variable(name):
    (value,) = re.findall(rf"^{name} *[:?]?= *(.*)$", read("Makefile"), re.M)
    return value


# A local version such as 2.13.0+cpu would not be found on the default index:
# the pattern of an exact pin leaves it out.
def test_constraints_are_exact_and_unique():
    names = [norm(split_pin(line)[0]) for line in constraint_lines()]
    assert len(names) > 50
    assert sorted(names) == sorted(set(names))


def test_every_dependency_is_pinned():
    assert len(declared()) > 10
    assert declared() - constraints().keys() == set()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems need further packages")
def test_every_transitive_dependency_is_pinned():
    requirements = pytest.importorskip("packaging.requirements")
    extras = project()["optional-dependencies"]
    todo = [(name, "") for name in declared() - {norm(NAME.match(one)[0]) for extra in LARGE for one in extras[extra]}]
    seen = set()
    while todo:
        name, extra = todo.pop()
        # A CUDA build of torch brings these; their versions are torch's own pins.
        if (name, extra) in seen or name.startswith(("nvidia-", "cuda-", "triton")):
            continue
        seen.add((name, extra))
        for line in metadata.requires(name) or []:
            need = requirements.Requirement(line)
            if need.marker is None or need.marker.evaluate({"extra": extra}):
                todo += [(norm(need.name), e) for e in ("", *need.extras)]
    assert len(seen) > 50
    assert {name for name, _ in seen} - constraints().keys() == set()


def test_conda_pins_equal_the_constraints():
    assert conda_pins().keys() >= MAIN
    # Names that are missing from the constraints show up as None.
    assert conda_pins() == {name: constraints().get(name) for name in conda_pins()}


def test_conda_installs_the_project_with_the_constraints():
    assert "-c constraints.txt" in pip_items()
    (line,) = [item for item in pip_items() if item.startswith("-e ")]
    extras = re.fullmatch(r"-e \.\[(.*)\]", line)[1].split(",")
    assert set(extras) == installed()


def test_make_installs_the_project_with_the_constraints():
    makefile = read("Makefile")
    assert makefile_variable("CONSTRAINTS") == "constraints.txt"
    assert '$(PIP) install -c $(CONSTRAINTS) -e ".[lab,test]"' in makefile
    assert "$(VENV)/.ready: pyproject.toml $(CONSTRAINTS)\n" in makefile
    assert {"lab", "test"} == installed()


def test_make_and_conda_take_torch_from_the_same_index():
    index = makefile_variable("TORCH_INDEX")
    assert f"--extra-index-url {index}" in pip_items()


def test_ci_runs_make_test():
    workflow = yaml.safe_load(read(".github/workflows/ci.yml"))
    steps = workflow["jobs"]["test"]["steps"]
    assert "bash .ci/run" in [step.get("run") for step in steps]
    paths = [step.get("with", {}).get("cache-dependency-path") for step in steps]
    assert "constraints.txt" in paths
    assert re.search(r"^make test\b", read(".ci/run"), re.M)


def test_readme_names_the_constraints():
    assert "constraints.txt" in read("README.md")


def test_there_is_no_second_list_of_versions():
    names = [path.name for path in ROOT.iterdir() if path.is_file()]
    lists = [name for name in names if re.match(r"(constraints|requirements).*", name)]
    assert lists == ["constraints.txt"]


def test_python_version_agrees():
    minimum = re.fullmatch(r">=(3\.\d+)", project()["requires-python"])[1]
    assert f"python={minimum}" in conda_items()
    workflow = yaml.safe_load(read(".github/workflows/ci.yml"))
    versions = [
        step["with"]["python-version"]
        for step in workflow["jobs"]["test"]["steps"]
        if "python-version" in step.get("with", {})
    ]
    assert versions == [minimum]
    assert f"version_info < ({minimum.replace('.', ', ')})" in read("Makefile")


def test_every_make_target_is_in_the_help():
    makefile = read("Makefile")
    (phony,) = re.findall(r"^\.PHONY: (.*)$", makefile, re.M)
    for target in phony.split():
        assert re.search(rf"^{target}:.*## \w", makefile, re.M), target


def test_citation():
    citation = yaml.safe_load(read("CITATION.cff"))
    assert citation["cff-version"] == "1.2.0"
    assert citation["version"] == project()["version"]
    assert citation["license"] == project()["license"]
    (paper,) = citation["references"]
    assert paper["url"] == "https://arxiv.org/abs/2411.11682"
    assert "arXiv:2411.11682" in [item["value"] for item in paper["identifiers"]]
    assert paper["year"] == 2024
    assert [a["family-names"] for a in paper["authors"]] == ["Yang", "Labeau", "d'Alché-Buc"]


def test_changelog_names_the_version():
    assert f"## [{project()['version']}]" in read("CHANGELOG.md")
