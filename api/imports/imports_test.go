package imports_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"headless.ly/api/imports"
	"headless.ly/api/rows"
	"headless.ly/catalog/noun"
	"headless.ly/catalog/problem"
	"headless.ly/ingest"
	"headless.ly/lakehouse"
)

var runs = flag.Int("imports.runs", 20, "seeded runs of TestInterrupted")

// registrar keeps no list: nothing is published here.
type registrar struct{}

func (registrar) MarkOpen(context.Context, string) error   { return nil }
func (registrar) MarkClosed(context.Context, string) error { return nil }

// shaky is a store whose answers are lost now and then, before or after the commands have run.
type shaky struct {
	*ingest.Store
	mu     sync.Mutex
	random *rand.Rand
	rate   float64
}

func (s *shaky) Do(ctx context.Context, tenant string, cmds []ingest.Command) ([]ingest.Result, error) {
	s.mu.Lock()
	before, after := s.random.Float64() < s.rate, s.random.Float64() < s.rate
	s.mu.Unlock()
	if before {
		return nil, problem.New(problem.Unavailable, "not now")
	}
	results, err := s.Store.Do(ctx, tenant, cmds)
	if after {
		return nil, problem.New(problem.OutcomeUnknown, "who knows")
	}
	return results, err
}

type world struct {
	*testing.T
	dir   string
	store *shaky
	jobs  *imports.Jobs
}

func newWorld(t *testing.T, rate float64, seed uint64) *world {
	t.Helper()
	w := &world{T: t, dir: t.TempDir()}
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	store, err := ingest.Open(t.Context(), ingest.Config{Dir: w.dir, Nouns: noun.Core(), Registrar: registrar{}, Logger: quiet}, nil)
	if err != nil {
		t.Fatal(err)
	}
	w.store = &shaky{Store: store, random: rand.New(rand.NewPCG(seed, 1)), rate: rate}
	w.open()
	t.Cleanup(func() {
		if err := errors.Join(w.jobs.Close(), store.Close(context.Background())); err != nil {
			t.Error(err)
		}
	})
	return w
}

func (w *world) open() {
	w.Helper()
	var err error
	w.jobs, err = imports.Open(imports.Config{
		Dir: w.dir, Nouns: noun.Core(), Store: w.store, Group: 20, MaxWaited: 100, Pause: time.Millisecond,
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) receive(text string) *imports.File {
	w.Helper()
	f, err := w.jobs.Receive(strings.NewReader(text), func() {})
	if err != nil {
		w.Fatal(err)
	}
	return f
}

func (w *world) start(o imports.Order, text string) imports.Job {
	w.Helper()
	f := w.receive(text)
	defer f.Close()
	large, err := w.jobs.Large(o, f)
	if err != nil || !large {
		w.Fatalf("large: %v, %v", large, err)
	}
	job, err := w.jobs.Start(o, f)
	if err != nil {
		w.Fatal(err)
	}
	return job
}

// end waits for the end of a job.
func (w *world) end(id string) imports.Job {
	w.Helper()
	for {
		job, err := w.jobs.Get("birch", id)
		if err != nil {
			w.Fatal(err)
		}
		if job.Status.Ended() {
			return job
		}
		time.Sleep(time.Millisecond)
	}
}

// count counts the events of each name.
func (w *world) count() map[string]int {
	w.Helper()
	found := map[string]int{}
	err := w.store.Read(w.Context(), "birch", lakehouse.Range{}, func(e *lakehouse.Event) error {
		_, rest, _ := strings.Cut(string(e.Data), `"name":"`)
		name, _, _ := strings.Cut(rest, `"`)
		found[name]++
		return nil
	})
	if err != nil {
		w.Fatal(err)
	}
	return found
}

// lines are rows with a unique email each; every tenth is bad.
func lines(n int) (text string, bad int) {
	var b strings.Builder
	for i := range n {
		if i%10 == 9 {
			fmt.Fprintf(&b, `{"email":"p%d@birch.example"}`+"\n", i)
			bad++
			continue
		}
		fmt.Fprintf(&b, `{"name":"P%d","email":"p%d@birch.example"}`+"\n", i, i)
	}
	return b.String(), bad
}

// However often a job is interrupted, and whatever answers are lost, each good row is written exactly once.
func TestInterrupted(t *testing.T) {
	for seed := range uint64(*runs) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			w := newWorld(t, 0.05, seed)
			random := rand.New(rand.NewPCG(seed, 2))
			const n = 1500
			text, bad := lines(n)
			o := imports.Order{Tenant: "birch", Noun: "Contact", Format: rows.NDJSON}
			if random.IntN(2) == 0 {
				o.Key = "email"
			}
			job := w.start(o, text)
			for range random.IntN(6) {
				time.Sleep(time.Duration(random.IntN(8000)) * time.Microsecond)
				if err := w.jobs.Close(); err != nil {
					t.Fatal(err)
				}
				w.open()
			}
			job = w.end(job.ID)
			r := job.Report
			if job.Status != imports.Done || r.Rows != n || r.Imported != n-bad || r.Errors != bad || len(r.Details) != bad || r.Updated+r.Unchanged != 0 {
				r.Details = nil
				t.Errorf("%s: %+v, want %d bad rows", job.Status, r, bad)
			}
			for i, d := range r.Details {
				if d.Row != 10*(i+1) || d.Error != "name is required" {
					t.Fatalf("detail %d: %+v", i, d)
				}
			}
			found := w.count()
			if len(found) != n-bad {
				t.Errorf("%d names are there, want %d", len(found), n-bad)
			}
			for name, times := range found {
				if times != 1 {
					t.Errorf("%s was written %d times", name, times)
				}
			}
			if left, _ := filepath.Glob(filepath.Join(w.dir, "tenants", "birch", "jobs", "*", "rows")); len(left) > 0 {
				t.Errorf("the file is still there: %v", left)
			}
		})
	}
}

