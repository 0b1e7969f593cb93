"""Executes the notebooks on a fresh demo, as a reader would, and checks what is committed of their output.

    python3 run.py [--update] [NOTEBOOK ...]

With --update what they put out is kept in their files. It exits with 0 if all ran and all committed output is fit to be read.
"""

import argparse
import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "catalog" / "rest" / "engines"))

import install  # noqa: E402
from server import Server  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--update", action="store_true", help="keep what the notebooks put out")
    parser.add_argument("notebooks", nargs="*", type=pathlib.Path, default=sorted(HERE.glob("*.ipynb")), metavar="NOTEBOOK")
    args = parser.parse_args()
    folder = install.install("notebooks")
    with Server("demo") as server:
        environ = os.environ | {
            "HEADLESSLY_ENDPOINT": server.url,
            "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "JUPYTER_CONFIG_DIR": str(pathlib.Path(server.folder.name, "jupyter")),  # none of the user's
            "IPYTHONDIR": str(pathlib.Path(server.folder.name, "ipython")),
        }
        command = [install.python("notebooks"), HERE / "execute.py", *(["--update"] if args.update else []), *map(str, args.notebooks)]
        return subprocess.run(command, env=environ, stdin=subprocess.DEVNULL).returncode


if __name__ == "__main__":
    sys.exit(main())
