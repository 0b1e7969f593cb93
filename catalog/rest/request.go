package rest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/apache/iceberg-go/table"
	"github.com/gin-gonic/gin"

	"headless.ly/catalog"
)

// request is one request and what is known of it so far, for its errors.
type request struct {
	s         *Server
	c         *gin.Context
	namespace table.Identifier // nil: none named
	ident     table.Identifier // of a table or view; nil: none named
	kind      catalog.Kind     // of what ident names
}

// namespaceOf gives the namespace that the request is about.
func (r *request) namespaceOf() table.Identifier {
	if r.ident != nil {
		return r.ident[:len(r.ident)-1]
	}
	return r.namespace
}

// path is the request's path, cut to what is readable in a message.
func (r *request) path() string {
	p := r.c.Request.URL.EscapedPath()
	return p[:min(len(p), 256)]
}

// dotted is a name as Java writes it.
func dotted(ident table.Identifier) string { return strings.Join(ident, ".") }

// separator stands between the parts of a namespace in a path or a query.
const separator = "\x1f"

// ginPath turns {x} into :x, as gin writes it, and leaves out the prefix.
func ginPath(path string) string {
	path = strings.Replace(path, prefix, "", 1)
	return strings.NewReplacer("{", ":", "}", "").Replace(path)
}

// inNamespace reads the namespace of the path.
func (r *request) inNamespace() error {
	ns, err := unescape(r.c.Param("namespace"))
	if err != nil {
		return err
	}
	r.namespace, err = parseNamespace(strings.Split(ns, separator))
	return err
}

// named reads the namespace of the path, and the name of a table or view within it.
func (r *request) named(kind catalog.Kind) error {
	if err := r.inNamespace(); err != nil {
		return err
	}
	name, err := unescape(r.c.Param(strings.ToLower(string(kind))))
	if err != nil {
		return err
	}
	return r.name(kind, name)
}

// name notes which table or view the request is about.
func (r *request) name(kind catalog.Kind, name string) (err error) {
	r.kind = kind
	r.ident, err = parseIdentifier(r.namespace, name)
	return err
}

func unescape(segment string) (string, error) {
	s, err := url.PathUnescape(segment)
	if err != nil {
		return "", badRequest("Cannot decode %q in the path", segment[:min(len(segment), 100)])
	}
	return s, nil
}

func parseNamespace(parts []string) (table.Identifier, error) {
	if len(parts) == 0 || len(parts) > maxLevels {
		return nil, badRequest("A namespace has 1 to %d levels", maxLevels)
	}
	for _, part := range parts {
		if err := checkName("namespace", part); err != nil {
			return nil, err
		}
		if strings.Contains(part, ".") {
			return nil, badRequest("Invalid namespace: a level cannot contain a dot: %q", part)
		}
	}
	return table.Identifier(parts), nil
}

func parseIdentifier(ns table.Identifier, name string) (table.Identifier, error) {
	if err := checkName("name", name); err != nil {
		return nil, err
	}
	return append(append(make(table.Identifier, 0, len(ns)+1), ns...), name), nil
}

// checkName refuses what could be taken for something else in a path, a file name or a log.
func checkName(what, name string) error {
	switch {
	case name == "":
		return badRequest("Invalid %s: it is empty", what)
	case len(name) > maxName:
		return badRequest("Invalid %s: it is longer than %d bytes", what, maxName)
	case name == "." || name == "..":
		return badRequest("Invalid %s: %q", what, name)
	case !utf8.ValidString(name):
		return badRequest("Invalid %s: it is not UTF-8", what)
	}
	for _, c := range name {
		if c < ' ' || c == 0x7f || c == '/' || c == '\\' {
			return badRequest("Invalid %s: %q must not contain %q", what, name, c)
		}
	}
	return nil
}

// identifier is a table's name in a body.
type identifier struct {
	Namespace []string `json:"namespace"`
	Name      string   `json:"name"`
}

func (i identifier) parse() (table.Identifier, error) {
	ns, err := parseNamespace(i.Namespace)
	if err != nil {
		return nil, err
	}
	return parseIdentifier(ns, i.Name)
}