func TestSameFileTwice(t *testing.T) {
	w := newWorld(t, 0, 1)
	text, bad := lines(300)
	o := imports.Order{Tenant: "birch", Noun: "Contact", Format: rows.NDJSON, Key: "email"}
	w.end(w.start(o, text).ID)
	second := w.end(w.start(o, text).ID).Report
	if second.Imported != 300-bad || second.Unchanged != 300-bad || second.Errors != bad {
		t.Errorf("%+v", second)
	}
	third := w.end(w.start(o, strings.Replace(text, `"P0"`, `"Q"`, 1)).ID).Report
	if third.Updated != 1 || third.Unchanged != 300-bad-1 {
		t.Errorf("%+v", third)
	}
	if found := w.count(); len(found) != 300-bad+1 {
		t.Errorf("%d names", len(found))
	}
}

func TestTrial(t *testing.T) {
	w := newWorld(t, 0, 1)
	text, bad := lines(300)
	text += `{"name":"X","email":"p1@birch.example"}` + "\n"
	job := w.end(w.start(imports.Order{Tenant: "birch", Noun: "Contact", Format: rows.NDJSON, Try: true}, text).ID)
	last := job.Report.Details[len(job.Report.Details)-1]
	if job.Report.Imported != 300-bad || job.Report.Errors != bad+1 || last.Row != 301 || last.Error != "row 2 has this email" {
		t.Errorf("%+v", job.Report)
	}
	if head, err := w.store.Head(t.Context(), "birch"); err != nil || head != 0 {
		t.Errorf("a trial wrote: head %d, %v", head, err)
	}
}

func TestIdempotencyKey(t *testing.T) {
	w := newWorld(t, 0, 1)
	text, _ := lines(300)
	o := imports.Order{Tenant: "birch", Noun: "Contact", Format: rows.NDJSON, IdempotencyKey: "k", RequestID: "one"}
	first := w.start(o, text)
	o.RequestID = "two"
	if second := w.start(o, text); second.ID != first.ID {
		t.Errorf("two jobs, %s and %s", first.ID, second.ID)
	}
	f := w.receive(text + "{}\n")
	defer f.Close()
	if _, err := w.jobs.Start(o, f); !problem.Is(err, problem.IdempotencyConflict) {
		t.Errorf("another file under the same key: %v", err)
	}
	w.end(first.ID)
}

func TestCancelAndForget(t *testing.T) {
	w := newWorld(t, 1, 1) // nothing can be written
	text, _ := lines(300)
	o := imports.Order{Tenant: "birch", Noun: "Contact", Format: rows.NDJSON}
	first, second := w.start(o, text), w.start(o, text)
	for _, id := range []string{second.ID, first.ID} { // the waiting one, then the running one
		go func() { _, _ = w.jobs.Cancel(t.Context(), "birch", first.ID) }()
		if job, err := w.jobs.Cancel(t.Context(), "birch", id); err != nil || job.Status != imports.Cancelled {
			t.Errorf("%s %v", job.Status, err)
		}
	}
	third := w.start(o, text)
	resume, err := w.jobs.Forget(t.Context(), "birch")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(w.dir, "tenants", "birch", "jobs")); !os.IsNotExist(err) {
		t.Errorf("something is left: %v", err)
	}
	if _, err := w.jobs.Get("birch", third.ID); !problem.Is(err, problem.NotFound) {
		t.Errorf("a forgotten job: %v", err)
	}
	f := w.receive(text)
	defer f.Close()
	if _, err := w.jobs.Start(o, f); !problem.Is(err, problem.Unavailable) {
		t.Errorf("a job of a tenant that is being forgotten: %v", err)
	}
	resume()
	w.start(o, text)
}

// breaking is a body that breaks off.
type breaking struct{ io.Reader }

func (b breaking) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// Nothing stays of a file that was not received as a whole, or was not wanted.
func TestReceive(t *testing.T) {
	w := newWorld(t, 0, 1)
	if _, err := w.jobs.Receive(breaking{strings.NewReader("{}\n")}, func() {}); !problem.Is(err, problem.InvalidBody) {
		t.Errorf("a body that breaks off: %v", err)
	}
	f := w.receive("{}\n")
	if err := errors.Join(f.Close(), f.Close()); err != nil {
		t.Error(err)
	}
	if left, _ := os.ReadDir(filepath.Join(w.dir, "tmp")); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	if err := os.WriteFile(filepath.Join(w.dir, "tmp", "import-left"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := w.jobs.Close(); err != nil {
		t.Fatal(err)
	}
	w.open()
	if left, _ := os.ReadDir(filepath.Join(w.dir, "tmp")); len(left) > 0 {
		t.Errorf("left of a killed process: %v", left)
	}
}
