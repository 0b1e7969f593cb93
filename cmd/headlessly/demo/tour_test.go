package demo

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestShellQuote(t *testing.T) {
	for _, s := range []string{"", "plain", "two words", `it's`, "$HOME 'x' `date` \\ \" *", "a\nb'"} {
		out, err := exec.Command("sh", "-c", "printf %s "+shellQuote(s)).Output()
		if err != nil {
			t.Fatal(err)
		}
		if string(out) != s {
			t.Errorf("the shell reads %s as %q, want %q", shellQuote(s), out, s)
		}
	}
}

// TestTourNamesAnOpenDeal sees that the tour's deal is what the tour says of it.
func TestTourNamesAnOpenDeal(t *testing.T) {
	for _, o := range mustRead(t).Deals {
		if o.Name != OpenDeal().Name {
			continue
		}
		if o.Stage != stageQualification || o.Engaged.Format("January 2006") != "November 2016" {
			t.Errorf("%+v", o)
		}
		return
	}
	t.Errorf("no deal %s", OpenDeal().Name)
}

// TestDuckDBReadsTheEvents runs the tour's DuckDB command on files of a folder with an awkward name.
func TestDuckDBReadsTheEvents(t *testing.T) {
	duckdb, err := exec.LookPath("duckdb")
	if err != nil {
		t.Skip("no duckdb in the path")
	}
	warehouse := filepath.Join(t.TempDir(), "it's $HOME")
	for _, day := range []string{"2017-01-01", "2017-01-02"} {
		if err := os.MkdirAll(filepath.Join(warehouse, "events", "data", "tenant=demo", "date="+day), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write := func(day, rows string) {
		file := filepath.Join(warehouse, "events", "data", "tenant=demo", "date="+day, "a.parquet")
		sql := "COPY (SELECT * FROM (VALUES " + rows + ") t(entity, target, verb, version, data)) TO " + sqlQuote(file)
		if out, err := exec.Command(duckdb, "-c", sql).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	write("2017-01-01", `('Deal','d1','create',1,'{"stage":"Qualification","value":5}'), ('Deal','d2','create',1,'{"stage":"Won","value":7}'), ('Contact','c','create',1,'{}')`)
	write("2017-01-02", `('Deal','d1','win',2,'{"stage":"Won","value":4.5}'), ('Deal','d2','delete',2,'{"stage":"Won","value":7}')`)
	stops := Tour{Warehouse: warehouse}.Stops()
	line := strings.Replace(stops[len(stops)-1].Line, "duckdb", "duckdb -csv", 1)
	out, err := exec.Command("sh", "-c", line).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if got, want := strings.ReplaceAll(string(out), "\r", ""), "stage,deals,value\nWon,1,4.5\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
