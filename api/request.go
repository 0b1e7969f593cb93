package api

import (
	"context"
	"math"
	"net/url"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"

	"headless.ly/catalog/noun"
	"headless.ly/catalog/problem"
)

// request is what the path and the headers of one HTTP request say, decoded and checked. Fields that the route does not
// have are empty.
type request struct {
	c      *gin.Context
	s      *Service
	api    bool       // the /api address: answers stand in an envelope
	tenant string     // lower case; empty where the route has none
	noun   *noun.Noun // what :noun names
	name   string     // :noun as it stands in the path
	id     string     // :id, decoded: an $id or the value of a unique field
	action string     // :action, decoded
	// requestID is what X-Request-Id says in the answer.
	requestID string
}

// handler answers one request, or says why not.
type handler func(*request) error

// serve makes a gin handler of h: it reads the request first and sends whatever error comes out of either.
func (s *Service) serve(h handler) gin.HandlerFunc {
	return s.unread(func(r *request) error {
		if err := r.read(); err != nil {
			return err
		}
		return h(r)
	})
}

// unread is serve for where no route has matched, so that nothing can be read.
func (s *Service) unread(h handler) gin.HandlerFunc {
	return func(c *gin.Context) {
		r := s.request(c)
		if err := h(r); err != nil {
			r.fail(err)
		}
	}
}

func (s *Service) request(c *gin.Context) *request {
	return &request{c: c, s: s, requestID: requestID(c), api: inAPI(c.Request.URL.Path)}
}

func inAPI(path string) bool { return path == "/api" || strings.HasPrefix(path, "/api/") }

// read resolves tenant, noun, id and action, in the order in which they narrow the request.
func (r *request) read() error {
	var err error
	if r.tenant, err = r.resolveTenant(); err != nil {
		return err
	}
	for _, p := range r.c.Params {
		text, ok := decode(p.Value)
		switch p.Key {
		case "noun":
			r.name = text
			if r.noun, err = r.s.resolveNoun(text); err != nil {
				return err
			}
		case "id":
			if !ok || !validID(text) {
				return invalidID(r.noun, text)
			}
			r.id = text
		case "action":
			if !ok {
				return invalidID(r.noun, text)
			}
			r.action = text
		}
	}
	return nil
}

// resolveNoun finds the noun by any of its names. The exact name comes first because it is the usual one.
func (s *Service) resolveNoun(name string) (*noun.Noun, error) {
	if n, ok := s.nouns.Get(name); ok {
		return n, nil
	}
	if n, ok := s.nouns.Resolve(name); ok {
		return n, nil
	}
	p := problem.New(problem.NotFound, "there is no entity type %q", cut(name))
	p.Type = cut(name)
	return nil, p
}

// maxID bounds an id or natural key in a path (interfaces.md 2.6).
const maxID = 128

// validID reports whether text may stand for an entity: what is in the range and names nothing is not found, the rest is
// malformed.
func validID(text string) bool {
	if text == "" || len(text) > maxID {
		return false
	}
	for i := range len(text) {
		c := text[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' {
			continue
		}
		if strings.IndexByte("._~:@+-", c) < 0 {
			return false
		}
	}
	return true
}

func invalidID(n *noun.Noun, text string) error {
	p := problem.New(problem.InvalidID, "an id has 1 to %d characters from A-Z a-z 0-9 . _ ~ : @ + -", maxID)
	p.ID = cut(text)
	if n != nil {
		p.Type = n.Name
	}
	return p
}

// values are the query parameters.
func (r *request) values() (url.Values, error) {
	if r.c.Request.URL.RawQuery == "" {
		return nil, nil
	}
	v, err := url.ParseQuery(r.c.Request.URL.RawQuery)
	if err != nil {
		return nil, problem.New(problem.InvalidRequest, "the query string is malformed: %v", err)
	}
	return v, nil
}

// context is the request's context with the time that a read may take.
func (r *request) context() (context.Context, context.CancelFunc) {
	return context.WithTimeout(r.c.Request.Context(), r.s.cfg.ReadTimeout)
}

// header gives a request header by its canonical name.
func (r *request) header(canonical string) string {
	if v := r.c.Request.Header[canonical]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// minSeq is what X-Min-Seq demands; 0: nothing.
func (r *request) minSeq() (int64, error) {
	text := r.header("X-Min-Seq")
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		p := problem.New(problem.InvalidRequest, "X-Min-Seq is a sequence number from an earlier X-Seq")
		p.Field = "X-Min-Seq"
		return 0, p
	}
	return n, nil
}

// ifVersion is the version that If-Match demands; 0: any. An entity tag that no version of ours can have matches none.
func (r *request) ifVersion() (int64, error) {
	text := strings.TrimSpace(r.header("If-Match"))
	if text == "" || text == "*" {
		return 0, nil
	}
	if strings.Contains(text, ",") {
		p := problem.New(problem.InvalidRequest, "If-Match takes one entity tag")
		p.Field = "If-Match"
		return 0, p
	}
	if v := tagVersion(text); v > 0 {
		return v, nil
	}
	return math.MaxInt64, nil
}

// matches reports whether If-None-Match names the version.
func (r *request) matches(version int64) bool {
	text := r.header("If-None-Match")
	if text == "" {
		return false
	}
	for tag := range strings.SplitSeq(text, ",") {
		tag = strings.TrimSpace(tag)
		if tag == "*" || tagVersion(tag) == version {
			return true
		}
	}
	return false
}

// tagVersion reads "3", W/"3" or a bare 3; 0 for anything else.
func tagVersion(tag string) int64 {
	tag = strings.Trim(strings.TrimPrefix(tag, "W/"), `"`)
	v, err := strconv.ParseInt(tag, 10, 64)
	if err != nil || v < 1 {
		return 0
	}
	return v
}

// maxKey bounds an Idempotency-Key, which is kept for a day.
const maxKey = 255

func (r *request) idempotencyKey() (string, error) {
	key := r.header("Idempotency-Key")
	if len(key) > maxKey {
		p := problem.New(problem.InvalidRequest, "an Idempotency-Key has at most %d bytes", maxKey)
		p.Field = "Idempotency-Key"
		return "", p
	}
	return key, nil
}

// decode undoes the percent encoding of one path segment.
func decode(segment string) (string, bool) {
	if strings.IndexByte(segment, '%') < 0 {
		return segment, true
	}
	text, err := url.PathUnescape(segment)
	if err != nil {
		return segment, false
	}
	return text, true
}

func unescape(path string) string {
	text, _ := decode(path)
	return text
}

// cut shortens text that a message repeats.
func cut(text string) string {
	const most = 80
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}
