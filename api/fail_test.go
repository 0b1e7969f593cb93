package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"headless.ly/catalog/noun"
	"headless.ly/catalog/problem"
)

// TestFail holds code, status and Retry-After of every error to interfaces.md 2.9 and ruling 23, at both addresses, and
// shows nothing of errors that are ours.
func TestFail(t *testing.T) {
	s := New(Config{Nouns: noun.Core(), Logger: slog.New(slog.DiscardHandler)})
	patient := problem.New(problem.Busy, "x")
	patient.RetryAfter = 1500 * time.Millisecond
	for _, c := range []struct {
		err    error
		status int
		code   problem.Code
		retry  string
	}{
		{problem.New(problem.InvalidFilter, "x"), 400, "invalid_filter", ""},
		{problem.New(problem.InvalidSort, "x"), 400, "invalid_sort", ""},
		{problem.New(problem.InvalidType, "x"), 400, "invalid_type", ""},
		{problem.New(problem.InvalidID, "x"), 400, "invalid_id", ""},
		{problem.New(problem.InvalidInclude, "x"), 400, "invalid_include", ""},
		{problem.New(problem.InvalidFields, "x"), 400, "invalid_fields", ""},
		{problem.New(problem.InvalidCursor, "x"), 400, "invalid_cursor", ""},
		{problem.New(problem.InvalidBody, "x"), 400, "invalid_body", ""},
		{problem.New(problem.InvalidTenant, "x"), 400, "invalid_tenant", ""},
		{problem.New(problem.InvalidAsOf, "x"), 400, "invalid_as_of", ""},
		{problem.New(problem.TenantMismatch, "x"), 400, "tenant_mismatch", ""},
		{problem.New(problem.LimitExceeded, "x"), 400, "limit_exceeded", ""},
		{problem.New(problem.InvalidRequest, "x"), 400, "invalid_request", ""},
		{problem.New(problem.Forbidden, "x"), 403, "forbidden", ""},
		{problem.New(problem.NotFound, "x"), 404, "not_found", ""},
		{problem.New(problem.MethodNotAllowed, "x"), 405, "method_not_allowed", ""},
		{problem.New(problem.Timeout, "x"), 408, "timeout", ""},
		{problem.New(problem.Conflict, "x"), 409, "conflict", ""},
		{problem.New(problem.IdempotencyConflict, "x"), 409, "idempotency_conflict", ""},
		{problem.New(problem.PreconditionFailed, "x"), 412, "precondition_failed", ""},
		{problem.New(problem.PayloadTooLarge, "x"), 413, "payload_too_large", ""},
		{problem.New(problem.UnsupportedMediaType, "x"), 415, "unsupported_media_type", ""},
		{problem.New(problem.Validation, "x"), 422, "validation_error", ""},
		{problem.New(problem.HookRejected, "x"), 422, "hook_rejected", ""},
		{problem.New(problem.Busy, "x"), 429, "busy", "1"},
		{patient, 429, "busy", "2"},
		{problem.New(problem.OutcomeUnknown, "x"), 503, "outcome_unknown", "1"},
		{problem.New(problem.NotYet, "x"), 503, "not_yet", "1"},
		{problem.New(problem.Unavailable, "x"), 503, "service_unavailable", "1"},
		{problem.New(problem.StorageFull, "x"), 507, "storage_full", ""},
		{problem.New(problem.Internal, "secret"), 500, "internal_error", ""},
		{fmt.Errorf("get: %w", problem.New(problem.NotFound, "x")), 404, "not_found", ""},
		{fmt.Errorf("read: %w", context.DeadlineExceeded), 408, "timeout", ""},
		{context.Canceled, 408, "timeout", ""},
		{errors.New("secret"), 500, "internal_error", ""},
	} {
		for _, path := range []string{"/~birch/Contact", "/api/contacts"} {
			w := httptest.NewRecorder()
			ctx, _ := gin.CreateTestContext(w)
			ctx.Request = httptest.NewRequest(http.MethodGet, path, nil)
			w.Header().Set("X-Request-Id", "req_1")
			s.request(ctx).fail(c.err)
			f := readFailure(t, w, path == "/api/contacts")
			if w.Code != c.status || f.Error != c.code || w.Header().Get("Retry-After") != c.retry || f.RequestID != "req_1" || f.Message == "" || f.Message == "secret" {
				t.Errorf("%v at %s: %d, Retry-After %q, %s", c.err, path, w.Code, w.Header().Get("Retry-After"), w.Body)
			}
		}
	}
}

func readFailure(t *testing.T, w *httptest.ResponseRecorder, enveloped bool) failure {
	t.Helper()
	if !enveloped {
		var f failure
		if err := json.Unmarshal(w.Body.Bytes(), &f); err != nil {
			t.Fatal(err)
		}
		return f
	}
	var e struct {
		Success *bool
		Error   failure
	}
	if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil || e.Success == nil || *e.Success {
		t.Fatalf("%v: %s", err, w.Body)
	}
	return e.Error
}
