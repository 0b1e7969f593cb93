package engine_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"headless.ly/catalog/problem"
	"headless.ly/query/duck"
	"headless.ly/query/engine"
)

// TestMain runs this binary as the engine of its own tests, if it was started as one.
func TestMain(m *testing.M) {
	if engine.Started() {
		fmt.Fprintln(os.Stderr, engine.Serve(functions))
		os.Exit(0)
	}
	if os.Getenv(asServer) != "" {
		serveUntilKilled()
	}
	os.Exit(m.Run())
}

// asServer is set where this binary is a server with an engine.
const asServer = "HEADLESSLY_ENGINE_TEST_SERVER"

// serveUntilKilled starts an engine, says its process, and works in it.
func serveUntilKilled() {
	p, err := engine.Start(engine.Config{})
	if err != nil {
		panic(err)
	}
	db, err := p.Open(context.Background())
	if err != nil {
		panic(err)
	}
	c, err := db.Connect(context.Background())
	if err != nil {
		panic(err)
	}
	fmt.Println(p.Status().PID)
	_, err = run(context.Background(), c, endless)
	panic(err)
}

// endless is a statement that does not end by itself.
const endless = "select count(*) from range(1000000000) a(x), range(1000000) b(y) where x * y = 7"

// functions are what the tests' databases know: one that tries what a fence keeps out.
func functions([]byte) ([]engine.Function, error) {
	return []engine.Function{{Name: "attempt", Arity: 2, Call: func(args []string) (string, error) { return attempt(args[0], args[1]) }}}, nil
}

