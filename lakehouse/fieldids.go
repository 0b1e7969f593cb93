package lakehouse

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"sync"
)

// fieldIDText is the committed register of Iceberg field ids: table, column, id. An entry is never changed or taken out, even
// when its column goes. A column that is missing gets the next id of its table by
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

// numbered fills in the columns' field ids; 0 for those that the register lacks, which Open refuses.
func numbered(table string, columns []Column) []Column {
	ids := fieldIDs()[table]
	for i := range columns {
		columns[i].FieldID = ids[columns[i].Name]
	}
	return columns
}
