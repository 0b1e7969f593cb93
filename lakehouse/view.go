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
}

// Release gives the view back. It must be called once for each Pin.
func (v *View) Release() {
	if v.pins.Add(-1) < 0 {
		panic("view released more often than pinned")
	}
}
