package format

import (
	"io"
	"strings"
	"time"

	"headless.ly/query/duck"
)

// Format is how a result is written.
type Format uint8

// The formats of analytics.md 2.
const (
	JSON    Format = iota // one object that holds the rows as arrays
	Objects               // the same with rows as objects
	NDJSON
	CSV
	Arrow
	Parquet
	Spreadsheet // CSV in which a text that begins with = + - @ has a ' in front, so that no spreadsheet computes it
)

// contentTypes are by format.
var contentTypes = [...]string{"application/json", "application/json", "application/x-ndjson", "text/csv; charset=utf-8",
	"application/vnd.apache.arrow.stream", "application/vnd.apache.parquet", "text/csv; charset=utf-8"}

// ContentType is what an answer in the format calls itself.
func (f Format) ContentType() string { return contentTypes[f] }

// Summarized says whether the format itself says how many rows there are and when they were read.
func (f Format) Summarized() bool { return f == JSON || f == Objects }

// ForAccept chooses the format by an Accept header: of those named the first that there is, JSON if there is none.
func ForAccept(accept string) Format {
	for part := range strings.SplitSeq(accept, ",") {
		kind, _, _ := strings.Cut(part, ";")
		switch strings.ToLower(strings.TrimSpace(kind)) {
		case "application/json", "*/*", "application/*":
			return JSON
		case "application/x-ndjson", "application/ndjson", "application/jsonl":
			return NDJSON
		case "text/csv", "text/*":
			return CSV
		case "application/vnd.apache.arrow.stream":
			return Arrow
		case "application/vnd.apache.parquet":
			return Parquet
		}
	}
	return JSON
}

// Summary is what is known of a result when its last row is written.
type Summary struct {
	Rows      int
	Truncated bool
	Limit     int // what cut it off; 0: nothing
	Seq       int64
	AsOf      *time.Time
	Elapsed   time.Duration

	// Of a statement over several tenants, instead of Seq: the seq of each, and how old what is published of each table is.
	Seqs      map[string]int64
	Freshness map[string]time.Duration
}

// Encoder writes one result. It does not close the writer.
type Encoder interface {
	// Rows writes the first n rows of a chunk, which may change afterwards.
	Rows(chunk *duck.Chunk, n int) error
	// Close ends the result.
	Close(Summary) error
}

// New begins a result. The columns are those of every chunk.
func New(f Format, w io.Writer, columns []duck.Column) (Encoder, error) {
	switch f {
	case Objects, NDJSON:
		return newObjects(f, w, columns)
	case CSV, Spreadsheet:
		return newTable(f, w, columns)
	case Arrow, Parquet:
		return newColumnar(f, w, columns)
	}
	return newArrays(w, columns)
}
