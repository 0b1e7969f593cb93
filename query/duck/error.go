package duck

import (
	"encoding/json"
	"strconv"
	"strings"

	bindings "github.com/duckdb/duckdb-go-bindings"
)

// Kind is what sort of error DuckDB reports, in its own words: Parser, Binder, Out of Memory.
type Kind string

// The kinds that callers tell apart.
const (
	Catalog      Kind = "Catalog"
	Fatal        Kind = "FATAL"
	Internal     Kind = "INTERNAL"
	Interrupted  Kind = "INTERRUPT"
	InvalidInput Kind = "Invalid Input"
	IO           Kind = "IO"
	OutOfMemory  Kind = "Out of Memory"
	Parser       Kind = "Parser"
	Permission   Kind = "Permission"
)

// Error is what DuckDB says about a statement.
type Error struct {
	Kind     Kind
	Message  string
	Position int // byte of the statement; -1: not known
}

// Error gives kind and message.
func (e *Error) Error() string { return string(e.Kind) + " Error: " + e.Message }

// jsonError is an error as DuckDB writes it under errors_as_json.
type jsonError struct {
	Kind     Kind   `json:"exception_type"`
	Message  string `json:"exception_message"`
	Position string `json:"position"`
}

// failure reads an error text: the kind, then under errors_as_json an object that says more.
func failure(text string) *Error {
	kind, message, found := strings.Cut(text, " Error: ")
	if !found {
		kind, message = string(Internal), text
	}
	out := &Error{Kind(kind), message, -1}
	var e jsonError
	start := strings.Index(text, `{"exception_type":`)
	if start < 0 || json.NewDecoder(strings.NewReader(text[start:])).Decode(&e) != nil {
		return out
	}
	out.Kind, out.Message = e.Kind, e.Message
	if position, err := strconv.Atoi(e.Position); err == nil {
		out.Position = position
	}
	return out
}

func stateError(state bindings.State, text func() string) error {
	if state != bindings.StateError {
		return nil
	}
	return failure(text())
}
