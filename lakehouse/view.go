package lakehouse

import (
	"sync/atomic"
)

// View is what is published of one tenant at one instant: for each noun the data files of its table. It is immutable and
// safe for concurrent use. Its files stay on disk until it is released.
type View struct {
	Tenant string
	Seq    int64            // the events table holds the log up to here
	Nouns  map[string]Files // by noun name; a noun that is missing has nothing published: seq 0

	pins atomic.Int64
}

// Files are the data files that hold one tenant's rows of one noun table.
type Files struct {
	Seq   int64    // the rows are the tenant's state at this seq; at most View.Seq
	Paths []string // absolute paths of Parquet files without overlap, sorted by id within
	Rows  int64
	Older map[string]Age // by path: those of Paths that were written under an earlier declaration of the noun
	Past  *Past          // what the older ones hold; nil where there are none
}

// Age says how the rows of an older file become rows of today's table.
type Age uint8

// The ages of older files.
const (
	// Renamed files have today's columns, or lack them: a column is found by its field id, never by its name.
	Renamed Age = iota + 1
	// Lifted files hold, besides, fields in _extra that have a column by now, or in a column that is declared no more: Lift
	// gives both their place.
	Lifted
)

// Past is what a table's older files may hold otherwise than its newest. It does not change.
type Past struct {
	Young   []Column // declared columns that some files lack, or hold with a narrower type
	Retired []Column // columns of earlier declarations, by the last of their names: their values belong into _extra
}

// Release gives the view back. It must be called once for each Pin.
func (v *View) Release() {
	if v.pins.Add(-1) < 0 {
		panic("view released more often than pinned")
	}
}
