package problem

import (
	"errors"
	"fmt"
	"time"
)

// Code is the machine-readable name of a failure, as it stands in the "error" member of an answer.
type Code string

// The request cannot be understood.
const (
	InvalidFilter  Code = "invalid_filter"
	InvalidSort    Code = "invalid_sort"
	InvalidType    Code = "invalid_type"
	InvalidID      Code = "invalid_id"
	InvalidInclude Code = "invalid_include"
	InvalidFields  Code = "invalid_fields"
	InvalidCursor  Code = "invalid_cursor"
	InvalidBody    Code = "invalid_body"
	InvalidTenant  Code = "invalid_tenant"
	InvalidAsOf    Code = "invalid_as_of"
	TenantMismatch Code = "tenant_mismatch"
	LimitExceeded  Code = "limit_exceeded"
	InvalidSQL     Code = "invalid_sql"
	InvalidRequest Code = "invalid_request" // any other malformed parameter, named in Field
)

// The request is understood and refused; nothing was written.
const (
	NotFound             Code = "not_found"
	Forbidden            Code = "forbidden"
	MethodNotAllowed     Code = "method_not_allowed"
	Conflict             Code = "conflict"
	IdempotencyConflict  Code = "idempotency_conflict"
	PreconditionFailed   Code = "precondition_failed"
	PayloadTooLarge      Code = "payload_too_large"
	UnsupportedMediaType Code = "unsupported_media_type"
	Validation           Code = "validation_error"
	HookRejected         Code = "hook_rejected"
	ResultTooLarge       Code = "result_too_large" // and the caller forbade truncation
	MemoryExceeded       Code = "memory_exceeded"  // of one query
)

// The service cannot answer now, or cannot know.
const (
	Busy           Code = "busy"            // the tenant's queue is full; nothing was written
	OutcomeUnknown Code = "outcome_unknown" // the commit may or may not be on disk; retry with the same idempotency key
	NotYet         Code = "not_yet"         // X-Min-Seq was not reached in time
	Unavailable    Code = "service_unavailable"
	StorageFull    Code = "storage_full"
	Timeout        Code = "timeout"
	DataDamaged    Code = "data_damaged" // what is stored is not as it was written; repairing it is the operator's
	Internal       Code = "internal_error"
)

// Detail is what is wrong with one field of a body.
type Detail struct {
	Field   string `json:"field"`
	Message string `json:"message"`
}

// Problem is an error with a code. The zero values of the optional fields are left out of answers.
type Problem struct {
	Code       Code
	Message    string
	Type       string // noun name
	ID         string
	Field      string
	ExistingID string // Conflict: who holds the unique value
	Version    int64  // PreconditionFailed: the entity's current version
	Position   *int   // InvalidSQL: byte of the statement, where it is known
	Details    []Detail
	RetryAfter time.Duration
	Supported  []string // InvalidFilter: the operators; NotFound of a verb: the noun's verbs
	Cause      error    // for the log; never shown
}

// New builds a Problem with a formatted message.
func New(code Code, format string, args ...any) *Problem {
	return &Problem{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Error gives code, message and cause, for logs.
func (p *Problem) Error() string {
	s := string(p.Code) + ": " + p.Message
	if p.Cause != nil {
		s += ": " + p.Cause.Error()
	}
	return s
}

// Unwrap gives the cause.
func (p *Problem) Unwrap() error { return p.Cause }

// Is reports whether err is, or wraps, a Problem with this code.
func Is(err error, code Code) bool {
	p, ok := errors.AsType[*Problem](err)
	return ok && p.Code == code
}
