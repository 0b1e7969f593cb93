package api

import (
	"errors"
	"io"
	"mime"
	"strings"

	"headless.ly/catalog/entity"
	"headless.ly/catalog/problem"
)

// object reads the body, which must be one JSON object.
func (r *request) object() (entity.Object, error) {
	body, err := r.jsonBody()
	if err != nil {
		return nil, err
	}
	if len(body) == 0 {
		return nil, problem.New(problem.InvalidBody, "the body is empty; send a JSON object")
	}
	return parseObject(body)
}

// optionalObject reads a body that may be left out.
func (r *request) optionalObject() (entity.Object, error) {
	body, err := r.jsonBody()
	if err != nil || len(body) == 0 {
		return nil, err
	}
	return parseObject(body)
}

func parseObject(body []byte) (entity.Object, error) {
	o, err := entity.Parse(body)
	if errors.Is(err, entity.ErrNotObject) {
		return nil, problem.New(problem.InvalidBody, "the body is not a JSON object")
	}
	if err != nil {
		return nil, problem.New(problem.InvalidBody, "the body is not valid JSON: %s", entity.Syntax(err))
	}
	return o, nil
}

// jsonBody reads the whole body, which must call itself JSON, or nothing if it is empty.
func (r *request) jsonBody() ([]byte, error) {
	req := r.c.Request
	if req.ContentLength == 0 || req.Body == nil {
		return nil, nil
	}
	if kind := r.header("Content-Type"); kind != "application/json" && !isJSON(kind) {
		return nil, problem.New(problem.UnsupportedMediaType, "the body is %q; send application/json", cut(kind))
	}
	if coding := r.header("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		return nil, problem.New(problem.UnsupportedMediaType, "the body is encoded as %q; send it as it is", cut(coding))
	}
	return r.readBody()
}

// readBody reads the body into one buffer. A body beyond the limit is read up to the limit, so that a client which sends
// before it listens gets the answer.
func (r *request) readBody() ([]byte, error) {
	limit := r.s.cfg.MaxBody
	size := r.c.Request.ContentLength
	if size > limit {
		io.Copy(io.Discard, io.LimitReader(r.c.Request.Body, limit)) // its error changes nothing: the body is refused
		return nil, tooLarge(limit)
	}
	if size > 0 {
		body := make([]byte, size)
		if _, err := io.ReadFull(r.c.Request.Body, body); err != nil {
			return nil, unreadable(err)
		}
		return body, nil
	}
	body, err := io.ReadAll(io.LimitReader(r.c.Request.Body, limit+1))
	if err != nil {
		return nil, unreadable(err)
	}
	if int64(len(body)) > limit {
		return nil, tooLarge(limit)
	}
	return body, nil
}

func tooLarge(limit int64) error {
	return problem.New(problem.PayloadTooLarge, "the body is larger than %d bytes", limit)
}

func unreadable(err error) error {
	p := problem.New(problem.InvalidBody, "the body ended early")
	p.Cause = err
	return p
}

// isJSON reports whether a content type is JSON in UTF-8. One that is not given counts as JSON.
func isJSON(contentType string) bool {
	kind := mediaType(contentType)
	return kind == "" || kind == "application/json" || strings.HasPrefix(kind, "application/") && strings.HasSuffix(kind, "+json")
}

// mediaType is the type alone, in lower case; "?" for one that is malformed or in another character set.
func mediaType(contentType string) string {
	if contentType == "" {
		return ""
	}
	kind, params, err := mime.ParseMediaType(contentType)
	charset := params["charset"]
	if err != nil || charset != "" && !strings.EqualFold(charset, "utf-8") && !strings.EqualFold(charset, "us-ascii") {
		return "?"
	}
	return kind
}
