package api

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"headless.ly/catalog/entity"
	"headless.ly/catalog/problem"
	"headless.ly/query"
	"headless.ly/query/format"
)

// sqlRequest is what a statement is asked with (analytics.md 2).
type sqlRequest struct {
	query.SQL
	whole  bool // truncate: false
	format format.Format
	across map[string]time.Duration // of a statement over several tenants: the freshness of its tables
}

// runSQL: GET and POST /sql
func runSQL(r *request) error {
	q, err := r.sqlRequest()
	if err != nil {
		return err
	}
	start := time.Now()
	result, err := r.s.reader.SQL(r.c.Request.Context(), r.tenant, q.SQL)
	if err != nil {
		return err
	}
	defer result.Close()
	return r.sendResult(result, q, start)
}

func (r *request) sqlRequest() (sqlRequest, error) {
	var q sqlRequest
	v, err := r.values()
	if err != nil {
		return q, err
	}
	if q.MinSeq, err = r.minSeq(); err != nil {
		return q, err
	}
	if err := q.readValues(v); err != nil {
		return q, err
	}
	if r.c.Request.Method == http.MethodPost {
		err = r.readStatement(&q)
	}
	if err == nil {
		q.format, err = r.resultFormat()
	}
	return q, err
}

// readStatement reads the body of a POST: the statement alone, or an object.
func (r *request) readStatement(q *sqlRequest) error {
	switch mediaType(r.header("Content-Type")) {
	case "text/plain", "application/sql":
		body, err := r.readBody()
		q.Text = string(body)
		return err
	}
	o, err := r.object()
	if err != nil {
		return err
	}
	for _, m := range o {
		if err := q.member(m); err != nil {
			return err
		}
	}
	return nil
}

// sqlParameters are the arguments of a statement, by their names in a query string.
var sqlParameters = []string{"q", "params", "asOf", "strong", "limit", "timeoutMs", "truncate"}

// readValues reads the arguments that stand in the query string, as members of a body.
func (q *sqlRequest) readValues(v url.Values) error {
	for _, name := range sqlParameters {
		if !v.Has(name) {
			continue
		}
		m := entity.Member{Name: name, Value: jsontext.Value(strings.TrimSpace(v.Get(name)))}
		switch name {
		case "q":
			m.Name = "sql"
			m.Value = entity.Quote(v.Get(name))
		case "asOf":
			m.Value = entity.Quote(v.Get(name))
		case "strong":
			if v.Get(name) == "" { // ?strong alone
				m.Value = jsontext.Value("true")
			}
		}
		if !m.Value.IsValid() {
			return badArgument(m.Name)
		}
		if err := q.member(m); err != nil {
			return err
		}
	}
	return nil
}

// member reads one member of the body.
func (q *sqlRequest) member(m entity.Member) (err error) {
	ok := true
	switch m.Name {
	case "sql":
		q.Text, ok = entity.Unquote(m.Value), m.Value.Kind() == '"'
	case "params":
		ok, err = q.params(m.Value)
	case "asOf":
		if m.Value.Kind() != 'n' {
			q.AsOf, ok = entity.Unquote(m.Value), m.Value.Kind() == '"'
		}
	case "strong":
		q.Strong, ok = boolean(m.Value)
	case "truncate":
		truncate, isBool := boolean(m.Value)
		q.whole, ok = !truncate, isBool
	case "limit":
		q.Limit, ok = positive(m.Value)
	case "timeoutMs":
		ms, isNumber := positive(m.Value)
		q.Timeout, ok = time.Duration(min(ms, int(time.Hour.Milliseconds())))*time.Millisecond, isNumber
	default:
		return unknownArgument(m.Name, "sql", "params", "asOf", "strong", "limit", "timeoutMs", "truncate")
	}
	if err == nil && !ok {
		err = badArgument(m.Name)
	}
	return err
}

// unknownArgument refuses a member that means nothing, rather than to run what was not meant.
func unknownArgument(name string, known ...string) error {
	p := problem.New(problem.InvalidBody, "there is no argument %q", cut(name))
	p.Field, p.Supported = cut(name), known
	return p
}

// argumentForms says what the arguments of statements are.
var argumentForms = map[string]string{
	"sql": "a string", "params": "an array or an object of values", "asOf": "an instant", "strong": "true or false",
	"truncate": "true or false", "limit": "a number from 1 on", "timeoutMs": "a number from 1 on",
}

func badArgument(name string) error {
	p := problem.New(problem.InvalidBody, "%s is %s", name, argumentForms[name])
	p.Field = name
	return p
}

func boolean(v jsontext.Value) (value, ok bool) {
	return v.Kind() == 't', v.Kind() == 't' || v.Kind() == 'f'
}

func positive(v jsontext.Value) (int, bool) {
	n, err := strconv.Atoi(string(v))
	return n, v.Kind() == '0' && err == nil && n > 0
}

