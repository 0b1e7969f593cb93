package api

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"headless.ly/catalog/problem"
	"headless.ly/query"
	"headless.ly/query/format"
)

// exportStep is how long a client may take for a part of an export: one that stalls longer is cut off, since an export holds a
// connection to the engine.
const exportStep = time.Minute

// exportFormats are the formats of an export by their names, which are the ends of file names as well.
var exportFormats = map[string]format.Format{"json": format.JSON, "ndjson": format.NDJSON, "csv": format.CSV, "parquet": format.Parquet}

// export: GET /~tenant/export/{noun}, all entities that match a filter, as of one instant, streamed (interfaces.md 2.12)
func export(r *request) error {
	v, err := r.values()
	if err != nil {
		return err
	}
	name := strings.ToLower(v.Get("format"))
	if name == "" {
		name = "json"
	}
	f, ok := exportFormats[name]
	if !ok {
		p := problem.New(problem.InvalidRequest, "there is no export format %q", cut(name))
		p.Field, p.Supported = "format", []string{"json", "ndjson", "csv", "parquet"}
		return p
	}
	excel, err := flag("excel", v.Get("excel"))
	if err != nil {
		return err
	}
	if excel && f == format.CSV {
		f = format.Spreadsheet
	}
	v.Del("format") // what is left are fields, or parameters of lists
	v.Del("excel")
	q, err := query.ParseValues(r.noun, v)
	if err != nil {
		return err
	}
	if q.MinSeq, err = r.minSeq(); err != nil {
		return err
	}
	return r.sendExport(q, f, r.noun.Name+"."+name)
}

// sendExport streams an export. What fails while nothing is sent becomes an error answer; later the connection is cut.
func (r *request) sendExport(q query.Query, f format.Format, file string) error {
	begin := r.s.reader.ExportRows
	if f == format.JSON || f == format.NDJSON {
		begin = r.s.reader.ExportDocuments
	}
	e, err := begin(r.c.Request.Context(), r.tenant, r.noun, q)
	if err != nil {
		return err
	}
	defer e.Close()
	r.readAt(e.At)
	h := r.c.Writer.Header()
	h["Content-Type"] = []string{f.ContentType()}
	h["Content-Disposition"] = []string{`attachment; filename="` + file + `"`}
	if r.c.Request.Method == http.MethodHead {
		return nil
	}
	stalling := &patientWriter{w: r.c.Writer, controller: http.NewResponseController(r.c.Writer)}
	out := &lateWriter{to: stalling, most: maxLateBytes, limit: -1}
	err = writeExport(e, f, out)
	switch {
	case err == nil:
		return out.finish()
	case out.sent || r.c.Request.Context().Err() != nil:
		if !errors.Is(err, errGone) {
			r.log(err)
		}
		panic(http.ErrAbortHandler) // half an export is none
	}
	for _, name := range []string{"Content-Type", "Content-Disposition", "X-Seq", "X-Consistency", "X-Snapshot-At"} {
		h.Del(name)
	}
	return err
}

// errGone is the error of writing to a client that went away, or stalled.
var errGone = errors.New("the client does not take the answer")

// patientWriter gives each write to a client its time.
type patientWriter struct {
	w          http.ResponseWriter
	controller *http.ResponseController
}

func (p *patientWriter) Header() http.Header    { return p.w.Header() }
func (p *patientWriter) WriteHeader(status int) { p.w.WriteHeader(status) }

func (p *patientWriter) Write(b []byte) (int, error) {
	_ = p.controller.SetWriteDeadline(time.Now().Add(exportStep)) // a connection that has no deadlines needs none
	n, err := p.w.Write(b)
	if err != nil {
		err = errors.Join(errGone, err)
	}
	return n, err
}

// writeExport writes all rows or documents of an export.
func writeExport(e *query.Export, f format.Format, out io.Writer) error {
	switch f {
	case format.JSON:
		return writeDocuments(e, out, "[\n", ",\n", "\n]\n")
	case format.NDJSON:
		return writeDocuments(e, out, "", "\n", "\n")
	}
	_, err := writeTable(e, f, out)
	return err
}

// writeTable writes an export as a table, and gives the number of its rows.
func writeTable(e *query.Export, f format.Format, out io.Writer) (rows int64, err error) {
	enc, err := format.New(f, out, e.Columns)
	if err != nil {
		return 0, err
	}
	for {
		chunk, err := e.Next()
		if errors.Is(err, io.EOF) {
			return rows, enc.Close(format.Summary{})
		}
		if err == nil {
			err = enc.Rows(chunk, chunk.Rows)
			rows += int64(chunk.Rows)
		}
		if err != nil {
			return rows, err
		}
	}
}

// writeDocuments writes an export as documents with something before, between and behind them; behind none, only what is not a
// line of its own.
func writeDocuments(e *query.Export, out io.Writer, before, between, behind string) error {
	buf, some := []byte(before), false
	for {
		docs, err := e.Documents()
		if errors.Is(err, io.EOF) {
			if some || before != "" {
				buf = append(buf, behind...)
			}
			_, err = out.Write(buf)
			return err
		}
		if err != nil {
			return err
		}
		for _, doc := range docs {
			if some {
				buf = append(buf, between...)
			}
			buf, some = append(buf, doc...), true
		}
		if _, err := out.Write(buf); err != nil {
			return err
		}
		buf = buf[:0]
	}
}
