"""`python notebooks/dashboard`: a notebook as a dashboard for viewers who are to look and not to change anything.

Voilà runs the notebook anew for each viewer, in a kernel of her own that ends when she leaves; her browser may move
widgets, but can run no code. Sources are not shown, nor are cells tagged "lesson". No page asks for anything from
another machine: the policy in its header forbids it.
"""

import argparse
import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
NOTEBOOK = HERE.parents[1] / "notebooks" / "07_explaining_to_stakeholders.ipynb"
# Everything a page shows comes from the server that sent it. Widgets' browser sides are modules made of text (blob:).
POLICY = (
    "default-src 'self' data: blob:; script-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; "
    "style-src 'self' 'unsafe-inline' data:; connect-src 'self' ws: wss: data: blob:; frame-ancestors 'self'"
)
IDLE = 600  # seconds without a viewer after which a kernel is ended
LESSON = "lesson"  # tag of cells that only learners need


def command(notebook: Path, more: list[str]) -> list[str]:
    """Voilà over one notebook; `more` are options of Voilà that come last, and so win."""
    return [
        sys.executable, "-m", "voila", str(notebook),
        "--template=offline", "--theme=light",
        "--strip_sources=True", "--show_tracebacks=False",
        "--TagRemovePreprocessor.enabled=True", f"--TagRemovePreprocessor.remove_cell_tags={LESSON}",
        f"--MappingKernelManager.cull_idle_timeout={IDLE}", "--MappingKernelManager.cull_interval=60",
        f"--Voila.tornado_settings={{'headers': {{'Content-Security-Policy': {POLICY!r}}}}}",
        *more,
    ]  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python notebooks/dashboard",
        description=__doc__,
        epilog="further options are Voilà's: --port, --no-browser",
    )
    parser.add_argument("notebook", type=Path, nargs="?", default=NOTEBOOK, help="default: %(default)s")
    chosen, more = parser.parse_known_args(arguments)
    if not chosen.notebook.is_file():
        sys.stderr.write(f"no notebook at {chosen.notebook}\n")
        return 1
    paths = [str(HERE / "jupyter"), *filter(None, [os.environ.get("JUPYTER_PATH")])]
    os.environ["JUPYTER_PATH"] = os.pathsep.join(paths)
    os.environ.setdefault(
        "OMP_NUM_THREADS", "1"
    )  # viewers share the cores, and threads that wait for one another are slow
    run = command(chosen.notebook, more)
    os.execv(run[0], run)  # so that Ctrl-C and signals reach Voilà itself


if __name__ == "__main__":
    sys.exit(main())
