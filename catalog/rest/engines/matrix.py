"""The engine matrix: what every engine must be able to do with a running server, tried with the engines themselves.

    python3 matrix.py [--short] [ENGINE ...]

It serves the demo, writes known data over HTTP, and asks every engine in its own process for the same operations. What an
engine reads is held against what was acknowledged, never against what another engine reads. It prints a table of engines
and operations with their versions, and exits with 0 if all that an engine can do is right, else with 1.
"""

import argparse
import contextlib
import csv
import dataclasses
import io
import sys
import time

import install
from adapter import digest
from engine import NAMES, Engine, Failed
from server import Server, Writer, Writes, create, current, delete, update

LIVE_SECONDS = 180  # of reading under writes, for each engine
SHORT_SECONDS = 20
LIVE_RATE = 500  # writes a second
LIVE_SHARE = 0.95  # of that rate, which the server must take for the run to count; a short run does not judge it
LARGE_ROWS = 40_000  # more than a table that is always written anew may have: changes to it become position deletes
LARGE_CHANGED = 2_000  # of these, that a writer may change while an engine reads
IMPORT_ROWS = 10_000  # the most that are imported before the answer
TAG = "matrix"
LAB_ROWS = 100  # rows of each append

ROWS = {"contact": ["tenant", "id", "_seq"], "events": ["tenant", "target", "seq"]}
HISTORY = ["id", "_version", "_seq", "name", "stage", "_verb", "_deleted"]
EVOLVED = [["id", "city", "title", "score"], [1, None, "one", 10], [2, "Oslo", "two", 1 << 40]]

# What an engine cannot do yet, and why: not red, but said.
UNABLE = {
    ("duckdb", "tag"): "its AT takes numbers of snapshots, no names",
    ("duckdb", "history"): "its iceberg extension has no views; the SQL door has them",
    ("pyiceberg", "history"): "it does not read views; the SQL door has them",
    ("trino", "lab"): "it wants a new table's folder empty, and DuckDB wants metadata/ in it; it reads what others made",
    ("trino", "folder"): "it opens tables through a catalog only",
}


class Wrong(Exception):
    """An engine's answer is not what was written."""


def same(what, got, want):
    if got != want:
        raise Wrong(f"{what}: got {str(got)[:300]}, want {str(want)[:300]}")


class Fixture:
    """What is on the server, by the acknowledgements of the writes that brought it there."""

    def __init__(self, server):
        self.server = server
        self.writes = Writes()  # of the tenants known, large and live-0 …
        self.write_known()
        self.write_large()
        self.settle()

    def write_known(self):
        """Contacts of the tenant known, with a tag upon a state that is past."""
        s, tenant = self.server, "known"
        ids = []
        for i in range(50):
            id, seq = create(s, tenant, {"name": f"Contact {i}", "email": f"c{i}@known.example"})
            self.writes.add(tenant, id, seq)
            ids.append(id)
        self.tagged, metadata = s.published("contact", tenant, seq)
        s.send("POST", "/iceberg/v1/namespaces/headlessly/tables/contact", {
            "identifier": {"namespace": ["headlessly"], "name": "contact"},
            "requirements": [{"type": "assert-table-uuid", "uuid": metadata["table-uuid"]}],
            "updates": [{"action": "set-snapshot-ref", "ref-name": TAG, "type": "tag", "snapshot-id": self.tagged["snapshot-id"]}],
        })
        for id in ids[:20]:
            self.writes.add(tenant, id, update(s, tenant, id, {"name": "Changed"}))
        for id in ids[40:]:
            self.writes.add(tenant, id, delete(s, tenant, id), deleted=True)

    def write_large(self):
        """Contacts of the tenant large, so many that changes become position deletes."""
        s, tenant = self.server, "large"
        for first in range(0, LARGE_ROWS, IMPORT_ROWS):
            text = io.StringIO()
            csv.writer(text).writerows([["name"], *([f"Contact {i}"] for i in range(first, first + IMPORT_ROWS))])
            s.send("POST", f"/~{tenant}/import/Contact", text.getvalue(), "text/csv")
        rows = s.sql(tenant, "SELECT target, seq FROM events")
        same("imported rows", len(rows), LARGE_ROWS)
        for id, seq in rows:
            self.writes.add(tenant, id, seq)
        s.published("contact", tenant, max(seq for _, seq in rows))
        for id, _ in rows[:400:2]:
            self.writes.add(tenant, id, update(s, tenant, id, {"name": "Changed"}))
        for id, _ in rows[1:400:4]:
            seq = delete(s, tenant, id)
            self.writes.add(tenant, id, seq, deleted=True)
        snapshot, _ = s.published("contact", tenant, seq)
        if int(snapshot["summary"]["total-position-deletes"]) == 0:
            raise Wrong("the fixture has no position deletes")
        self.large = [(tenant, id) for id, _ in rows[400:]]  # untouched so far

    def take_large(self):
        """Contacts of the tenant large for one writer to change."""
        taken, self.large = self.large[:LARGE_CHANGED], self.large[LARGE_CHANGED:]
        return taken

    def settle(self):
        """Waits until all that was written is in the tables."""
        last = {}
        for tenant, _, seq, _, _ in self.writes.entries:
            last[tenant] = max(seq, last.get(tenant, 0))
        for tenant, seq in last.items():
            for table in ROWS:
                self.server.published(table, tenant, seq)

    def expected(self, table, tenants, seqs):
        """The rows of ROWS that a table must hold at sequence numbers, as their digest."""
        rows = self.writes.events(seqs) if table == "events" else self.writes.state(seqs)
        return digest(row for row in rows if row[0].startswith(tenants))

    def check(self, got, table, tenants, snapshot):
        """Holds what an engine read of a snapshot against the log at the snapshot's sequence numbers."""
        same(f"{table} of {tenants}", {k: got[k] for k in ("rows", "digest")}, self.expected(table, tenants, self.server.seqs(table, snapshot)))


