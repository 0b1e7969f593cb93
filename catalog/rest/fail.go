package rest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/apache/iceberg-go"
	icecat "github.com/apache/iceberg-go/catalog"
	"github.com/apache/iceberg-go/table"

	"headless.ly/catalog"
)

// Error is the specification's error object. Its type is the name of the exception that the Java client knows.
type Error struct {
	Message string `json:"message"`
	Type    string `json:"type"`
	Code    int    `json:"code"` // the HTTP status
}

// Error implements error.
func (e *Error) Error() string { return e.Message }

func newError(code int, kind, format string, args ...any) *Error {
	return &Error{Message: fmt.Sprintf(format, args...), Type: kind, Code: code}
}

func badRequest(format string, args ...any) *Error {
	return newError(http.StatusBadRequest, "IllegalArgumentException", format, args...)
}

func forbidden(format string, args ...any) *Error {
	return newError(http.StatusForbidden, "ForbiddenException", format, args...)
}

func noNamespace(ns table.Identifier) *Error {
	return newError(http.StatusNotFound, "NoSuchNamespaceException", "Namespace does not exist: %s", dotted(ns))
}

func noTable(ident table.Identifier) *Error {
	return newError(http.StatusNotFound, "NoSuchTableException", "Table does not exist: %s", dotted(ident))
}

// taken says that a name which is wanted for one kind of thing is in use, for that or another kind.
func taken(wanted, has catalog.Kind, ident table.Identifier) *Error {
	what := map[catalog.Kind]string{catalog.KindTable: "Table", catalog.KindView: "View"}[has]
	if wanted != has {
		what += " with same name"
	}
	return newError(http.StatusConflict, "AlreadyExistsException", what+" already exists: %s", dotted(ident))
}

func commitFailed(format string, args ...any) *Error {
	return newError(http.StatusConflict, "CommitFailedException", format, args...)
}

// fail answers with an error. It is the one place where errors become statuses.
func (r *request) fail(err error) {
	e := r.problem(err)
	h := r.c.Writer.Header()
	if e.Code == http.StatusServiceUnavailable {
		h.Set("Retry-After", "1")
	}
	body, err := encode(struct {
		Error *Error `json:"error"`
	}{e})
	if err != nil {
		panic(err) // strings and numbers alone: cannot happen
	}
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	r.c.Writer.WriteHeader(e.Code)
	if r.c.Request.Method != http.MethodHead {
		r.c.Writer.Write(body) // a client that has gone away needs no answer
	}
}

// problem finds what to answer an error with. What is ours alone is logged whole and shown as nothing.
func (r *request) problem(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	e := r.classify(err)
	if r.namespaceOf() == nil && e.Code < http.StatusInternalServerError { // of a transaction: the error says which table
		e.Message = err.Error()
	}
	return e
}

func (r *request) classify(err error) *Error {
	switch {
	case errors.Is(err, catalog.ErrUnsettled):
		r.log(err)
		return newError(http.StatusInternalServerError, "CommitStateUnknownException",
			"It is not known whether this happened: the disk failed. Load again before repeating it")
	case errors.Is(err, table.ErrCommitFailed):
		return commitFailed("Commit failed: %s", err)
	case errors.Is(err, icecat.ErrNoSuchNamespace):
		return noNamespace(r.namespaceOf())
	case errors.Is(err, icecat.ErrNoSuchTable):
		return noTable(r.ident)
	case errors.Is(err, icecat.ErrNoSuchView):
		return newError(http.StatusNotFound, "NoSuchViewException", "View does not exist: %s", dotted(r.ident))
	case errors.Is(err, icecat.ErrTableAlreadyExists):
		return taken(r.kind, catalog.KindTable, r.ident)
	case errors.Is(err, icecat.ErrViewAlreadyExists):
		return taken(r.kind, catalog.KindView, r.ident)
	case errors.Is(err, icecat.ErrNamespaceAlreadyExists):
		return newError(http.StatusConflict, "AlreadyExistsException", "Namespace already exists: %s", dotted(r.namespace))
	case errors.Is(err, icecat.ErrNamespaceNotEmpty):
		return newError(http.StatusConflict, "NamespaceNotEmptyException", "Namespace %s is not empty.", dotted(r.namespace))
	case errors.Is(err, catalog.ErrLocationTaken):
		return newError(http.StatusConflict, "AlreadyExistsException", "%s", err)
	case errors.Is(err, iceberg.ErrInvalidArgument):
		return badRequest("%s", err)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return newError(http.StatusServiceUnavailable, "ServiceUnavailableException", "The request was given up")
	default:
		r.log(err)
		return newError(http.StatusInternalServerError, "InternalServerError", "Internal error")
	}
}

func (r *request) log(err error) {
	r.s.cfg.Logger.Error("iceberg request failed", "method", r.c.Request.Method, "path", r.path(), "error", err)
}
