"""The files that install the project agree with each other."""

import os
import re
import subprocess
import sys
import tomllib
import zipfile
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
    return {norm(NAME.match(requirement)[0]) for group in groups for requirement in group} - {"elekit"}


def brought_by(extra):
    """Packages that an extra installs, those of the extras that it includes among them."""
    names = set()
    for requirement in project()["optional-dependencies"][extra]:
        included = re.fullmatch(r"elekit\[(.*)\]", requirement)
        names |= set().union(*map(brought_by, included[1].split(","))) if included else {norm(requirement)}
    return names


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


def needed_by(names):
    """Packages that these bring along here, themselves among them; what one that is not installed brings is unknown."""
    requirements = pytest.importorskip("packaging.requirements")
    todo, seen = [(name, "") for name in names], set()
    while todo:
        name, extra = todo.pop()
        # A CUDA build of torch brings these; their versions are torch's own pins.
        if (name, extra) in seen or name.startswith(("nvidia-", "cuda-", "triton")):
            continue
        seen.add((name, extra))
        try:
            lines = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            lines = []
        for line in lines:
            need = requirements.Requirement(line)
            if need.marker is None or need.marker.evaluate({"extra": extra}):
                todo += [(norm(need.name), e) for e in ("", *need.extras)]
    return {name for name, _ in seen}


@pytest.mark.skipif(sys.platform != "linux", reason="other systems need further packages")
def test_every_transitive_dependency_is_pinned():
    found = needed_by(declared())
    assert len(found) > 50
    assert found - constraints().keys() == set()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems need further packages")
def test_make_checks_the_hashes_of_all_that_it_installs():
    """Of pip, too. The packages that Python 3.11 alone needs may be missing here."""
    lines = [line.split() for line in read(".ci/hashes.txt").splitlines()]
    hashed = {name for name, _ in lines}
    assert all(re.fullmatch("[0-9a-f]{64}", sha256) for _, sha256 in lines)
    made = needed_by(set().union(*map(brought_by, installed())) | set(map(norm, project()["dependencies"])))
    assert made - hashed == set() and "pip" in hashed
    assert hashed - constraints().keys() == set() and not hashed & {"transformers", "tokenizers"}
    commands = re.findall(r"^\t.*\$\(PIP\) (install .*)$", read("Makefile"), re.M)
    from_torch, from_list, editable = commands[-3:]
    assert "--require-hashes" in commands[0] and "--require-hashes" in from_list and "--index-url" in from_torch
    assert editable.startswith("install --no-build-isolation -c")
    printed = subprocess.run(
        [sys.executable, ROOT / ".ci" / "lock.py", "--print", "pip"], capture_output=True, text=True, check=True
    ).stdout
    assert printed.startswith(f"pip=={constraints()['pip']} --hash=sha256:") and printed.count("\n") == 1


def test_conda_pins_equal_the_constraints():
    assert conda_pins().keys() >= MAIN
    # Names that are missing from the constraints show up as None.
    assert conda_pins() == {name: constraints().get(name) for name in conda_pins()}


def test_conda_installs_the_project_with_the_constraints():
    assert "-c constraints.txt" in pip_items()
    (line,) = [item for item in pip_items() if item.startswith("-e ")]
    (made,) = re.findall(r'-e "(\.\[.*\])"', read("Makefile"))
    assert line == f"-e {made}"


def test_make_installs_the_project_with_the_constraints():
    makefile = read("Makefile")
    assert makefile_variable("CONSTRAINTS") == "constraints.txt"
    (extras,) = re.findall(r'\$\(PIP\) install .*-c \$\(CONSTRAINTS\) -e "\.\[(.*)\]"', makefile)
    assert "$(VENV)/.ready: pyproject.toml $(CONSTRAINTS) $(HASHES)\n" in makefile
    named = extras.split(",")
    assert set().union(*map(brought_by, named)) == set().union(*map(brought_by, installed()))


def test_make_and_conda_take_torch_from_the_same_index():
    index = makefile_variable("TORCH_INDEX")
    assert f"--extra-index-url {index}" in pip_items()


def test_extras_keep_the_core_light():
    assert set(project()["dependencies"]) == {
        "torch",
        "numpy",
        "networkx",
        "pandas",
        "safetensors",
        "filelock",
        "tqdm",
    }
    assert brought_by("chem") == {"rdkit", "scipy"}
    assert brought_by("chem") < brought_by("card") < brought_by("lab")
    assert not brought_by("card") & {"jupyterlab", "ipywidgets", "anywidget", "jupyter-scatter"}


def test_ci_runs_lint_and_tests():
    workflow = yaml.safe_load(read(".github/workflows/ci.yml"))
    steps = workflow["jobs"]["test"]["steps"]
    assert "bash .ci/run" in [step.get("run") for step in steps]
    paths = [step.get("with", {}).get("cache-dependency-path") for step in steps]
    assert "constraints.txt" in paths
    assert re.findall(r"^make (\w+)\b", read(".ci/run"), re.M) == ["lint", "test"]


def test_contributors_are_told_of_the_constraints():
    assert "constraints.txt" in read("CONTRIBUTING.md")


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


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built offline."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    return path


@pytest.mark.wheel
def test_the_wheel_holds_the_package_and_the_shipped_data(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    tracked = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "elekit", "data"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    files = {name for name in tracked.stdout.splitlines() if (ROOT / name).exists()}
    shipped = {
        name
        for name in files
        if name.startswith("data/") and not name.startswith(("data/README.md", "data/build/", "data/results/"))
    }
    assert len(shipped) > 20
    expected = (files - {name for name in files if name.startswith("data/")}) | {
        f"elekit/_{name}" for name in shipped
    }
    assert {name for name in names if ".dist-info/" not in name} == expected
    assert "elekit/py.typed" in names


OUTSIDE = """
import elekit, sys
from elekit.datasets.files import SHIPPED
artifact, data = elekit.load("molecules7"), elekit.datasets.load("molecules7")
some = data.test.take(range(2))
_, h = artifact.surrogate("description")
graphs, _ = elekit.decode(artifact.psi, h.predict(some.inputs), candidates=data.train.graphs)
print(elekit.__file__, SHIPPED, len(elekit.evaluate(graphs, some.graphs)))
"""


@pytest.mark.wheel
def test_an_unpacked_wheel_works_outside_the_checkout(wheel, tmp_path):
    """Loads the shipped model and data, decodes, and writes nothing beside the package."""
    site, elsewhere = tmp_path / "site", tmp_path / "elsewhere"
    zipfile.ZipFile(wheel).extractall(site)
    elsewhere.mkdir()
    before = {path: path.stat().st_mtime_ns for path in site.rglob("*")}
    env = os.environ | {"PYTHONPATH": str(site), "PYTHONDONTWRITEBYTECODE": "1"}
    ran = subprocess.run([sys.executable, "-c", OUTSIDE], cwd=elsewhere, env=env, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split() == [str(site / "elekit" / "__init__.py"), str(site / "elekit" / "_data"), "2"]
    assert {path: path.stat().st_mtime_ns for path in site.rglob("*")} == before
