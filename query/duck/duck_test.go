package duck_test

import (
	"context"
	"errors"
	"io"
	"reflect"
	"strconv"
	"testing"
	"time"

	"headless.ly/query/duck"
)

func connect(t testing.TB) *duck.Conn {
	t.Helper()
	db, err := duck.Open(0)
	if err != nil {
		t.Fatal(err)
	}
	c, err := db.Connect()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); db.Close() })
	exec(t, c, "set errors_as_json = true")
	return c
}

func exec(t testing.TB, c *duck.Conn, text string) {
	t.Helper()
	if err := c.Exec(t.Context(), text); err != nil {
		t.Fatal(err)
	}
}

func all(t testing.TB, c *duck.Conn, text string, args ...any) [][]any {
	t.Helper()
	rows, err := c.Query(t.Context(), text, args...)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	out, err := rows.All(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// What is appended and what is bound comes back, over the border of two chunks, nulls among it.
func TestRoundTrip(t *testing.T) {
	c := connect(t)
	exec(t, c, "create table t (n bigint, f double, b boolean, s varchar, ts timestamptz, d date, m decimal(38,9), k decimal(4,1))")
	a, err := c.Append("t")
	if err != nil {
		t.Fatal(err)
	}
	when := time.Date(1969, 12, 31, 23, 59, 58, 999_999_000, time.UTC)
	day := time.Date(1900, 2, 28, 0, 0, 0, 0, time.UTC)
	row := []any{int64(-1), 0.5, true, "more than twelve bytes, \x00 and ü", when, day, "-18446744073709551617.000000001", "-99.9"}
	const count = 5000
	for i := range count {
		values := row
		if i%3 == 0 {
			values = make([]any, len(row))
		}
		if err := a.Row(values...); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	got := all(t, c, "select n, f, b, s, ts, d, cast(m as varchar), cast(k as varchar) from t")
	if len(got) != count {
		t.Fatalf("%d rows, want %d", len(got), count)
	}
	for i, have := range got {
		want := row
		if i%3 == 0 {
			want = make([]any, len(row))
		}
		if !reflect.DeepEqual(have, want) {
			t.Fatalf("row %d: %v, want %v", i, have, want)
		}
	}
	bound := all(t, c, "select ?, ?, ?, ?, ?, ?", row[0], row[1], row[2], row[3], row[4], nil)
	if want := append(append([]any{}, row[:5]...), nil); !reflect.DeepEqual(bound[0], want) {
		t.Errorf("bound: %v, want %v", bound[0], want)
	}
}

func TestAppendRefusesOtherTypes(t *testing.T) {
	c := connect(t)
	exec(t, c, "create table t (n integer)")
	a, err := c.Append("t")
	if err != nil {
		t.Fatal(err)
	}
	if a.Row(int64(1)) == nil || a.Row("1") == nil || a.Row(1, 2) == nil {
		t.Error("a value of another type was appended")
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Append("missing"); err == nil {
		t.Error("appending to no table")
	}
}

func TestErrors(t *testing.T) {
	c := connect(t)
	_, err := c.Query(t.Context(), "select 1 frm x y")
	failure, ok := errors.AsType[*duck.Error](err)
	if !ok || failure.Kind != duck.Parser || failure.Position != 13 {
		t.Errorf("%#v", err)
	}
	rows, err := c.Query(t.Context(), "select cast(if(i = 90000, 'x', '1') as int) from range(100000) t(i)")
	for err == nil {
		_, err = rows.Next(t.Context())
	}
	if failure, ok := errors.AsType[*duck.Error](err); !ok || failure.Kind != "Conversion" {
		t.Errorf("%#v", err)
	}
	if rows != nil {
		rows.Close()
	}
	s, err := c.Prepare(t.Context(), "select $a, $b")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.QueryNamed(t.Context(), map[string]any{"a": 1}); !errors.Is(err, duck.ErrArguments) {
		t.Errorf("missing argument: %v", err)
	}
	if _, err := s.QueryNamed(t.Context(), map[string]any{"a": 1, "b": 2, "c": 3}); !errors.Is(err, duck.ErrArguments) {
		t.Errorf("argument too many: %v", err)
	}
}

// A statement ends soon after its context, and the connection serves the next one.
func TestInterrupt(t *testing.T) {
	c := connect(t)
	for range 20 {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		start := time.Now()
		rows, err := c.Query(ctx, "select count(*) from range(1000000000) a(x), range(1000000) b(y) where x * y = 7")
		if err == nil {
			_, err = rows.Next(ctx)
			rows.Close()
		}
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > 2*time.Second {
			t.Fatalf("after %v: %v", time.Since(start), err)
		}
		cancel()
		if got := all(t, c, "select 42"); got[0][0] != int64(42) {
			t.Fatal(got)
		}
	}
}

// A result is computed as it is read.
func TestStreams(t *testing.T) {
	c := connect(t)
	rows, err := c.Query(t.Context(), "select i from range(1000000000000) t(i)")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for range 100 {
		if chunk, err := rows.Next(t.Context()); err != nil || chunk.Rows == 0 {
			t.Fatal(err)
		}
	}
}

func TestEmptyResult(t *testing.T) {
	c := connect(t)
	rows, err := c.Query(t.Context(), "select 1 where false")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	if _, err := rows.Next(t.Context()); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
}

func TestFunction(t *testing.T) {
	c := connect(t)
	err := c.Register("joined", 2, func(args []string) (string, error) {
		switch args[0] {
		case "fail":
			return "", errors.New("refused")
		case "panic":
			panic("at the disco")
		}
		return args[0] + "+" + args[1], nil
	})
	if err != nil {
		t.Fatal(err)
	}
	got := all(t, c, "select joined(cast(i as varchar), if(i % 2 = 0, 'even', null)) from range(10000) t(i) order by i")
	for i, row := range got {
		want := any(nil)
		if i%2 == 0 {
			want = strconv.Itoa(i) + "+even"
		}
		if row[0] != want {
			t.Fatalf("row %d: %v, want %v", i, row[0], want)
		}
	}
	for _, text := range []string{"fail", "panic"} {
		rows, err := c.Query(t.Context(), "select joined(?, '')", text)
		if err == nil {
			_, err = rows.Next(t.Context())
			rows.Close()
		}
		if err == nil {
			t.Errorf("%s: no error", text)
		}
	}
}
