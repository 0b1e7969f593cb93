package lakehouse

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"sync"

	"headless.ly/catalog/noun"
)

// fieldIDText is the committed register of Iceberg field ids: table, column, id. An entry is never changed or taken out, even
// when its column goes: a column that comes back under its name finds its values again, and a new meaning needs a new name. A
// column that was renamed gets the id of its old name, any other that is missing the next one of its table, by
//
//	go test ./lakehouse -run TestFieldIDs -update
//
//go:embed fieldids.json
var fieldIDText []byte

// fieldIDs gives the register, read once.
var fieldIDs = sync.OnceValue(func() map[string]map[string]int {
	var ids map[string]map[string]int
	if err := json.Unmarshal(fieldIDText, &ids); err != nil {
		panic(fmt.Errorf("lakehouse/fieldids.json: %w", err))
	}
	return ids
})

// numbered fills in the columns' field ids; 0 for those that the register lacks, which Open refuses. A column that was renamed
// has the id of its old name.
func numbered(table string, n *noun.Noun, columns []Column) []Column {
	ids := fieldIDs()[table]
	for i := range columns {
		columns[i].FieldID = fieldIDOf(ids, n, columns[i].Name)
	}
	return columns
}

// fieldIDOf gives the id that a table's register has for a column, by its name or one that it had before; else 0.
func fieldIDOf(ids map[string]int, n *noun.Noun, name string) int {
	if id := ids[name]; id != 0 || n == nil {
		return id
	}
	for old, now := range n.Was() {
		if now == n.Current(name) && ids[old] != 0 {
			return ids[old]
		}
	}
	return ids[n.Current(name)]
}
