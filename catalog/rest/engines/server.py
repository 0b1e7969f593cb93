"""A server of the product in a process of its own, its doors, and a writer that remembers what was acknowledged."""

import http.client
import json
import pathlib
import random
import subprocess
import tempfile
import threading
import time
import urllib.parse

REPOSITORY = pathlib.Path(__file__).resolve().parents[3]
BINARY = REPOSITORY / "bin" / "headlessly"  # make build
READY = "listening on "
STOP_SECONDS = 20
REQUEST_SECONDS = 60
IDLE_SECONDS = 30  # after which a connection is not used again: the server closes idle ones
PUBLISHED_SECONDS = 60  # within which an acknowledged write must be in the tables


class Server:
    """A running server over a fresh data folder that goes with it. Its methods may be called from many threads."""

    def __init__(self, command):
        self.folder = tempfile.TemporaryDirectory(prefix="headlessly-")
        self.log = open(pathlib.Path(self.folder.name, "log"), "w+")
        self.process = subprocess.Popen(
            [BINARY, command, "--addr", "127.0.0.1:0", "--data", self.data], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.log, text=True)
        self.connections = threading.local()
        for line in self.process.stdout:
            if line.startswith(READY):
                self.url = line.removeprefix(READY).strip()
                break
        else:
            raise RuntimeError(f"the server does not start: {pathlib.Path(self.log.name).read_text()[-2000:]}")
        self.address = urllib.parse.urlsplit(self.url).netloc

    @property
    def data(self):
        return pathlib.Path(self.folder.name, "data")

    @property
    def catalog(self):
        """The address of the Iceberg catalog, as its clients want it."""
        return self.url + "/iceberg"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.log.close()
        self.folder.cleanup()

    def send(self, method, path, body=None, kind="application/json"):
        """Sends a request, and gives the answer's JSON and headers. Any status but 2xx is an error."""
        used = getattr(self.connections, "used", None)
        if used is None or time.monotonic() > used + IDLE_SECONDS:
            self.connections.own = http.client.HTTPConnection(self.address, timeout=REQUEST_SECONDS)
        connection, self.connections.used = self.connections.own, time.monotonic()
        if body is not None and not isinstance(body, (str, bytes)):
            body = json.dumps(body)
        connection.request(method, path, body, {"Content-Type": kind} if body is not None else {})
        answer = connection.getresponse()
        text = answer.read()
        if answer.status // 100 != 2:
            raise RuntimeError(f"{method} {path}: {answer.status} {text[:1000].decode(errors='replace')}")
        return (json.loads(text) if text else None), answer.headers

    def sql(self, tenant, statement):
        """The rows of a statement, asked of the product itself; tenant * asks all of them."""
        limit = 1_000_000
        if tenant == "*":
            answer, _ = self.send("POST", "/analytics/query", {"tenants": "*", "sql": statement, "limit": limit})
        else:
            answer, _ = self.send("POST", f"/~{tenant}/sql", {"sql": statement, "limit": limit, "truncate": False})
        return answer["rows"]

    def table(self, name):
        """A table of ours as the catalog shows it."""
        answer, _ = self.send("GET", f"/iceberg/v1/namespaces/headlessly/tables/{name}")
        return answer["metadata"]

    def tables(self):
        """All tables that the catalog lists, as namespace.name."""
        spaces = self.send("GET", "/iceberg/v1/namespaces")[0]["namespaces"]
        listed = [self.send("GET", f"/iceberg/v1/namespaces/{'%1F'.join(space)}/tables")[0]["identifiers"] for space in spaces]
        return sorted(".".join([*table["namespace"], table["name"]]) for tables in listed for table in tables)

    def seqs(self, table, snapshot):
        """By tenant, the sequence number up to which a snapshot of a table of ours holds the log: its side file."""
        location = self.data / "warehouse" / "iceberg" / table / "metadata"
        return json.loads((location / snapshot["summary"]["headlessly.seqs"]).read_text())["seqs"]

    def published(self, table, tenant, seq):
        """Waits until a table holds a tenant's log up to a sequence number, and gives the snapshot and the metadata."""
        deadline = time.monotonic() + PUBLISHED_SECONDS
        while time.monotonic() < deadline:
            metadata = self.table(table)
            snapshot = current(metadata)
            if snapshot and self.seqs(table, snapshot).get(tenant, 0) >= seq:
                return snapshot, metadata
            time.sleep(0.2)
        raise RuntimeError(f"{table} does not hold {tenant} up to {seq} after {PUBLISHED_SECONDS} s")


