"""Hashes of the packages that `make env` installs, whose versions stand in constraints.txt.

`python .ci/lock.py` asks the package index for the hashes of all files of these versions, for all systems, and writes
.ci/hashes.txt; run it after a change of constraints.txt or pyproject.toml. It needs uv (`pip install uv`).
`python .ci/lock.py --print [NAME ...]` prints versions and hashes as requirements for `pip install --require-hashes`.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HASHES = ROOT / ".ci" / "hashes.txt"
EXTRAS = ("lab", "bench", "serve", "scale", "dev")  # what `make env` installs
CUDA = re.compile(r"(nvidia|cuda)-.*|triton")  # torch for a GPU names them and their versions itself


def normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pins() -> dict[str, str]:
    """Versions of constraints.txt by normalized name."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pairs = [line.split("==") for line in lines if "==" in line and not line.startswith("#")]
    return {normalized(name): version for name, version in pairs}


def hashes() -> dict[str, list[str]]:
    """Hashes of all files by name of the package."""
    found: dict[str, list[str]] = {}
    for line in HASHES.read_text().splitlines():
        name, sha256 = line.split()
        found.setdefault(name, []).append(sha256)
    return found


def compiled(*arguments: str) -> str:
    """Requirements that uv resolves for Python 3.11.2 (Debian 12's), from the default index alone."""
    options = ("--quiet", "--no-header", "--no-annotate", "--no-config", "--python-version", "3.11.2")
    command = (sys.executable, "-m", "uv", "pip", "compile", *options, *arguments)
    return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout


def names(requirements: str) -> set[str]:
    found = {normalized(line.split("==")[0]) for line in requirements.splitlines() if "==" in line}
    return {name for name in found if not CUDA.fullmatch(name)}


def write() -> None:
    """Write the hashes; exits if a package of any extra is not pinned."""
    known = pins()
    resolve = ("pyproject.toml", "--constraint", "constraints.txt")
    if missing := sorted(names(compiled(*resolve, "--all-extras")) - known.keys()):
        sys.exit(f"not in constraints.txt: {', '.join(missing)}")
    installed = names(compiled(*resolve, *(word for extra in EXTRAS for word in ("--extra", extra)))) | {"pip"}
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as listed:
        listed.write("".join(f"{name}=={known[name]}\n" for name in sorted(installed)))
        listed.flush()
        locked = compiled(listed.name, "--no-deps", "--universal", "--generate-hashes", "--allow-unsafe")
    lines, name = [], ""
    for line in locked.splitlines():
        name = normalized(line.split("==")[0]) if "==" in line else name
        lines += [f"{name} {sha256}\n" for sha256 in re.findall("sha256:([0-9a-f]{64})", line)]
    HASHES.write_text("".join(lines))


def show(chosen: list[str]) -> None:
    known = pins()
    for name, values in hashes().items():
        if not chosen or name in chosen:
            print(f"{name}=={known[name]}", *(f"--hash=sha256:{value}" for value in values))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--print"]:
        show(sys.argv[2:])
    else:
        write()
