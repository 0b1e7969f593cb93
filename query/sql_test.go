package query

import (
	"context"
	"os"
	"strings"
	"testing"

	"headless.ly/catalog/noun"
	"headless.ly/catalog/problem"
	"headless.ly/query/engine"
)

// bare is a database without settings, in a process that may write to the test's folder.
func bare(t testing.TB, folders ...string) *engine.Conn {
	t.Helper()
	p, err := engine.Start(engine.Config{ReadWrite: folders, Setup: declarations{}})
	if err != nil {
		t.Fatal(err)
	}
	db, err := p.Open(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	c, err := db.Connect(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); p.Close() })
	exec(t, c, "set global errors_as_json = true")
	return c
}

// What admission takes and refuses, by itself: the database has no fence here.
func TestAdmission(t *testing.T) {
	c := bare(t)
	words := vocabulary{noun.Core()}
	for _, text := range []string{
		"select 1", "from deal", "values (1)", "table deal", "select * from Deals d, FeatureFlag f, events", "select 1;",
		"with deal as (select * from deal) select * from deal", "describe deal", "summarize deal", "show tables", "SHOW TABLES;",
		"explain select 1", " -- x\n EXPLAIN /* y */ ANALYZE from deal", "pivot deal on stage in ('Won') using sum(value)",
		"select * from deal_at(now()), deal_history", "select * from range(3) r, unnest([1]) u, json_each('{}')",
		"select $1, $2", "select $name", "select [x + 1 for x in [1]], {'a': 1}.a, list_transform([1], lambda x: x)", "unpivot deal on value",
		"select format('{:>5}', 'x')", "with recursive t(n) as (select 1 union all select n from t) from t",
	} {
		if _, err := words.admit(context.Background(), c, text); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	for _, text := range []string{
		"", " ", ";", "-- x", "select 1; select 2", "create table t as select 1", "explain create table t as select 1",
		"explain explain select 1", "insert into deal values (1)", "copy deal to 'x'", "set threads = 1", "pragma version",
		"select * from read_csv('x')", "select * from 'x.csv'", `select * from "a/b"`, "select * from main.deal",
		"select current_setting('x')", "select CURRENT_QUERY()", "select * from query('select 1')", "select * from nothing",
		"show databases", "select * from (show all tables)", "pivot deal on stage using sum(value)", "select * from deal at (version => 1)",
		`with "x.csv" as (select 1) select 1`, "select format('{:100000}', 1)", "select format(name) from deal", "select x.read_csv()) from deal",
		"select \x00", "describe 'x.csv'", "call pragma_version()", "select * from deal_at", "select system.main.repeat('x', 1)",
	} {
		_, err := words.admit(context.Background(), c, text)
		if !problem.Is(err, problem.InvalidSQL) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// The settings alone, without admission: nothing outside the tenant's folders is read, nothing is loaded, nothing is changed.
func TestFencesAlone(t *testing.T) {
	dir := t.TempDir()
	own, other := dir+"/tenant=a", dir+"/tenant=ab"
	c := bare(t, dir)
	for _, folder := range []string{own, other} {
		exec(t, c, "copy (select 42 as n) to '"+dir+"/f.parquet'")
		if err := os.MkdirAll(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		exec(t, c, "copy (select 42 as n) to '"+folder+"/f.parquet'")
	}
	e, err := openEngine(EngineConfig{Folders: func(string) []string { return []string{own} }, Warehouse: dir}, newMemory(), nil, vocabulary{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	d, err := e.acquire("a")
	if err != nil {
		t.Fatal(err)
	}
	defer e.release(d)
	if _, err := d.run(context.Background(), "from read_parquet('"+own+"/f.parquet')", nil); err != nil {
		t.Error(err)
	}
	for _, text := range []string{
		"from read_parquet('" + other + "/f.parquet')", "from read_parquet('" + dir + "/f.parquet')",
		"from read_parquet('" + own + "/../tenant=ab/f.parquet')", "from glob('" + dir + "/*')", "from '" + other + "/f.parquet'",
		"from read_text('/etc/passwd')", "copy (select 1) to '" + dir + "/out.csv'", "attach '" + dir + "/x.db'", "install httpfs",
		"load httpfs", "set memory_limit = '8GB'", "set threads = 8", "reset allowed_directories", "set enable_external_access = true",
		"export database '" + dir + "/x'", "load '" + own + "/x.duckdb_extension'", "set temp_directory = '/tmp'",
		"select getenv('HOME')", "create secret (type s3)",
	} {
		if rows, err := d.run(context.Background(), text, nil); err == nil && !strings.HasPrefix(text, "from glob") || len(rows) > 0 {
			t.Errorf("%s: %v, %v", text, rows, err)
		}
	}
}

// The guards alone, without admission and with no limit on memory or time.
func TestGuardsAlone(t *testing.T) {
	c := bare(t)
	for _, g := range guardStatements() {
		exec(t, c, g)
	}
	for text, want := range map[string]string{
		"repeat('ab', 2)": "abab", "lpad('x', 3, 'y')": "yyx", "rpad('x', 3, 'y')": "xyy", "replace('aa', 'a', 'bc')": "bcbc",
		"array_to_string([1, 2], ',')": "1,2", "levenshtein('a', 'b')": "1", "range(3)": "[0, 1, 2]", "range(1, 3)": "[1, 2]",
		"range(5, 1, -2)": "[5, 3]", "generate_series(1, 3)": "[1, 2, 3]", "repeat(null, 2)": "<null>", "range(null)": "<null>",
		"len(range(date '2020-01-01', date '2020-01-03', interval 1 day))": "2", "len(range(timestamptz '2020-01-01', timestamptz '2020-01-03', interval 1 day))": "2",
		"list_resize([1], 2, 0)": "[1, 0]", "bitstring('1', 3)": "001", "repeat('x', 3) || lpad('1', 2, '0')": "xxx01",
	} {
		rows, err := c.Query(context.Background(), "select coalesce(cast("+text+" as varchar), '<null>')")
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		got, err := rows.All(context.Background())
		rows.Close()
		if err != nil || got[0][0] != want {
			t.Errorf("%s: %v, %v; want %s", text, got, err, want)
		}
	}
	for _, text := range []string{
		"repeat('x', 1000000000)", "lpad('x', 1000000000, 'y')", "rpad('x', 1000000000, 'y')", "range(1000000000)", "range(0, 10000000000)",
		"range(0, 10000000000, 3)", "range(timestamp '0001-01-01', timestamp '9999-01-01', interval 1 second)", "list_resize([1], 1000000000)",
		"bitstring('1', 1000000000)", "replace(repeat('a', 100000), 'a', repeat('b', 100000))", "levenshtein(repeat('a', 100000), repeat('b', 100000))",
		"generate_series(1, 1000000000)",
	} {
		rows, err := c.Query(context.Background(), "select "+text)
		if err == nil {
			_, err = rows.All(context.Background())
			rows.Close()
		}
		if err == nil || !strings.Contains(err.Error(), "too much at once") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func FuzzAdmission(f *testing.F) {
	for _, text := range []string{"select 1", "explain from deal", "with a as (select 1) from a", "select 1; drop table x", "from 'x.csv'", "/* */ explain analyze select 1"} {
		f.Add(text)
	}
	c := bare(f)
	exec(f, c, "create table kept as select 1 as n")
	words := vocabulary{noun.Core()}
	f.Fuzz(func(t *testing.T, text string) {
		a, err := words.admit(context.Background(), c, text)
		if err != nil && !problem.Is(err, problem.InvalidSQL) {
			t.Fatalf("%q: %v", text, err)
		}
		if err == nil && a.kind == kindSelect && a.text != text {
			t.Fatalf("%q became %q", text, a.text)
		}
		if rows, err := c.Query(context.Background(), "select n from kept"); err != nil {
			t.Fatalf("%q changed the database: %v", text, err)
		} else {
			rows.Close()
		}
	})
}

func exec(t testing.TB, c *engine.Conn, text string) {
	t.Helper()
	if err := c.Exec(context.Background(), text); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
}