def current(metadata):
    """The current snapshot of a table, None if there is none."""
    return next((s for s in metadata.get("snapshots", []) if s["snapshot-id"] == metadata.get("current-snapshot-id")), None)


class Writes:
    """Acknowledged writes: what a table must hold at given sequence numbers follows from them alone."""

    def __init__(self):
        self.lock = threading.Lock()
        self.entries = []  # (tenant, id, seq, deleted, monotonic time of the request), guarded by lock

    def add(self, tenant, id, seq, deleted=False, sent=0.0):
        with self.lock:
            self.entries.append((tenant, id, seq, deleted, sent))

    def events(self, seqs):
        """The (tenant, target, seq) of the events table."""
        return [(tenant, id, seq) for tenant, id, seq, _, _ in self.entries if seq <= seqs.get(tenant, 0)]

    def state(self, seqs):
        """The (tenant, id, seq) of the noun's table."""
        last = {}
        for tenant, id, seq, deleted, _ in self.entries:
            if seq <= seqs.get(tenant, 0) and seq > last.get((tenant, id), (0,))[0]:
                last[tenant, id] = (seq, deleted)
        return [(tenant, id, seq) for (tenant, id), (seq, deleted) in last.items() if not deleted]


class Writer:
    """Writes contacts over HTTP in an open loop, at a rate that waits for nobody, until it is stopped."""

    CONNECTIONS = 8
    CREATE, DELETE = 0.2, 0.05  # shares; the rest updates

    def __init__(self, server, writes, tenants, per_second, known=()):
        """known: (tenant, id) that may be changed from the start. Nobody else may write them meanwhile."""
        self.server, self.writes, self.tenants = server, writes, tenants
        self.pause = self.CONNECTIONS / per_second
        self.stopping = threading.Event()
        self.failure = None
        self.sent = 0
        self.behind = 0.0  # the longest that a write was late, in seconds
        self.lock = threading.Lock()  # guards sent, behind and failure
        shares = [list(known)[i :: self.CONNECTIONS] for i in range(self.CONNECTIONS)]
        self.threads = [threading.Thread(target=self.run, args=(i, share)) for i, share in enumerate(shares)]

    def __enter__(self):
        self.start = time.monotonic()
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        for thread in self.threads:
            thread.join()
        self.seconds = time.monotonic() - self.start
        if self.failure:
            raise self.failure

    def run(self, number, own):
        chance = random.Random(number)
        due = time.monotonic() + self.pause * number / self.CONNECTIONS
        try:
            while not self.stopping.wait(max(0.0, due - time.monotonic())):
                late = time.monotonic() - due
                self.write(chance, own)
                due += self.pause
                with self.lock:
                    self.sent += 1
                    self.behind = max(self.behind, late)
        except Exception as error:  # any: the run is lost, and says why
            with self.lock:
                self.failure = self.failure or error
            self.stopping.set()

    def write(self, chance, own):
        """Makes one write and remembers it."""
        sent, kind = time.monotonic(), chance.random()
        if kind < self.CREATE or not own:
            tenant = chance.choice(self.tenants)
            id, seq = create(self.server, tenant, {"name": f"Contact {chance.random()}"})
            own.append((tenant, id))
            self.writes.add(tenant, id, seq, sent=sent)
            return
        place = chance.randrange(len(own))
        tenant, id = own[place]
        deleted = kind < self.CREATE + self.DELETE
        if deleted:
            own[place] = own[-1]
            own.pop()
            seq = delete(self.server, tenant, id)
        else:
            seq = update(self.server, tenant, id, {"name": f"Contact {chance.random()}"})
        self.writes.add(tenant, id, seq, deleted, sent)


def create(server, tenant, body):
    answer, headers = server.send("POST", f"/~{tenant}/Contact", body)
    return answer["$id"], int(headers["X-Seq"])


def update(server, tenant, id, body):
    _, headers = server.send("PUT", f"/~{tenant}/Contact/{id}", body)
    return int(headers["X-Seq"])


def delete(server, tenant, id):
    _, headers = server.send("DELETE", f"/~{tenant}/Contact/{id}")
    return int(headers["X-Seq"])
