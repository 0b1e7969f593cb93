"""DuckDB with its iceberg extension, which the pip packages carry: nothing is downloaded at run time."""

import json
import pathlib
import sysconfig

import duckdb

from adapter import day_of, digest, like, serve


class DuckDB:
    def connect(self, uri):
        self.db = duckdb.connect(config={"allow_unsigned_extensions": "false"})
        for name in ("avro", "httpfs", "iceberg"):  # iceberg needs avro loaded, and httpfs for the catalog
            packages = pathlib.Path(sysconfig.get_paths()["purelib"])
            (path,) = packages.glob(f"duckdb_extension_{name}/extensions/*/{name}.duckdb_extension")
            self.db.execute(f"LOAD '{path}'")
        self.db.execute("SET TimeZone = 'UTC'")
        self.db.execute(f"ATTACH '' AS lake (TYPE iceberg, ENDPOINT '{uri}', AUTHORIZATION_TYPE 'none')")

    def rows_of(self, sql):
        return self.db.execute(sql).fetchall()

    def tables(self):
        return sorted(f"{schema}.{name}" for schema, name in self.rows_of(
            "SELECT schema, name FROM (SHOW ALL TABLES) WHERE database = 'lake'"))

    def load(self, table):
        return {"columns": [row[0] for row in self.rows_of(f"DESCRIBE lake.{table}")], "snapshot": self.snapshot(table)}

    def snapshot(self, table):
        return self.rows_of(f"SELECT snapshot_id FROM iceberg_snapshots(lake.{table}) ORDER BY sequence_number DESC LIMIT 1")[0][0]

    def count(self, table):
        return self.rows_of(f"SELECT count(*) FROM lake.{table}")[0][0]

    def filter(self, table, tenant, day, following):
        where = day_of(tenant, day, following).format(zone="")
        query = f"SELECT id FROM lake.{table} WHERE {where}"
        plan = json.loads(self.rows_of(f"EXPLAIN (ANALYZE, FORMAT json) {query}")[0][1])
        return {"rows": len(self.rows_of(query)), "files": files_read(plan)}

    def read(self, table, columns, tenants, snapshot=None):
        snapshot = snapshot or self.snapshot(table)
        rows = self.rows_of(f"SELECT {', '.join(columns)} FROM lake.{table} AT (VERSION => {snapshot}) WHERE {like(tenants)}")
        return {"snapshot": snapshot, **digest(rows)}

    def newest(self, table, tenant, column):
        return self.rows_of(f"SELECT max({column}) FROM lake.{table} WHERE tenant = '{tenant}'")[0][0]

    def folder(self, path):
        return self.rows_of(f"SELECT count(*) FROM iceberg_scan('{path}')")[0][0]

    def create(self, table):
        schema = table.rpartition(".")[0]
        self.db.execute(f"CREATE SCHEMA IF NOT EXISTS lake.{schema}")
        self.db.execute(f"CREATE TABLE lake.{table} (id BIGINT, name VARCHAR)")

    def append(self, table, rows):
        values = ", ".join(["(?, ?)"] * len(rows))
        self.db.execute(f"INSERT INTO lake.{table} VALUES {values}", [cell for row in rows for cell in row])

    def rows(self, table):
        return self.rows_of(f"SELECT * FROM lake.{table} ORDER BY id")


def files_read(node):
    """The files that a plan says it read."""
    own = int(node.get("extra_info", {}).get("Total Files Read", 0) or 0)
    return own + sum(files_read(child) for child in node.get("children", []))


serve(DuckDB())