// params reads an array or object of parameters.
func (q *sqlRequest) params(v jsontext.Value) (ok bool, err error) {
	switch v.Kind() {
	case '[':
		var values []jsontext.Value
		values, ok = entity.Elements(v)
		for _, e := range values {
			q.Args = append(q.Args, parameter(e))
		}
		return ok, nil
	case '{':
		o, failed := entity.Parse(v)
		q.Named, err = map[string]any{}, failed
		for _, m := range o {
			q.Named[m.Name] = parameter(m.Value)
		}
	case 'n':
	default:
		return false, nil
	}
	return err == nil, nil
}

// parameter is a JSON value as a statement takes it. Arrays and objects are their text.
func parameter(v jsontext.Value) any {
	switch v.Kind() {
	case 'n':
		return nil
	case 't', 'f':
		return v.Kind() == 't'
	case '"':
		return entity.Unquote(v)
	case '0':
		if n, err := strconv.ParseInt(string(v), 10, 64); err == nil {
			return n
		}
		f, _ := strconv.ParseFloat(string(v), 64) // out of range: an infinity
		return f
	}
	return string(v)
}

// Limits of an answer.
const (
	maxResultBytes = 1 << 30  // of an answer that is streamed
	maxHeldBytes   = 64 << 20 // of one that is held, because it must not be cut off
	maxLateBytes   = 256 << 10
)

// truncated is the header, or trailer, that says that rows were left out.
const truncated = "X-Truncated"

// sendResult streams a result. What fails while nothing is sent becomes an error answer; later the connection is cut.
func (r *request) sendResult(result *query.Result, q sqlRequest, start time.Time) error {
	r.readAt(result.At)
	h := r.c.Writer.Header()
	if q.across != nil { // each tenant has a seq of its own
		h.Del("X-Seq")
	}
	h["Content-Type"] = []string{q.format.ContentType()}
	out := &lateWriter{to: r.c.Writer, most: maxLateBytes, limit: maxResultBytes}
	if q.whole {
		out.most, out.limit = maxHeldBytes, maxHeldBytes
	}
	err := r.encode(result, q, out, start)
	if err == nil && q.whole && (result.Truncated || out.full) {
		err = problem.New(problem.ResultTooLarge, "the result has more than %d rows or %d bytes", result.Limit, maxHeldBytes)
	}
	switch {
	case err == nil:
		return out.end(result.Truncated)
	case out.sent || r.c.Request.Context().Err() != nil:
		panic(http.ErrAbortHandler) // half an answer is none
	}
	for _, name := range []string{"Content-Type", "Trailer", "X-Seq", "X-Consistency", "X-Snapshot-At"} {
		h.Del(name)
	}
	return err
}

// encode writes a result in its format.
func (r *request) encode(result *query.Result, q sqlRequest, out *lateWriter, start time.Time) error {
	enc, err := format.New(q.format, out, result.Columns)
	if err != nil {
		return err
	}
	for !out.full {
		chunk, n, err := result.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = enc.Rows(chunk, n)
		}
		if err != nil {
			return err
		}
	}
	if out.full {
		result.Truncated = true
	}
	end := format.Summary{
		Rows: result.Rows(), Truncated: result.Truncated, Limit: result.Limit, Seq: result.Seq, AsOf: result.AsOf, Elapsed: time.Since(start),
	}
	if q.across != nil {
		end.Seqs, end.Freshness = result.Seqs, q.across
	}
	return enc.Close(end)
}

// lateWriter sends the header of an answer only when some of the body is there, so that what fails early can still be said.
type lateWriter struct {
	to      http.ResponseWriter
	waiting []byte
	most    int // that waits
	limit   int // below 0: none
	written int
	sent    bool // the header
	full    bool // the limit is reached: the last write was the last that counts
}

// Write keeps or sends. It takes all that comes, so that a format can be ended in order.
func (w *lateWriter) Write(p []byte) (int, error) {
	w.written += len(p)
	w.full = w.full || w.limit >= 0 && w.written >= w.limit
	if !w.sent && len(w.waiting)+len(p) <= w.most {
		w.waiting = append(w.waiting, p...)
		return len(p), nil
	}
	if err := w.start(w.limit >= 0); err != nil {
		return 0, err
	}
	return w.to.Write(p)
}

// start sends the header and what waits.
func (w *lateWriter) start(trailer bool) error {
	if w.sent {
		return nil
	}
	if trailer {
		w.to.Header()["Trailer"] = []string{truncated}
	}
	w.sent = true
	w.to.WriteHeader(http.StatusOK)
	_, err := w.to.Write(w.waiting)
	w.waiting = nil
	return err
}

// finish sends what is left of an answer that nothing is left out of.
func (w *lateWriter) finish() error {
	if !w.sent {
		w.to.Header()["Content-Length"] = []string{strconv.Itoa(len(w.waiting))}
	}
	_ = w.start(false) // a client that has gone away needs no answer
	return nil
}

// end sends what is left, and whether rows were left out: as a header if nothing was sent, else as a trailer.
func (w *lateWriter) end(cut bool) error {
	h := w.to.Header()
	if !w.sent {
		h["Content-Length"] = []string{strconv.Itoa(len(w.waiting))}
	}
	if cut {
		h[truncated] = []string{"true"}
	} else if w.sent {
		h[truncated] = []string{"false"}
	}
	_ = w.start(false) // a client that has gone away needs no answer
	return nil
}
