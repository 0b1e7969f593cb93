package api

import (
	"context"
	"errors"
	"math"
	"net/http"
	"strconv"
	"time"

	"headless.ly/catalog/problem"
)

// failure is the error object of interfaces.md 2.9.
type failure struct {
	Error      problem.Code     `json:"error"`
	Message    string           `json:"message"`
	Type       string           `json:"type,omitempty"`
	ID         string           `json:"id,omitempty"`
	Field      string           `json:"field,omitempty"`
	ExistingID string           `json:"existingId,omitempty"`
	Version    int64            `json:"$version,omitempty"`
	Position   *int             `json:"position,omitempty"`
	Details    []problem.Detail `json:"details,omitempty"`
	Supported  []string         `json:"supported,omitempty"`
	RequestID  string           `json:"requestId"`
}

// envelope is a failure on the /api address.
type envelope struct {
	Success bool    `json:"success"`
	Error   failure `json:"error"`
}

// fail answers with an error. It is the one place where codes become statuses.
func (r *request) fail(err error) {
	p := r.problem(err)
	status := statusOf(p.Code)
	h := r.c.Writer.Header()
	if wait := retryAfter(p, status); wait > 0 {
		h["Retry-After"] = []string{strconv.Itoa(wait)}
	}
	kind := p.Type
	if kind == "" && r.noun != nil {
		kind = r.noun.Name
	}
	f := failure{
		Error: p.Code, Message: p.Message, Type: kind, ID: p.ID, Field: p.Field, ExistingID: p.ExistingID,
		Version: p.Version, Position: p.Position, Details: p.Details, Supported: p.Supported, RequestID: r.requestID,
	}
	var v any = f
	if r.api {
		v = envelope{Error: f}
	}
	body, err := encode(v)
	if err != nil {
		panic(err) // strings and numbers alone: cannot happen
	}
	r.send(status, body)
}

// problem finds the Problem in an error. What has none is ours: it is logged whole and shown as nothing.
func (r *request) problem(err error) *problem.Problem {
	p, ok := errors.AsType[*problem.Problem](err)
	switch {
	case ok && (statusOf(p.Code) < http.StatusInternalServerError || p.Code == problem.NotYet):
		return p
	case ok && p.Code != problem.Internal:
		r.log(err)
		return p
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return problem.New(problem.Timeout, "the request took too long or was given up")
	default:
		r.log(err)
		return problem.New(problem.Internal, "internal error; quote the request id %s", r.requestID)
	}
}

func (r *request) log(err error) {
	r.s.log.Error("request failed", "request", r.requestID, "method", r.c.Request.Method, "path", r.c.Request.URL.Path, "error", err)
}

func statusOf(code problem.Code) int {
	switch code {
	case problem.InvalidFilter, problem.InvalidSort, problem.InvalidType, problem.InvalidID, problem.InvalidInclude,
		problem.InvalidFields, problem.InvalidCursor, problem.InvalidBody, problem.InvalidTenant, problem.InvalidAsOf,
		problem.TenantMismatch, problem.LimitExceeded, problem.InvalidSQL, problem.InvalidRequest:
		return http.StatusBadRequest
	case problem.Forbidden:
		return http.StatusForbidden
	case problem.NotFound:
		return http.StatusNotFound
	case problem.MethodNotAllowed:
		return http.StatusMethodNotAllowed
	case problem.Timeout:
		return http.StatusRequestTimeout
	case problem.Conflict, problem.IdempotencyConflict:
		return http.StatusConflict
	case problem.PreconditionFailed:
		return http.StatusPreconditionFailed
	case problem.PayloadTooLarge, problem.ResultTooLarge:
		return http.StatusRequestEntityTooLarge
	case problem.UnsupportedMediaType:
		return http.StatusUnsupportedMediaType
	case problem.Validation, problem.HookRejected, problem.MemoryExceeded:
		return http.StatusUnprocessableEntity
	case problem.Busy:
		return http.StatusTooManyRequests
	case problem.OutcomeUnknown, problem.NotYet, problem.Unavailable:
		return http.StatusServiceUnavailable
	case problem.StorageFull:
		return http.StatusInsufficientStorage
	default:
		return http.StatusInternalServerError
	}
}

// retryAfter is in seconds; 429 and 503 always have one.
func retryAfter(p *problem.Problem, status int) int {
	if p.RetryAfter > 0 {
		return int(math.Ceil(p.RetryAfter.Seconds()))
	}
	if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
		return int(defaultRetry.Seconds())
	}
	return 0
}

// defaultRetry is how long a client waits when nobody knows better: about one publish, or one reopening of a log.
const defaultRetry = time.Second
