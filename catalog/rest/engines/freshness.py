"""How soon an engine sees a write: from the moment a request is sent to the end of the query that shows it.

    python3 freshness.py [--for SECONDS] ENGINE

The server takes writes in an open loop while the engine asks again and again, through the catalog, for the latest sequence
number of the tenant: half the time in the table contact, half in events. It exits with 0 if both hold the bar, else with 1.
"""

import argparse
import bisect
import sys
import time

import install
from engine import NAMES, Engine
from server import Server, Writer, Writes, create

RATE = 100  # writes a second
SECONDS = 60
WARM_SECONDS = 10  # before anything counts: the engine has planned and read its first queries by then
LAST_SECONDS = 30  # after which a write that no query has shown is lost
BAR_SECONDS = {"spark": 3.0}  # p99
BAR_DEFAULT_SECONDS = 2.0
TENANT = "fresh"
SEQ = {"contact": "_seq", "events": "seq"}


def measure(server, engine, table, seconds):
    """The delays of all writes of a stretch of time, in order of size, and the seconds of each query."""
    writes, sights, queries = Writes(), [], []

    def look():
        answer = engine.answer_of("newest", {"table": f"headlessly.{table}", "tenant": TENANT, "column": SEQ[table]})
        before = sights[-1][0] if sights else 0
        sights.append((max(before, answer["result"] or 0), time.monotonic()))  # a deletion takes a row's number away again
        queries.append(answer["seconds"])

    with Writer(server, writes, [TENANT], RATE) as writer:
        start = time.monotonic()
        while time.monotonic() < start + WARM_SECONDS + seconds and not writer.stopping.is_set():
            look()
    _, last = create(server, TENANT, {"name": "The last"})  # so that a row bears the last number
    end = time.monotonic() + LAST_SECONDS
    while sights[-1][0] < last and time.monotonic() < end:
        look()
    if sights[-1][0] < last:
        raise RuntimeError(f"{table} shows {sights[-1][0]}, not {last}, after {LAST_SECONDS} s")
    delays = []
    for _, _, seq, _, sent in writes.entries:
        if sent >= start + WARM_SECONDS:
            delays.append(sights[bisect.bisect_left(sights, (seq, 0.0))][1] - sent)
    return sorted(delays), sorted(queries)


def quantile(values, q):
    return values[min(len(values) - 1, int(q * len(values)))]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--for", type=float, default=SECONDS, dest="seconds", help="seconds of measuring, for both tables together")
    parser.add_argument("engine", metavar="ENGINE", choices=NAMES, help=" ".join(NAMES))
    args = parser.parse_args()
    install.install(args.engine)
    bar, held = BAR_SECONDS.get(args.engine, BAR_DEFAULT_SECONDS), True
    with Server("serve") as server, Engine(args.engine) as engine:
        engine.call("connect", uri=server.catalog)
        print(f"freshness through {engine.shows}: {RATE} writes/s, from POST to the end of the query that shows it")
        print(f"{'table':10} {'writes':>8} {'p50 s':>8} {'p99 s':>8} {'max s':>8} {'queries':>8} {'their p50 s':>12}")
        for table in SEQ:
            delays, queries = measure(server, engine, table, args.seconds / len(SEQ))
            p99 = quantile(delays, 0.99)
            held = held and p99 <= bar
            print(f"{table:10} {len(delays):8} {quantile(delays, 0.5):8.2f} {p99:8.2f} {delays[-1]:8.2f} {len(queries):8} {quantile(queries, 0.5):12.3f}", flush=True)
    print(f"{'held' if held else 'falls short'}: p99 ≤ {bar:.0f} s in both tables")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
