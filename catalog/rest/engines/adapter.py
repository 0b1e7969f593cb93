"""What every engine's process shares: it reads one request a line from standard input and answers each with a line.

    {"op": "count", "args": {"table": "headlessly.deal"}}   →   {"result": 8800, "seconds": 0.02}   or   {"error": "…"}

An engine is a class whose methods are the operations; matrix.py says what each must give. It runs in the environment of
its engine, without the standard output, which is the driver's: what it prints goes to standard error.
"""

import hashlib
import json
import sys
import time
import traceback


def digest(rows):
    """Rows of text and whole numbers, in any order, as their number and a hash that equal rows share."""
    lines = sorted("\t".join(map(str, row)) for row in rows)
    return {"rows": len(lines), "digest": hashlib.sha256("\n".join(lines).encode()).hexdigest()}


def like(tenants):
    """A SQL condition for the tenants whose name begins so."""
    return f"tenant LIKE '{tenants}%'"


def day_of(tenant, day, following):
    """A SQL condition for one tenant's events of a UTC day. Sessions are in UTC."""
    return f"tenant = '{tenant}' AND timestamp >= TIMESTAMP '{day} 00:00:00{{zone}}' AND timestamp < TIMESTAMP '{following} 00:00:00{{zone}}'"


def serve(engine):
    """Answers requests with an engine's methods until standard input ends."""
    answers = sys.stdout
    sys.stdout = sys.stderr
    for line in sys.stdin:
        request = json.loads(line)
        start = time.monotonic()
        try:
            answer = {"result": getattr(engine, request["op"])(**request.get("args", {}))}
        except Exception as error:  # any: the driver decides what it means
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}"[:2000]}
        answer["seconds"] = time.monotonic() - start
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
    close = getattr(engine, "close", None)
    if close:
        close()
