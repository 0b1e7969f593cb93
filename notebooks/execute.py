"""The part of run.py that needs Jupyter: python execute.py [--update] NOTEBOOK ..."""

import json
import os
import pathlib
import sys
import time

import nbclient
import nbformat

CELL_SECONDS = 180
MOST_BYTES = 200_000  # of a notebook with its output
FOREIGN = (os.environ["HEADLESSLY_ENDPOINT"], str(pathlib.Path.home()) + "/", "/tmp/")  # no output may show where it was made


def execute(path):
    """Runs a notebook in an empty kernel and gives it with its output. nbclient raises what a cell raises."""
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    nbclient.NotebookClient(notebook, timeout=CELL_SECONDS, kernel_name="python3", record_timing=False).execute()
    for cell in notebook.cells:
        if cell.cell_type == "code":  # what libraries say on standard error is about this run, not about the reader's
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    notebook.metadata = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}, "language_info": {"name": "python"}}
    return notebook


def faults(notebook):
    """What makes a notebook unfit to be read."""
    text = nbformat.writes(notebook)
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    if not any("image/png" in output.get("data", {}) for output in outputs):
        yield "it shows no plot"
    if any(output.output_type == "error" for output in outputs):
        yield "it shows an error"
    if len(text) > MOST_BYTES:
        yield f"it has {len(text)} bytes, more than {MOST_BYTES}"
    for word in FOREIGN:
        if word in json.dumps(outputs):
            yield f"its output shows {word}"


def main(arguments):
    update, bad = "--update" in arguments, 0
    for path in map(pathlib.Path, (name for name in arguments if name != "--update")):
        start = time.monotonic()
        found = []
        try:
            notebook = execute(path)
            if update:
                nbformat.write(notebook, path)
            found = [*faults(notebook), *(f"as committed, {fault}" for fault in faults(nbformat.read(path, as_version=4)))]
        except nbclient.exceptions.CellExecutionError as error:
            found = [str(error)]
        bad += len(found)
        print(f"{path.name:22} {time.monotonic() - start:6.1f} s  {'; '.join(found) or 'ok'}", flush=True)
    print(f"falls short: {bad} faults" if bad else "held: all notebooks run, and what they show is small and whole")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
