"""Serve a notebook as a read-only dashboard: `python notebooks/dashboard [NOTEBOOK]`.

Voilà executes the notebook for each viewer in a separate kernel, which ends when the viewer leaves. Viewers can use
the widgets but cannot run code. Sources and cells tagged "lesson" are hidden. The Content-Security-Policy header of
the page blocks requests to other machines.
"""

import argparse
import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
NOTEBOOK = HERE.parent / "07_explaining_to_stakeholders.ipynb"
# Pages load everything from their own server. The JavaScript of widgets is text that is imported as a module (blob:).
POLICY = (
    "default-src 'self' data: blob:; script-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; "
    "style-src 'self' 'unsafe-inline' data:; connect-src 'self' ws: wss: data: blob:; frame-ancestors 'self'"
)
IDLE_SECONDS = 600  # a kernel without a viewer ends after this time
LESSON = "lesson"  # tag of cells for learners only


def command(notebook: Path, options: list[str]) -> list[str]:
    """The command line of Voilà for a notebook; `options` come last and override the defaults."""
    return [
        sys.executable, "-m", "voila", str(notebook),
        "--template=offline", "--theme=light",
        "--strip_sources=True", "--show_tracebacks=False",
        "--TagRemovePreprocessor.enabled=True", f"--TagRemovePreprocessor.remove_cell_tags={LESSON}",
        f"--MappingKernelManager.cull_idle_timeout={IDLE_SECONDS}", "--MappingKernelManager.cull_interval=60",
        f"--Voila.tornado_settings={{'headers': {{'Content-Security-Policy': {POLICY!r}}}}}",
        *options,
    ]  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    """Replace this process with Voilà; return 1 if the notebook does not exist."""
    parser = argparse.ArgumentParser(
        prog="python notebooks/dashboard",
        description="Serve a notebook as a read-only dashboard: viewers use its widgets and cannot run code.",
        epilog="Further options are passed to Voilà, such as --port=8866 and --no-browser.",
    )
    parser.add_argument("notebook", type=Path, nargs="?", default=NOTEBOOK, help="default: %(default)s")
    args, options = parser.parse_known_args(arguments)
    if not args.notebook.is_file():
        sys.stderr.write(f"error: no notebook at {args.notebook}\n")
        return 1
    paths = [str(HERE / "jupyter"), *filter(None, [os.environ.get("JUPYTER_PATH")])]
    os.environ["JUPYTER_PATH"] = os.pathsep.join(paths)
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # the kernels of all viewers share the cores
    voila = command(args.notebook, options)
    os.execv(voila[0], voila)  # Ctrl-C and signals reach Voilà itself


if __name__ == "__main__":
    sys.exit(main())
