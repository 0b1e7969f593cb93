"""An engine's process, as its driver sees it."""

import json
import os
import pathlib
import selectors
import subprocess
import tempfile

import install

HERE = pathlib.Path(__file__).resolve().parent
CALL_SECONDS = 180  # for any one operation, the start of a JVM included
STOP_SECONDS = 60
NICENESS = 10  # on a small machine an engine would take the processors from the server and from those who write to it
NAMES = ("duckdb", "pyiceberg", "spark", "trino")


class Failed(Exception):
    """The engine answered with an error."""


class Engine:
    """A process that runs NAME_engine.py in the engine's environment. One call at a time."""

    def __init__(self, name):
        self.name = name
        self.shows = install.versions()[name]["shows"]
        self.log = tempfile.TemporaryFile("w+")
        environ = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")} | {"PYTHONDONTWRITEBYTECODE": "1"}
        self.process = subprocess.Popen(
            ["nice", "-n", str(NICENESS), install.python(name), HERE / f"{name}_engine.py"], env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True)
        self.answers = selectors.DefaultSelector()
        self.answers.register(self.process.stdout, selectors.EVENT_READ)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.log.close()

    def call(self, op, **args):
        """Asks for an operation, and gives its result. Failed says why there is none."""
        return self.answer_of(op, args)["result"]

    def answer_of(self, op, args):
        """As call, but gives the answer whole, with the seconds that it took."""
        self.process.stdin.write(json.dumps({"op": op, "args": args}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline() if self.answers.select(CALL_SECONDS) else ""
        if not line:
            self.process.kill()
            raise Failed(f"{op}: no answer: {self.said()}")
        answer = json.loads(line)
        if "error" in answer:
            raise Failed(f"{op}: {answer['error']}")
        return answer

    def said(self):
        """The last of what the engine wrote to standard error."""
        self.log.seek(0)
        return self.log.read()[-3000:]