// read reads the body, one JSON object, into v.
func (r *request) read(v any) error {
	req := r.c.Request
	if kind := req.Header.Get("Content-Type"); kind != "" {
		if media, _, err := mime.ParseMediaType(kind); err != nil || media != "application/json" {
			return newError(http.StatusUnsupportedMediaType, "BadRequestException", "The body is %.100q; send application/json", kind)
		}
	}
	if coding := req.Header.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		return newError(http.StatusUnsupportedMediaType, "BadRequestException", "The body is encoded as %.100q; send it as it is", coding)
	}
	body, err := io.ReadAll(http.MaxBytesReader(r.c.Writer, req.Body, maxBody))
	if errors.As(err, new(*http.MaxBytesError)) {
		return newError(http.StatusRequestEntityTooLarge, "BadRequestException", "The body is larger than %d bytes", maxBody)
	}
	if err != nil {
		return newError(http.StatusBadRequest, "BadRequestException", "The body ended early")
	}
	return parse(body, v)
}

// parse parses one JSON object.
func parse(body []byte, v any) (err error) {
	if trimmed := bytes.TrimLeft(body, " \t\r\n"); len(trimmed) == 0 || trimmed[0] != '{' {
		return newError(http.StatusBadRequest, "BadRequestException", "Malformed request: the body is not a JSON object")
	}
	if err := json.Unmarshal(body, v); err != nil {
		if e, ok := errors.AsType[*Error](err); ok {
			return e
		}
		return newError(http.StatusBadRequest, "BadRequestException", "Malformed request: %s", err)
	}
	return nil
}

// send answers with a JSON body that is complete.
func (r *request) send(status int, body []byte) error {
	h := r.c.Writer.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	r.c.Writer.WriteHeader(status)
	if r.c.Request.Method != http.MethodHead {
		r.c.Writer.Write(body) // a client that has gone away needs no answer
	}
	return nil
}

func (r *request) sendJSON(v any) error {
	body, err := encode(v)
	if err != nil {
		return err
	}
	return r.send(http.StatusOK, body)
}

// sendNothing answers that it is so, or done.
func (r *request) sendNothing() error {
	r.c.Status(http.StatusNoContent)
	r.c.Writer.WriteHeaderNow()
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

// page is what part of a list is asked for.
type page struct {
	all   bool // the client knows no pages
	after string
	size  int
}

// tokenMark begins every page token; what follows is the last name of the page before.
const tokenMark = "after:"

func parsePage(q url.Values) (page, error) {
	p := page{all: !q.Has("pageToken") && !q.Has("pageSize"), size: maxPage}
	if size := q.Get("pageSize"); size != "" {
		n, err := strconv.Atoi(size)
		if err != nil || n < 1 {
			return page{}, badRequest("Invalid pageSize: %.20q", size)
		}
		p.size = min(n, maxPage)
	}
	if token := q.Get("pageToken"); token != "" {
		text, err := base64.RawURLEncoding.DecodeString(token)
		after, found := strings.CutPrefix(string(text), tokenMark)
		if err != nil || !found || after == "" || checkName("pageToken", after) != nil {
			return page{}, badRequest("Invalid pageToken: %.100q", token)
		}
		p.after = after
	}
	return p, nil
}

// collect gives the names of a page, and the token of the next one; nil where there is none. list gives names after one, up
// to a number.
func collect(p page, list func(after string, limit int) ([]string, error)) ([]string, *string, error) {
	var names []string
	for {
		more, err := list(p.after, p.size+1)
		if err != nil {
			return nil, nil, err
		}
		if len(more) <= p.size {
			return append(names, more...), nil, nil
		}
		names, p.after = append(names, more[:p.size]...), more[p.size-1]
		if !p.all {
			token := base64.RawURLEncoding.EncodeToString([]byte(tokenMark + p.after))
			return names, &token, nil
		}
	}
}

// ours says whether a name is in the namespace of the log.
func ours(ident table.Identifier) bool { return len(ident) > 0 && ident[0] == catalog.Namespace }
