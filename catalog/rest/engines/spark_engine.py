"""Spark in local mode with Iceberg's runtime, whose jar lies beside the environment's Python."""

import pathlib
import sys

from pyspark.sql import SparkSession
from pyspark.sql.types import LongType, StringType, StructField, StructType

from adapter import day_of, digest, like, serve

LAB = StructType([StructField("id", LongType()), StructField("name", StringType())])


class Spark:
    def connect(self, uri):
        jars = pathlib.Path(sys.prefix, "maven").glob("*.jar")
        settings = {
            "spark.jars": ",".join(map(str, jars)),
            "spark.driver.host": "127.0.0.1",
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.driver.memory": "1g",
            "spark.ui.enabled": "false",
            "spark.ui.showConsoleProgress": "false",
            "spark.sql.session.timeZone": "UTC",
            "spark.sql.shuffle.partitions": "2",
            "spark.sql.extensions": "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions",
            "spark.sql.catalog.lake": "org.apache.iceberg.spark.SparkCatalog",
            "spark.sql.catalog.lake.type": "rest",
            "spark.sql.catalog.lake.uri": uri,
            "spark.sql.catalog.lake.cache-enabled": "false",  # else a table is as old as the session's first look at it
        }
        builder = SparkSession.builder.master("local[2]").appName("headlessly")
        for name, value in settings.items():
            builder = builder.config(name, value)
        self.spark = builder.getOrCreate()
        self.spark.sparkContext.setLogLevel("ERROR")

    def close(self):
        self.spark.stop()

    def rows_of(self, sql):
        return [list(row) for row in self.spark.sql(sql).collect()]

    def tables(self):
        spaces = [row[0] for row in self.rows_of("SHOW NAMESPACES IN lake")]
        return sorted(f"{row[0]}.{row[1]}" for space in spaces for row in self.rows_of(f"SHOW TABLES IN lake.{space}"))

    def load(self, table):
        return {"columns": self.spark.table(f"lake.{table}").columns, "snapshot": self.snapshot(table)}

    def snapshot(self, table):
        return self.rows_of(f"SELECT snapshot_id FROM lake.{table}.refs WHERE name = 'main'")[0][0]

    def count(self, table):
        return self.rows_of(f"SELECT count(*) FROM lake.{table}")[0][0]

    def filter(self, table, tenant, day, following):
        frame = self.spark.sql(f"SELECT id FROM lake.{table} WHERE {day_of(tenant, day, following).format(zone='')}")
        return {"rows": len(frame.collect()), "files": scan_metric(frame._jdf.queryExecution().executedPlan(), "resultDataFiles")}

    def read(self, table, columns, tenants, snapshot=None, tag=None):
        if tag:
            (snapshot,) = self.rows_of(f"SELECT snapshot_id FROM lake.{table}.refs WHERE name = '{tag}'")[0]
        snapshot = snapshot or self.snapshot(table)
        version = f"'{tag}'" if tag else snapshot
        rows = self.rows_of(f"SELECT {', '.join(columns)} FROM lake.{table} VERSION AS OF {version} WHERE {like(tenants)}")
        return {"snapshot": snapshot, **digest(rows)}

    def newest(self, table, tenant, column):
        return self.rows_of(f"SELECT max({column}) FROM lake.{table} WHERE tenant = '{tenant}'")[0][0]

    def history(self, view, columns, tenant):
        return digest(self.rows_of(f"SELECT {', '.join(columns)} FROM lake.{view} WHERE tenant = '{tenant}'"))

    def folder(self, path):
        return self.spark.read.format("iceberg").load(path).count()

    def create(self, table):
        self.spark.sql(f"CREATE NAMESPACE IF NOT EXISTS lake.{table.rpartition('.')[0]}")
        self.spark.sql(f"CREATE TABLE lake.{table} (id BIGINT, name STRING) USING iceberg")

    def append(self, table, rows):
        self.spark.createDataFrame(rows, LAB).coalesce(1).writeTo(f"lake.{table}").append()

    def rows(self, table):
        return self.rows_of(f"SELECT * FROM lake.{table} ORDER BY id")


def scan_metric(plan, name):
    """A metric of the scans of an executed plan, summed."""
    kind = plan.getClass().getSimpleName()
    if kind == "AdaptiveSparkPlanExec":
        return scan_metric(plan.executedPlan(), name)
    if kind.endswith("QueryStageExec"):
        return scan_metric(plan.plan(), name)
    own = plan.metrics().get(name).get().value() if kind == "BatchScanExec" else 0
    children = plan.children()
    return own + sum(scan_metric(children.apply(i), name) for i in range(children.size()))


serve(Spark())
