"""PyIceberg over the REST catalog, reading with Arrow."""

import pyarrow as pa
from pyiceberg.catalog import load_catalog
from pyiceberg.expressions import StartsWith
from pyiceberg.table import StaticTable
from pyiceberg.types import LongType, StringType

from adapter import digest, serve

LAB = pa.schema([("id", pa.int64()), ("name", pa.string())])


class PyIceberg:
    def connect(self, uri):
        self.catalog = load_catalog("lake", type="rest", uri=uri)

    def table(self, name):
        return self.catalog.load_table(name)

    def tables(self):
        return sorted(".".join(name) for space in self.catalog.list_namespaces() for name in self.catalog.list_tables(space))

    def load(self, table):
        t = self.table(table)
        return {"columns": [field.name for field in t.schema().fields], "snapshot": t.current_snapshot().snapshot_id}

    def count(self, table):
        return self.table(table).scan().count()

    def filter(self, table, tenant, day, following):
        scan = self.table(table).scan(
            f"tenant = '{tenant}' AND timestamp >= '{day}T00:00:00+00:00' AND timestamp < '{following}T00:00:00+00:00'", ("id",))
        return {"rows": scan.to_arrow().num_rows, "files": len(list(scan.plan_files()))}

    def read(self, table, columns, tenants, snapshot=None, tag=None):
        t = self.table(table)
        if tag:
            snapshot = t.snapshot_by_name(tag).snapshot_id
        snapshot = snapshot or t.current_snapshot().snapshot_id
        rows = t.scan(StartsWith("tenant", tenants), tuple(columns), snapshot_id=snapshot).to_arrow()
        return {"snapshot": snapshot, **digest(zip(*(rows.column(name).to_pylist() for name in columns)))}

    def newest(self, table, tenant, column):
        seqs = self.table(table).scan(f"tenant = '{tenant}'", (column,)).to_arrow().column(column)
        return pa.compute.max(seqs).as_py()

    def folder(self, path):
        return StaticTable.from_metadata(path).scan().count()

    def create(self, table):
        self.catalog.create_namespace_if_not_exists(table.rpartition(".")[0])
        self.catalog.create_table(table, LAB)

    def append(self, table, rows):
        self.table(table).append(pa.Table.from_pylist([dict(zip(LAB.names, row)) for row in rows], LAB))

    def rows(self, table):
        rows = self.table(table).scan().to_arrow().sort_by("id")
        return [list(row.values()) for row in rows.to_pylist()]

    def evolve(self, table):
        """A table whose columns have been added, renamed, widened, moved and dropped between two appends."""
        self.catalog.create_namespace_if_not_exists(table.rpartition(".")[0])
        before = pa.schema([("id", pa.int64()), ("name", pa.string()), ("score", pa.int32()), ("gone", pa.string())])
        t = self.catalog.create_table(table, before)
        t.append(pa.Table.from_pylist([{"id": 1, "name": "one", "score": 10, "gone": "x"}], before))
        with t.update_schema() as update:
            update.rename_column("name", "title")
            update.update_column("score", LongType())
            update.delete_column("gone")
            update.add_column("city", StringType())
            update.move_after("city", "id")
        after = pa.schema([("id", pa.int64()), ("city", pa.string()), ("title", pa.string()), ("score", pa.int64())])
        t.append(pa.Table.from_pylist([{"id": 2, "city": "Oslo", "title": "two", "score": 1 << 40}], after))


serve(PyIceberg())
