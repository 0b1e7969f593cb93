package rows

import (
	"errors"
	"io"

	"headless.ly/catalog/entity"
	"headless.ly/catalog/noun"
	"headless.ly/catalog/problem"
)

// Extra is the column of CSV and Parquet that holds the undeclared fields of a row, as a JSON object.
const Extra = "_extra"

// Format is how rows are written.
type Format string

// The formats that Open reads.
const (
	JSON    Format = "json" // one array of objects
	NDJSON  Format = "ndjson"
	CSV     Format = "csv"
	Parquet Format = "parquet"
)

// FormatOf gives the format that a media type, without parameters, names.
func FormatOf(mediaType string) (Format, bool) {
	switch mediaType {
	case "application/json":
		return JSON, true
	case "application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines":
		return NDJSON, true
	case "text/csv", "application/csv":
		return CSV, true
	case "application/vnd.apache.parquet", "application/x-parquet":
		return Parquet, true
	}
	return "", false
}

// Reader gives rows. It is used by one goroutine at a time.
type Reader interface {
	// Next gives the next row; io.EOF behind the last; a *BadRow for a row that is none, after which the next one can be had.
	// Any other error, a problem, ends the rows. The row is the caller's.
	Next() (entity.Object, error)
	// Read is how many bytes of the file have been read, at least nearly.
	Read() int64
	// Close frees what the Reader holds, but for the file.
	Close()
}

// BadRow says that one row cannot be read, and that the rows go on. Err is a problem.
type BadRow struct{ Err error }

func (e *BadRow) Error() string { return e.Err.Error() }

// Unwrap gives Err.
func (e *BadRow) Unwrap() error { return e.Err }

// Source is a file of rows.
type Source struct {
	Noun   *noun.Noun // what the rows are
	Format Format
	File   io.ReaderAt
	Size   int64 // bytes of the file
	MaxRow int64 // bytes of one row of text
}

// Open begins to read a file. An error is a problem: the file is none of its format.
func Open(s Source) (Reader, error) {
	if s.Format == Parquet {
		return newParquetRows(s)
	}
	body := &rowReader{r: io.NewSectionReader(s.File, 0, s.Size), limit: s.MaxRow}
	body.nextRow()
	switch s.Format {
	case JSON:
		return newArrayRows(body)
	case NDJSON:
		return newLineRows(body), nil
	case CSV:
		return newTableRows(s.Noun, body)
	}
	return nil, problem.New(problem.UnsupportedMediaType, "there is no import format %q", s.Format)
}

// rowReader bounds what one row may take of a text. Readers above it read ahead, so the bound is loose by a buffer.
type rowReader struct {
	r     io.Reader
	limit int64
	left  int64
	taken int64
}

const readAhead = 1 << 20

func (r *rowReader) nextRow() { r.left = r.limit + readAhead }

func (r *rowReader) fill(p []byte) (int, error) {
	if r.left <= 0 {
		return 0, problem.New(problem.PayloadTooLarge, "a row is larger than %d bytes", r.limit)
	}
	n, err := r.r.Read(p[:min(int64(len(p)), r.left)])
	r.left -= int64(n)
	r.taken += int64(n)
	return n, err
}

// bounded is a rowReader as an io.Reader.
type bounded struct{ *rowReader }

func (b bounded) Read(p []byte) (int, error) { return b.fill(p) }

// Read implements Reader.
func (r *rowReader) Read() int64 { return r.taken }

// Close implements Reader.
func (r *rowReader) Close() {}

// ended makes a problem of an error that ends the rows.
func ended(err error) error {
	if _, ok := errors.AsType[*problem.Problem](err); ok {
		return err
	}
	return problem.New(problem.InvalidBody, "the rows cannot be read any further: %s", entity.Syntax(err))
}