// start starts an engine that ends with the test.
func start(t testing.TB, cfg engine.Config) *engine.Process {
	t.Helper()
	p, err := engine.Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// connect opens a database of its own.
func connect(t testing.TB, p *engine.Process) *engine.Conn {
	t.Helper()
	db, err := p.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c, err := db.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	execute(t, c, "set errors_as_json = true")
	return c
}

func execute(t testing.TB, c *engine.Conn, text string) {
	t.Helper()
	if err := c.Exec(t.Context(), text); err != nil {
		t.Fatal(err)
	}
}

// run gives all rows of a statement.
func run(ctx context.Context, c *engine.Conn, text string, args ...any) ([][]any, error) {
	rows, err := c.Query(ctx, text, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	return rows.All(ctx)
}

// Every type goes there and back: as an argument, appended, and in results of many chunks with large values.
func TestValues(t *testing.T) {
	c := connect(t, start(t, engine.Config{}))
	when := time.Date(1969, 12, 31, 23, 59, 58, 999_999_000, time.UTC)
	row := []any{int64(-1), 0.5, true, strings.Repeat("x\x00ü", 300), when, nil}
	got, err := run(t.Context(), c, "select ?, ?, ?, ?, ?, ?", row...)
	if err != nil || !reflect.DeepEqual(got, [][]any{row}) {
		t.Errorf("bound: %v, %v", got, err)
	}
	execute(t, c, "create table t (n bigint, f double, b boolean, s varchar, ts timestamptz, k decimal(4,1))")
	a, err := c.Append("t")
	if err != nil {
		t.Fatal(err)
	}
	const count = 5000
	for range count {
		if err := a.Row(row...); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	got, err = run(t.Context(), c, "from t")
	if err != nil || len(got) != count {
		t.Fatalf("%d rows, %v", len(got), err)
	}
	for i := range got {
		if !reflect.DeepEqual(got[i], row) {
			t.Fatalf("row %d: %v", i, got[i])
		}
	}
	got, err = run(t.Context(), c, "select if(i % 3 = 0, null, repeat('ab', 1000000)) from range(30) r(i)")
	if err != nil || len(got) != 30 || got[0][0] != nil || len(got[29][0].(string)) != 2_000_000 {
		t.Errorf("large texts: %d rows, %v", len(got), err)
	}
}

func TestErrors(t *testing.T) {
	c := connect(t, start(t, engine.Config{}))
	_, err := c.Query(t.Context(), "select 1 frm x y")
	failure, ok := errors.AsType[*duck.Error](err)
	if !ok || failure.Kind != duck.Parser || failure.Position != 13 {
		t.Errorf("%#v", err)
	}
	if _, err := run(t.Context(), c, "select cast(if(i = 90000, 'x', '1') as int) from range(100000) t(i)"); err == nil {
		t.Error("a failure behind some rows was not told")
	}
	s, err := c.Prepare(t.Context(), "select $a, $b")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.QueryNamed(t.Context(), map[string]any{"a": 1}); !errors.Is(err, duck.ErrArguments) {
		t.Errorf("missing argument: %v", err)
	}
	if _, err := s.Query(t.Context(), struct{}{}); err == nil {
		t.Error("bound what is no value")
	}
	execute(t, c, "create table t (n bigint)")
	for table, value := range map[string]any{"t": "text", "missing": int64(1)} {
		a, err := c.Append(table)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(a.Row(value), a.Close()); err == nil {
			t.Errorf("appended %v to %s", value, table)
		}
	}
	if got, err := run(t.Context(), c, "select 42"); err != nil || got[0][0] != int64(42) {
		t.Errorf("after all that: %v, %v", got, err)
	}
}

// A statement ends soon after its context, and the connection serves the next one; so does one whose rows are left.
func TestStop(t *testing.T) {
	c := connect(t, start(t, engine.Config{}))
	for range 20 {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		_, err := run(ctx, c, endless)
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		rows, err := c.Query(t.Context(), "select i from range(1000000000000) t(i)")
		if err != nil {
			t.Fatal(err)
		}
		if chunk, err := rows.Next(t.Context()); err != nil || chunk.Rows == 0 {
			t.Fatal(err)
		}
		rows.Close()
		if got, err := run(t.Context(), c, "select 42"); err != nil || got[0][0] != int64(42) {
			t.Fatal(got, err)
		}
	}
}

// The databases of a process are apart, live as long as a connection to them, and see one another's tables on one database only.
func TestDatabases(t *testing.T) {
	p := start(t, engine.Config{})
	db, err := p.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	first, err := db.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	execute(t, first, "create table t as select 1 as n")
	second, err := db.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	first.Close()
	if _, err := run(t.Context(), second, "from t"); err != nil {
		t.Error(err)
	}
	if _, err := run(t.Context(), connect(t, p), "from t"); err == nil {
		t.Error("another database has the table")
	}
	second.Close()
	third, err := db.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer third.Close()
	if _, err := run(t.Context(), third, "from t"); err == nil {
		t.Error("the database outlived its connections")
	}
}

// A process that is killed fails what runs in it, and another takes over.
func TestKill(t *testing.T) {
	p := start(t, engine.Config{})
	for i := range 10 {
		db, err := p.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		c, err := db.Connect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		failed := make(chan error, 1)
		go func() {
			_, err := run(context.Background(), c, endless)
			failed <- err
		}()
		if err := syscall.Kill(p.Status().PID, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		down, ok := errors.AsType[*problem.Problem](<-failed)
		if !ok || down.Code != problem.Unavailable || down.RetryAfter == 0 {
			t.Fatalf("kill %d: %v", i, down)
		}
		c.Close()
		if db.Lives() {
			if _, err := db.Connect(t.Context()); err == nil {
				t.Error("the database of a killed process took a connection")
			}
		}
	}
	if _, err := run(t.Context(), connect(t, p), "select 1"); err != nil {
		t.Error(err)
	}
	if s := p.Status(); s.Restarts != 10 || s.PID == 0 || s.Uptime <= 0 {
		t.Errorf("%+v", s)
	}
	p.Close()
	_, err := p.Open(t.Context())
	if !problem.Is(err, problem.Unavailable) {
		t.Errorf("after the end: %v", err)
	}
}

// An engine ends with its server, however that ends, and whatever it is doing.
func TestEndsWithItsServer(t *testing.T) {
	server := exec.Command(os.Args[0])
	server.Env = append(os.Environ(), asServer+"=1")
	out, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	var pid int
	_, scanErr := fmt.Fscan(out, &pid)
	if err := server.Process.Kill(); err != nil || scanErr != nil {
		t.Fatal(err, scanErr)
	}
	_ = server.Wait() // it was killed
	for deadline := time.Now().Add(30 * time.Second); runs(pid); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the engine outlived its server")
		}
	}
}

// runs says whether a process has not ended; one that nobody has asked for its end may still be listed.
func runs(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return syscall.Kill(pid, 0) == nil && (err != nil || !strings.Contains(string(stat), ") Z "))
}

// A process without memory stops expendable statements and no others; one that goes on growing ends.
func TestMemory(t *testing.T) {
	p := start(t, engine.Config{MemoryMB: 400})
	hog := "select len(list(repeat('x', 1000) || i)) from range(10000000) r(i)"
	c := connect(t, p)
	c.Expendable = true
	if _, err := run(t.Context(), c, hog); !errors.Is(err, engine.ErrMemory) {
		t.Errorf("an expendable statement: %v", err)
	}
	c.Expendable = false
	if _, err := run(t.Context(), c, hog); !problem.Is(err, problem.Unavailable) {
		t.Errorf("a statement that is not: %v", err)
	}
}

// Each fence holds by itself, as functions that run in the process find; whether the system has it is in the status.
func TestFences(t *testing.T) {
	within, without := t.TempDir(), t.TempDir()
	for _, dir := range []string{within, without} {
		if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("SECRET", "a secret")
	p := start(t, engine.Config{ReadOnly: []string{within}, ReadWrite: []string{t.TempDir()}})
	c := connect(t, p)
	missing := strings.Join(p.Status().Missing, "\n")
	attempts := []struct{ fence, what, with, want string }{
		{"", "read", within + "/file", "done"},
		{"", "getenv", "SECRET", ""},
		{"files", "read", "/etc/passwd", "permission denied"},
		{"files", "read", without + "/file", "permission denied"},
		{"files", "read", "/proc/" + fmt.Sprint(os.Getpid()) + "/environ", "permission denied"},
		{"files", "write", within + "/file", "permission denied"},
		{"files", "write", within + "/new", "permission denied"},
		{"files", "remove", within + "/file", "permission denied"},
		{"system calls", "connect", "127.0.0.1:1", "operation not permitted"},
		{"system calls", "connect", "[::1]:1", "operation not permitted"},
		{"system calls", "execute", "/proc/self/exe", "operation not permitted"},
		{"system calls", "signal", fmt.Sprint(os.Getpid()), "operation not permitted"},
		{"system calls", "trace", fmt.Sprint(os.Getpid()), "operation not permitted"},
		{"system calls", "chmod", within + "/file", "operation not permitted"},
		{"open files", "limit", fmt.Sprint(syscall.RLIMIT_NOFILE), "4096"},
		{"core files", "limit", fmt.Sprint(syscall.RLIMIT_CORE), "0"},
	}
	for _, a := range attempts {
		if a.fence != "" && strings.Contains(missing, a.fence) {
			t.Logf("this system lacks %q", a.fence)
			continue
		}
		got, err := run(t.Context(), c, "select attempt(?, ?)", a.what, a.with)
		if err != nil || !strings.HasSuffix(got[0][0].(string), a.want) || a.want == "" && got[0][0] != "" {
			t.Errorf("%s %s: %v, %v; want %s", a.what, a.with, got, err, a.want)
		}
	}
	for _, text := range []string{"select content from read_text('/etc/passwd')", "copy (select 1) to '" + within + "/out.csv'"} {
		if rows, err := run(t.Context(), c, text); err == nil && !strings.Contains(missing, "files") {
			t.Errorf("%s: %v", text, rows)
		}
	}
}

// No process starts another: a test binary that forgets to serve must not start itself without end.
func TestNoEngineInAnEngine(t *testing.T) {
	c := connect(t, start(t, engine.Config{}))
	if got, err := run(t.Context(), c, "select attempt('start', '')"); err != nil || got[0][0] != "start engine: an engine starts no other" {
		t.Errorf("%v, %v", got, err)
	}
}

func TestRowsAreRead(t *testing.T) {
	c := connect(t, start(t, engine.Config{}))
	rows, err := c.Query(t.Context(), "select 1 where false")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rows.Next(t.Context()); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
	if _, err := rows.Next(t.Context()); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
	rows.Close()
}

// BenchmarkRoundTrip is what a query costs that has nothing to do.
func BenchmarkRoundTrip(b *testing.B) {
	c := connect(b, start(b, engine.Config{}))
	for b.Loop() {
		if err := c.Exec(b.Context(), ""); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkResult reads a million rows of four columns, one of them text.
func BenchmarkResult(b *testing.B) {
	c := connect(b, start(b, engine.Config{}))
	for b.Loop() {
		rows, err := c.Query(b.Context(), "select i, i * 0.5, i % 2 = 0, 'text ' || i from range(1000000) r(i)")
		if err != nil {
			b.Fatal(err)
		}
		for err == nil {
			_, err = rows.Next(b.Context())
		}
		rows.Close()
	}
	b.ReportMetric(1e6*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}
