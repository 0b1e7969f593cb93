package lakehouse

import (
	"slices"
	"sync/atomic"
)

// View is what is published of one tenant at one instant: for each noun the data files of its table. It is immutable and
// safe for concurrent use. Its files stay on disk until it is released.
type View struct {
	Tenant string
	Seq    int64            // the events table holds the log up to here
	Nouns  map[string]Files // by noun name; a noun that is missing has nothing published: seq 0

	pins   atomic.Int64
	verify func(path string) error // nil: files are taken as they are
}

// Verify compares the files of a noun that were not read since the start with what was written. ErrDamaged where one
// differs: it must not be read.
func (v *View) Verify(noun string) error {
	if v.verify == nil {
		return nil
	}
	for _, f := range v.Nouns[noun].Data {
		err := v.verify(f.Path)
		if err == nil && f.Deletes != "" {
			err = v.verify(f.Deletes)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Files are the data files that hold one tenant's rows of one noun table.
type Files struct {
	Seq  int64      // the rows are the tenant's state at this seq; at most View.Seq
	Data []DataFile // an entity has one row in all of them, but for deleted ones
	Rows int64      // without the deleted ones
	Past *Past      // what older files may hold otherwise; nil where there are none
}

// DataFile is one Parquet file of a table, its rows in order of id. A row is deleted where Deletes has its position, counted
// from 0; the other rows are the table's.
type DataFile struct {
	Path    string // absolute
	Rows    int64  // with the deleted ones
	Deletes string // absolute path of an Iceberg position-delete file about this file alone; empty: no row is deleted
	Deleted int64  // rows of Deletes
	Older   bool   // written under an earlier declaration of the noun
}

// Past is what older files of a table may hold otherwise than its newest. Their columns are found by field id, never by name.
// It does not change.
type Past struct {
	Young   []Column // declared columns that some files lack, with the values in _extra, or hold with a narrower type
	Retired []Column // columns that are declared no more, under the last of their names: their values belong into _extra
}

// Lifts says whether rows of older files need Lift; otherwise their columns only bear other names.
func (p *Past) Lifts() bool { return len(p.Young)+len(p.Retired) > 0 }

// holds reports whether the view names a file, by its path.
func (v *View) holds(path string) bool {
	for _, f := range v.Nouns {
		if slices.ContainsFunc(f.Data, func(d DataFile) bool { return d.Path == path || d.Deletes == path }) {
			return true
		}
	}
	return false
}

// Pin keeps the view for one more, for a caller that has it pinned.
func (v *View) Pin() { v.pins.Add(1) }

// Release gives the view back. It must be called once for each Pin.
func (v *View) Release() {
	if v.pins.Add(-1) < 0 {
		panic("view released more often than pinned")
	}
}