class Trial:
    """One engine's operations. Each raises Wrong or Failed, or gives a word for the table."""

    def __init__(self, engine, fixture, live_seconds, tried):
        self.engine, self.fixture, self.server = engine, fixture, fixture.server
        self.live_seconds = live_seconds
        self.tried = tried  # lab tables written before, by any engine
        self.call = engine.call

    def connect(self):
        self.call("connect", uri=self.server.catalog)

    def list(self):
        tables = self.call("tables")
        same("tables", tables, self.server.tables())
        return len(tables)

    def load(self):
        for table in ("events", "contact", "deal"):
            metadata, got = self.server.table(table), self.call("load", table=f"headlessly.{table}")
            schema = next(s for s in metadata["schemas"] if s["schema-id"] == metadata["current-schema-id"])
            # Trino shows names in lower case; no engine minds the case.
            same("columns", [name.lower() for name in got["columns"]], [field["name"].lower() for field in schema["fields"]])
            same("snapshot", got["snapshot"], metadata["current-snapshot-id"])

    def count(self):
        for table in ("deal", "organization", "product"):
            same(table, self.call("count", table=f"headlessly.{table}"), self.server.sql("*", f"SELECT count(*) FROM {table}")[0][0])

    def filter(self):
        day, following = "2017-03-01", "2017-03-02"
        got = self.call("filter", table="headlessly.events", tenant="demo", day=day, following=following)
        (want,), = self.server.sql("demo", f"SELECT count(*) FROM events WHERE timestamp >= '{day}' AND timestamp < '{following}'")
        same("rows", got["rows"], want)
        files = int(current(self.server.table("events"))["summary"]["total-data-files"])
        if not 1 <= got["files"] <= 3 or files < 100:
            raise Wrong(f"its plan reads {got['files']} of {files} files for one day of one tenant")
        return f"{got['files']} of {files}"

    def snapshot(self):
        tagged = self.fixture.tagged
        got = self.call("read", table="headlessly.contact", columns=ROWS["contact"], tenants="known", snapshot=tagged["snapshot-id"])
        self.fixture.check(got, "contact", "known", tagged)

    def tag(self):
        got = self.call("read", table="headlessly.contact", columns=ROWS["contact"], tenants="known", tag=TAG)
        same("snapshot", got["snapshot"], self.fixture.tagged["snapshot-id"])
        self.fixture.check(got, "contact", "known", self.fixture.tagged)

    def deletes(self):
        snapshot = current(self.server.table("contact"))
        got = self.call("read", table="headlessly.contact", columns=ROWS["contact"], tenants="large", snapshot=snapshot["snapshot-id"])
        self.fixture.check(got, "contact", "large", snapshot)
        return snapshot["summary"]["total-position-deletes"]

    def evolution(self):
        columns = self.call("load", table="lab.evolved")["columns"]
        same("evolved table", [columns, *self.call("rows", table="lab.evolved")], EVOLVED)

    def history(self):
        got = self.call("history", view="headlessly.deal_history", columns=HISTORY, tenant="demo")
        same("deal_history", got, digest(self.server.sql("demo", f"SELECT {', '.join(HISTORY)} FROM deal_history")))
        return got["rows"]

    def folder(self):
        warehouse = self.server.data / "warehouse" / "iceberg"
        want = self.server.sql("*", "SELECT count(*) FROM events WHERE tenant LIKE 'demo%'")[0][0]
        others = len(self.fixture.writes.entries)
        same("events", self.call("folder", path=str(warehouse / "events")), want + others)

    def lab(self):
        table, rows = f"lab.by_{self.engine.name}", [[i, f"row {i}"] for i in range(2 * LAB_ROWS)]
        self.call("create", table=table)
        self.call("append", table=table, rows=rows[:LAB_ROWS])
        self.call("append", table=table, rows=rows[LAB_ROWS:])
        same(table, self.call("rows", table=table), rows)
        self.tried[table] = rows

    def others(self):
        for table, rows in self.tried.items():
            same(table, self.call("rows", table=table), rows)
        return len(self.tried)

    def live(self):
        """Reads contact and events in turn while the server takes writes; judges when all that was read is known."""
        tenants = ["live-0", "live-1", "live-2", "live-3"]
        reads, shown = [], {"contact": {}, "events": {}}
        with Writer(self.server, self.fixture.writes, tenants, LIVE_RATE, self.fixture.take_large()) as writer:
            end = time.monotonic() + self.live_seconds
            while time.monotonic() < end and not writer.stopping.is_set():
                for table in shown:
                    for prefix in ("live-", "large"):
                        reads.append((table, prefix, self.call("read", table=f"headlessly.{table}", columns=ROWS[table], tenants=prefix)))
                    shown[table] |= {s["snapshot-id"]: s for s in self.server.table(table)["snapshots"]}
        if self.live_seconds >= LIVE_SECONDS and writer.sent < LIVE_SHARE * LIVE_RATE * writer.seconds:
            raise Wrong(f"the server took {writer.sent / writer.seconds:.0f} writes/s of {LIVE_RATE}")
        snapshots = {got["snapshot"] for _, _, got in reads}
        for table, prefix, got in {(table, prefix, *sorted(got.items())): (table, prefix, got) for table, prefix, got in reads}.values():
            self.fixture.check(got, table, prefix, shown[table][got["snapshot"]])  # what was read twice alike is right twice
        self.fixture.settle()
        if len(snapshots) < min(4, len(reads) // 2):
            raise Wrong(f"{len(reads)} reads saw {len(snapshots)} snapshots")
        return f"{len(reads)} reads, {writer.sent / writer.seconds:.0f}/s"


OPERATIONS = {
    "connect": "config",
    "list": "list",
    "load": "load",
    "count": "count",
    "filter": "filter, files read",
    "snapshot": "as of a snapshot",
    "tag": "as of a tag",
    "deletes": "position deletes",
    "evolution": "schema evolution",
    "history": "history view",
    "folder": "folder, no catalog",
    "lab": "create, append in lab",
    "others": "others' lab tables",
    "live": "read under writes",
}


@dataclasses.dataclass
class Cell:
    """What came of one operation of one engine."""

    state: str  # ok, RED, or – where the engine cannot
    note: str = ""
    seconds: float = 0.0

    def __str__(self):
        return f"{self.state} {self.note}".strip()


def run(names, live_seconds):
    """Tries the engines and gives the cells of the table, by operation and engine."""
    cells = {}
    with contextlib.ExitStack() as stack:
        fixture = Fixture(stack.enter_context(Server("demo")))
        with Engine("pyiceberg") as writer:
            writer.call("connect", uri=fixture.server.catalog)
            writer.call("evolve", table="lab.evolved")
        tried = {}
        for name in names:
            with Engine(name) as engine:
                trial = Trial(engine, fixture, live_seconds, tried)
                for op, title in OPERATIONS.items():
                    connected = op == "connect" or cells["connect", name].state == "ok"
                    cell = cells[op, name] = attempt(trial, op) if connected else Cell("RED", "not tried")
                    print(f"{name:10} {title:22} {cell.seconds:6.1f} s  {cell}", flush=True)
    return cells


def attempt(trial, op):
    reason = UNABLE.get((trial.engine.name, op))
    if reason:
        return Cell("–", reason)
    start = time.monotonic()
    try:
        note = getattr(trial, op)()
        return Cell("ok", "" if note is None else f"({note})", time.monotonic() - start)
    except (Wrong, Failed, RuntimeError, OSError, KeyError) as error:
        return Cell("RED", f"{type(error).__name__}: {error}", time.monotonic() - start)


def show(names, cells):
    """Prints the table: an operation a line, an engine a column."""
    lines = [["", *(install.versions()[name]["shows"] for name in names)]]
    for op, title in OPERATIONS.items():
        lines.append([title, *(str(cell) if cell.state == "ok" else cell.state for cell in (cells[op, name] for name in names))])
    widths = [max(map(len, column)) for column in zip(*lines)]
    print()
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())
    for (name, op), reason in UNABLE.items():
        if name in names:
            print(f"– {name}, {OPERATIONS[op]}: {reason}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help=f"read under writes for {SHORT_SECONDS} s instead of {LIVE_SECONDS}")
    parser.add_argument("engines", nargs="*", metavar="ENGINE", help=" ".join(NAMES))
    args = parser.parse_args()
    names = args.engines or NAMES
    for name in {*names, "pyiceberg"}:
        install.install(name)
    cells = run(names, SHORT_SECONDS if args.short else LIVE_SECONDS)
    show(names, cells)
    red = [cell for cell in cells.values() if cell.state == "RED"]
    print(f"falls short: {len(red)} cells are red" if red else "held: every engine does all that it can, and reads what was written")
    return 1 if red else 0


if __name__ == "__main__":
    sys.exit(main())
