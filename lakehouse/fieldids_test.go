package lakehouse

import (
	"encoding/json"
	"flag"
	"os"
	"testing"

	"headless.ly/catalog/noun"
)

var update = flag.Bool("update", false, "add missing columns to fieldids.json")

// TestFieldIDs says that every column of every table has a field id, and that no two columns of a table share one.
func TestFieldIDs(t *testing.T) {
	ids := fieldIDs()
	missing := false
	each := func(table string, columns []Column) {
		if ids[table] == nil {
			ids[table] = map[string]int{}
		}
		for _, c := range columns {
			if ids[table][c.Name] != 0 {
				continue
			}
			missing = true
			next := 1
			for _, id := range ids[table] {
				next = max(next, id+1)
			}
			ids[table][c.Name] = next
			t.Logf("no field id for %s.%s", table, c.Name)
		}
	}
	each(eventsTable, EventColumns())
	for _, n := range noun.Core().All() {
		if n.Name != "Event" {
			each(n.Table(), TableColumns(n))
		}
	}
	if missing && *update {
		text, err := json.MarshalIndent(ids, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile("fieldids.json", append(text, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
		t.Fatal("fieldids.json was rewritten: read the diff, then run again")
	}
	if missing {
		t.Fatal("run: go test ./lakehouse -run TestFieldIDs -update")
	}
	for table, columns := range ids {
		owner := map[int]string{}
		for name, id := range columns {
			if owner[id] != "" || id < 1 {
				t.Errorf("%s: %s and %s share field id %d", table, owner[id], name, id)
			}
			owner[id] = name
		}
	}
}
