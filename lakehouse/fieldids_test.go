package lakehouse

import (
	"cmp"
	"encoding/json"
	"flag"
	"maps"
	"os"
	"slices"
	"testing"

	"headless.ly/catalog/noun"
)

var update = flag.Bool("update", false, "add missing columns to fieldids.json")

// TestFieldIDs says that every column of every table has a field id, a renamed one that of its old name, and that no two
// columns of a table share one.
func TestFieldIDs(t *testing.T) {
	ids := fieldIDs()
	missing := false
	each := func(table string, n *noun.Noun, columns []Column) {
		if ids[table] == nil {
			ids[table] = map[string]int{}
		}
		for _, c := range columns {
			if ids[table][c.Name] != 0 {
				continue
			}
			missing = true
			ids[table][c.Name] = cmp.Or(fieldIDOf(ids[table], n, c.Name), nextID(ids[table]))
			t.Logf("no field id for %s.%s", table, c.Name)
		}
	}
	each(eventsTable, nil, EventColumns())
	for _, n := range noun.Core().All() {
		if n.Name != "Event" {
			each(n.Table(), n, TableColumns(n))
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
	declared := map[string]*noun.Noun{}
	for _, n := range noun.Core().All() {
		declared[n.Table()] = n
	}
	for table, columns := range ids {
		checkRegister(t, table, columns, declared[table])
	}
}

func nextID(ids map[string]int) int {
	next := 1
	for _, id := range ids {
		next = max(next, id+1)
	}
	return next
}

// checkRegister refuses a field id that stands for two things: the names that have one are those of one column, now and before.
func checkRegister(t *testing.T, table string, ids map[string]int, n *noun.Noun) {
	t.Helper()
	owner := map[int]string{}
	for _, name := range slices.Sorted(maps.Keys(ids)) {
		id, now := ids[name], name
		if n != nil {
			now = n.Current(name)
		}
		if id < 1 || owner[id] != "" && owner[id] != now {
			t.Errorf("%s: %s and %s share field id %d", table, owner[id], name, id)
		}
		owner[id] = now
		if ids[now] != 0 && ids[now] != id {
			t.Errorf("%s: %s was %s, but the one has field id %d and the other %d", table, now, name, ids[now], id)
		}
	}
}
