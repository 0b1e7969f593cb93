package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/go-json-experiment/json/jsontext"

	"headless.ly/catalog/entity"
	"headless.ly/catalog/noun"
	"headless.ly/catalog/problem"
	"headless.ly/lakehouse"
	"headless.ly/query"
)

// begin runs before every handler: it gives the request its id, permits other origins, and turns a panic into an answer.
func (s *Service) begin(c *gin.Context) {
	h := c.Writer.Header()
	if given := c.Request.Header["X-Request-Id"]; len(given) > 0 && printable(given[0]) {
		h["X-Request-Id"] = given[:1]
	} else {
		h["X-Request-Id"] = []string{noun.NewRequestID()}
	}
	if len(c.Request.Header["Origin"]) > 0 {
		allowOrigin(h)
	}
	defer s.recovered(c)
	c.Next()
}

// requestID is the id that begin gave the request: the answer's header keeps it.
func requestID(c *gin.Context) string { return c.Writer.Header()["X-Request-Id"][0] }

// recovered ends a request whose handler panicked. It must be deferred.
func (s *Service) recovered(c *gin.Context) {
	v := recover()
	if v == nil {
		return
	}
	if v == http.ErrAbortHandler || c.Writer.Written() {
		panic(http.ErrAbortHandler) // half an answer is none: net/http cuts the connection
	}
	s.request(c).fail(fmt.Errorf("panic: %v\n%s", v, debug.Stack()))
}

// maxRequestID bounds the request id that a client may choose: it is stored with each event.
const maxRequestID = 128

func printable(id string) bool {
	if id == "" || len(id) > maxRequestID {
		return false
	}
	for i := range len(id) {
		if id[i] <= ' ' || id[i] > '~' {
			return false
		}
	}
	return true
}

func allowOrigin(h http.Header) {
	h["Access-Control-Allow-Origin"] = []string{"*"}
	h["Access-Control-Expose-Headers"] = []string{"ETag, Idempotent-Replay, Retry-After, X-Consistency, X-Request-Id, X-Seq, X-Snapshot-At, X-Truncated"}
}

// preflight answers OPTIONS for every path.
func preflight(h http.Header) {
	allowOrigin(h)
	h.Set("Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")
	h.Set("Access-Control-Allow-Headers", "Content-Type, Authorization, X-API-Key, X-Tenant, X-Context, If-Match, If-None-Match, Idempotency-Key, X-Request-Id, X-Min-Seq")
	h.Set("Access-Control-Max-Age", "86400")
}

// send answers with a JSON body that is complete.
func (r *request) send(status int, body []byte) {
	h := r.c.Writer.Header()
	h["Content-Type"] = []string{"application/json"}
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	r.c.Writer.WriteHeader(status)
	r.c.Writer.Write(body) // a client that has gone away needs no answer
}

// sendJSON answers with a value. It is for the paths where encoding/json costs nothing that matters.
func (r *request) sendJSON(status int, v any) error {
	body, err := encode(v)
	if err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	r.send(status, body)
	return nil
}

// encode is json.Marshal that leaves < and > as they are.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// sendData answers with one JSON value, in the envelope where the address has one.
func (r *request) sendData(status int, data []byte) {
	if r.api {
		body := make([]byte, 0, len(data)+32)
		body = append(body, `{"success":true,"data":`...)
		body = append(body, data...)
		data = append(body, '}')
	}
	r.send(status, data)
}

// written answers with the entity as an event left it.
func (r *request) written(status int, e *lakehouse.Event) error {
	r.sendData(status, entity.WithContext(e.Data, r.s.cfg.Base, r.tenant))
	return nil
}

// readAt says in the headers which instant answered.
func (r *request) readAt(at query.At) {
	h := r.c.Writer.Header()
	h["X-Seq"] = []string{strconv.FormatInt(at.Seq, 10)}
	h["X-Consistency"] = []string{string(at.Mode)}
	if at.AsOf != nil {
		h["X-Snapshot-At"] = []string{string(appendTime(nil, at.AsOf.UnixMilli()))}
	}
}

// sendPage answers with one page of entities.
func (r *request) sendPage(p query.Page, countOnly bool) {
	r.readAt(p.At)
	if countOnly {
		r.sendData(http.StatusOK, append(strconv.AppendInt([]byte(`{"count":`), p.Total, 10), '}'))
		return
	}
	size := 256
	for _, doc := range p.Results {
		size += len(doc) + 1
	}
	b := make([]byte, 0, size)
	if r.api {
		b = append(b, `{"success":true,"data":[`...)
	} else {
		b = append(b, `{"results":[`...)
	}
	for i, doc := range p.Results {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, doc...)
	}
	if r.api {
		b = append(b, `],"meta":{"total":`...)
		b = strconv.AppendInt(b, p.Total, 10)
		b = append(b, `,"limit":`...)
		b = strconv.AppendInt(b, int64(p.Limit), 10)
		b = append(b, `,"offset":`...)
		b = strconv.AppendInt(b, int64(p.Offset), 10)
	} else {
		b = append(b, `],"total":`...)
		b = strconv.AppendInt(b, p.Total, 10)
	}
	b = append(b, `,"hasMore":`...)
	b = strconv.AppendBool(b, p.HasMore)
	if p.HasMore {
		b = append(b, `,"cursor":`...)
		b = appendText(b, p.Cursor)
	}
	b = append(b, '}')
	if r.api {
		b = append(b, '}')
	}
	r.send(http.StatusOK, b)
}

// methodNotAllowed names what is allowed in the Allow header as well.
func (r *request) methodNotAllowed(allow, format string, args ...any) error {
	r.c.Writer.Header()["Allow"] = []string{allow}
	p := problem.New(problem.MethodNotAllowed, format, args...)
	if r.noun != nil {
		p.Type = r.noun.Name
	}
	return p
}

// appendText appends s as a JSON string.
func appendText(b []byte, s string) []byte {
	b, _ = jsontext.AppendQuote(b, s) // invalid UTF-8 becomes U+FFFD
	return b
}

// appendTime appends a time as it stands in all answers: UTC, to the millisecond.
func appendTime(b []byte, milliseconds int64) []byte {
	return time.UnixMilli(milliseconds).UTC().AppendFormat(b, "2006-01-02T15:04:05.000Z")
}
