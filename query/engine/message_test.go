package engine

import (
	"bytes"
	"errors"
	"reflect"
	"testing"
	"time"

	"headless.ly/query/duck"
)

// What is written is read.
func TestMessages(t *testing.T) {
	args := []any{nil, true, false, int64(-1), 0.25, "", "ü", time.Date(1900, 1, 2, 3, 4, 5, 6000, time.UTC)}
	b, err := appendArgs(nil, args, nil)
	m := message{rest: b}
	if got, named := m.args(); err != nil || !reflect.DeepEqual(got, args) || named != nil || m.end() != nil {
		t.Errorf("%v, %v, %v", got, named, err)
	}
	b, err = appendArgs(nil, nil, map[string]any{"a": "x"})
	m = message{rest: b}
	if got, named := m.args(); err != nil || got != nil || named["a"] != "x" || m.end() != nil {
		t.Errorf("%v, %v, %v", got, named, err)
	}
	columns := []duck.Column{{Name: "n", Type: duck.Decimal, SQL: "DECIMAL(4,1)", Width: 4, Scale: 1}, {Name: "j", Type: duck.Varchar, JSON: true}}
	m = message{rest: appendColumns(nil, columns)}
	if got := m.columns(); !reflect.DeepEqual(got, columns) || m.end() != nil {
		t.Errorf("%v", got)
	}
	for _, want := range []error{&duck.Error{Kind: duck.Parser, Message: "x", Position: -1}, ErrMemory, errStopped, errors.New("y")} {
		m = message{rest: appendFailure(nil, want)}
		if got := m.failure(); got.Error() != want.Error() {
			t.Errorf("%v, want %v", got, want)
		}
	}
}

// Whatever comes, reading it ends, and with an error or with values that can be written again.
func FuzzMessage(f *testing.F) {
	b, _ := appendArgs(nil, []any{nil, int64(1), 0.5, "text", time.Unix(1, 2)}, nil)
	f.Add(b)
	f.Add(appendColumns(nil, []duck.Column{{Name: "n", Type: duck.Varchar, SQL: "VARCHAR"}}))
	f.Add(appendFailure(nil, &duck.Error{Kind: duck.Parser, Message: "x", Position: 3}))
	f.Add(appendFailure(nil, duck.ErrArguments))
	f.Fuzz(func(t *testing.T, b []byte) {
		m := message{rest: b}
		if args, named := m.args(); m.end() == nil {
			if _, err := appendArgs(nil, args, named); err != nil {
				t.Error(err)
			}
		}
		m = message{rest: b}
		m.columns()
		m = message{rest: b}
		if m.failure() == nil {
			t.Error("a failure is none")
		}
		_, _, _ = readMessage(bytes.NewReader(b), nil)
	})
}
