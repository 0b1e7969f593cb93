package lakehouse

import (
	"maps"
	"strconv"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
)

// count is what a snapshot changes, as its summary tells.
type count struct {
	added, removed tally
	partitions     map[string]bool
}

// tally counts files.
type tally struct {
	data, deletes, equality  int64 // files; deletes are those by position
	rows, gone, goneEquality int64 // rows of data, and of delete files of both kinds
	bytes                    int64
}

func (c *count) empty() bool { return c.added == tally{} && c.removed == tally{} }

func (c *count) add(f iceberg.DataFile)    { c.note(&c.added, f) }
func (c *count) remove(f iceberg.DataFile) { c.note(&c.removed, f) }

func (c *count) note(t *tally, f iceberg.DataFile) {
	if c.partitions == nil {
		c.partitions = map[string]bool{}
	}
	c.partitions[partitionOf(f)] = true
	t.bytes += f.FileSizeBytes()
	switch f.ContentType() {
	case iceberg.EntryContentPosDeletes:
		t.deletes++
		t.gone += f.Count()
	case iceberg.EntryContentEqDeletes:
		t.equality++
		t.goneEquality += f.Count()
	default:
		t.data++
		t.rows += f.Count()
	}
}

// summary tells what a snapshot changes, and the table's totals after it. Totals are carried on from the parent; one that
// the parent does not tell is left out.
func (c *count) summary(e edit, parent *table.Snapshot) *table.Summary {
	props := iceberg.Properties{}
	maps.Copy(props, e.summary)
	set := func(name string, n int64) {
		if n > 0 {
			props[name] = strconv.FormatInt(n, 10)
		}
	}
	a, r := c.added, c.removed
	set("added-data-files", a.data)
	set("deleted-data-files", r.data)
	set("added-records", a.rows)
	set("deleted-records", r.rows)
	set("added-files-size", a.bytes)
	set("removed-files-size", r.bytes)
	set("added-delete-files", a.deletes+a.equality)
	set("removed-delete-files", r.deletes+r.equality)
	set("added-position-delete-files", a.deletes)
	set("removed-position-delete-files", r.deletes)
	set("added-position-deletes", a.gone)
	set("removed-position-deletes", r.gone)
	set("added-equality-delete-files", a.equality)
	set("removed-equality-delete-files", r.equality)
	set("added-equality-deletes", a.goneEquality)
	set("removed-equality-deletes", r.goneEquality)
	set("changed-partition-count", int64(len(c.partitions)))
	total := func(name string, change int64) {
		if n, known := totalOf(parent, name); known && n+change >= 0 {
			props[name] = strconv.FormatInt(n+change, 10)
		}
	}
	total("total-data-files", a.data-r.data)
	total("total-records", a.rows-r.rows)
	total("total-files-size", a.bytes-r.bytes)
	total("total-delete-files", a.deletes+a.equality-r.deletes-r.equality)
	total("total-position-deletes", a.gone-r.gone)
	total("total-equality-deletes", a.goneEquality-r.goneEquality)
	return &table.Summary{Operation: e.operation, Properties: props}
}

// totalOf reads a total of a snapshot's summary; before the first snapshot all are 0.
func totalOf(s *table.Snapshot, name string) (n int64, known bool) {
	if s == nil {
		return 0, true
	}
	if s.Summary == nil {
		return 0, false
	}
	n, err := strconv.ParseInt(s.Summary.Properties[name], 10, 64)
	return n, err == nil
}
