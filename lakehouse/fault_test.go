package lakehouse

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"

	"headless.ly/catalog"
	"headless.ly/catalog/fault"
	"headless.ly/catalog/noun"
)

var thorough = flag.Bool("thorough", false, "fail every operation and stop at every step, not a sample")

// stride gives the distance between the operations that a test fails.
func stride(t *testing.T, count, sample int) int {
	if *thorough || count <= sample {
		return 1
	}
	t.Logf("%d operations, about %d of them tried; all with -thorough", count, sample)
	return count / sample
}

// faultFS is a fault.FS as a catalog.FS.
type faultFS struct{ fault.FS }

func (f faultFS) Open(name string) (catalog.File, error) {
	file, err := f.FS.Open(name)
	if err != nil {
		return nil, err
	}
	return file, nil
}

func (f faultFS) Create(name string) (catalog.File, error) {
	file, err := f.FS.Create(name)
	if err != nil {
		return nil, err
	}
	return file, nil
}

// scenario writes, publishes and maintains in several rounds; each round's publish is tried until it succeeds, and after each
// attempt what is published must be exact.
func scenario(t *testing.T, l *Lake, log *fakeLog, from, to int) (errs []error) {
	for round := from; round < to; round++ {
		for i := range 3 {
			log.contact("acme", i+round, fmt.Sprint("round ", round))
			log.contact("birch", i, fmt.Sprint("round ", round))
		}
		log.write("acme", "Deal", "deal_00000001", []string{"create", "update", "delete"}[round%3], `"name":"deal","value":7`)
		errs = append(errs, until(t, l.Publish)...)
		check(t, l, log)
		errs = append(errs, until(t, l.Maintain)...)
		check(t, l, log)
	}
	return errs
}

// until tries until it succeeds.
func until(t *testing.T, try func(context.Context) error) (errs []error) {
	t.Helper()
	for attempt := 0; ; attempt++ {
		err := try(t.Context())
		if err == nil {
			return errs
		}
		errs = append(errs, err)
		if attempt == 8 {
			t.Fatalf("stuck: %v", err)
		}
	}
}

// bothWays runs a test with noun tables that are written anew, and with deltas to them that are put together.
func bothWays(t *testing.T, run func(*testing.T, func(*Config))) {
	t.Run("replace", func(t *testing.T) { run(t, func(*Config) {}) })
	t.Run("delta", func(t *testing.T) { run(t, withCompaction) })
}

// TestFailures makes the n-th operation on the disk fail, for every kind of failure and many n, during opening and
// publishing. Nothing may be lost or doubled, and publishing must go on.
func TestFailures(t *testing.T) {
	bothWays(t, func(t *testing.T, change func(*Config)) {
		for _, kind := range fault.Kinds() {
			t.Run(string(kind), func(t *testing.T) {
				count := failAt(t, change, kind, 0)
				step := stride(t, count, 6)
				for n := 1; n <= count; n += step {
					failAt(t, change, kind, n)
				}
			})
		}
	})
}

// failAt runs the scenario with the n-th operation failing, and tells how many operations there are.
func failAt(t *testing.T, change func(*Config), kind fault.Kind, n int) (count int) {
	dir, err := os.MkdirTemp("", "lake")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	in, err := fault.New(dir)
	if err != nil {
		t.Fatal(err)
	}
	vfs := in.NewVFS(false)
	defer vfs.Close()
	cfg := Config{Dir: dir, Nouns: twoNouns(t), Interval: -1, Logger: slog.New(slog.DiscardHandler), KeepFiles: 1,
		FS: faultFS{in.FS()}, VFS: vfs.Name()}
	change(&cfg)
	lost := filepath.Join(dir, "warehouse", "iceberg", "contact", "data", "tenant=acme", "contact-7-"+uuid.NewString()+".parquet")
	putOld(t, lost)
	in.Arm(fault.Plan{Kind: kind, N: n})
	log := newFakeLog()
	l := tryOpen(t, cfg)
	l.Start(log)
	errs := scenario(t, l, log, 0, 3)
	count = in.Count()
	fired := in.Fired()
	if n > 0 && len(fired) == 0 {
		t.Logf("operation %d of %s was not reached", n, kind)
	}
	if err := l.Close(); err != nil && len(fired) == 0 {
		t.Errorf("close: %v", err)
	}
	in.Arm(fault.Plan{})
	l = tryOpen(t, cfg)
	l.Start(log)
	check(t, l, log)
	scenario(t, l, log, 3, 4)
	if exists(lost) {
		t.Error("an orphan is left")
	}
	if err := l.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	if t.Failed() {
		t.Fatalf("after %s at operation %d: %v; errors %v", kind, n, fired, errs)
	}
	return count
}

// twoNouns is a registry of two nouns with a few of their columns, which opens quickly.
func twoNouns(t *testing.T) *noun.Registry {
	t.Helper()
	var nouns []*noun.Noun
	for _, d := range []noun.Declaration{
		{Name: "Contact", Properties: "name: string!\nleadScore: number\nemail: string##"},
		{Name: "Deal", Properties: "name: string!\nvalue: number!\nstage: Won | Lost"},
	} {
		n, err := noun.Define(d)
		if err != nil {
			t.Fatal(err)
		}
		nouns = append(nouns, n)
	}
	r, err := noun.NewRegistry(nouns...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// withTwoNouns is a change of openLake's configuration.
func withTwoNouns(t *testing.T) func(*Config) {
	return func(c *Config) { c.Nouns = twoNouns(t) }
}

// tryOpen opens a lake, again if it fails once.
func tryOpen(t *testing.T, cfg Config) *Lake {
	t.Helper()
	var err error
	for range 3 {
		var l *Lake
		if l, err = Open(t.Context(), cfg); err == nil {
			return l
		}
	}
	t.Fatalf("open: %v", err)
	return nil
}

// TestCrash stops the process at each step of publishing, as a kill would, and opens the folder again.
func TestCrash(t *testing.T) {
	bothWays(t, func(t *testing.T, change func(*Config)) {
		steps := stopAt(t, change, 0)
		step := stride(t, steps, 20)
		for n := 1; n <= steps; n += step {
			stopAt(t, change, n)
		}
	})
}

// stopAt runs the scenario until the n-th step, where everything stands still for ever, then opens the folder as a new
// process would. It tells how many steps there are.
func stopAt(t *testing.T, change func(*Config), n int) (steps int) {
	dir, err := os.MkdirTemp("", "lake")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	crash := newCrash(n)
	cfg := Config{Dir: dir, Nouns: twoNouns(t), Interval: -1, Logger: slog.New(slog.DiscardHandler), KeepFiles: 1}
	change(&cfg)
	prepared := openLake(t, dir, newFakeLog(), withTwoNouns(t)) // tables are made without a crash
	lost := orphan(t, prepared, "contact")
	_ = prepared.Close()
	cfg.Step = crash.step
	log := newFakeLog()
	opened := make(chan *Lake, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		l, err := Open(t.Context(), cfg)
		if err != nil {
			t.Error(err)
			return
		}
		l.Start(log)
		opened <- l
		scenario(t, l, log, 0, 3)
	}()
	select {
	case <-done:
	case <-crash.stopped:
	}
	l := <-opened
	_ = l.lock.release() // as the kernel does
	again := openLake(t, dir, log, withTwoNouns(t), change, func(c *Config) { c.KeepFiles = 1 })
	check(t, again, log)
	scenario(t, again, log, 3, 5)
	if exists(lost) {
		t.Error("an orphan is left")
	}
	_ = again.Close()
	if t.Failed() {
		t.Fatalf("after a stop at step %d, %s", n, crash.name)
	}
	return crash.seen()
}

// TestStepsAreAnnounced says that publishing and maintenance announce every step that Steps lists.
func TestStepsAreAnnounced(t *testing.T) {
	crash := newCrash(0)
	log := newFakeLog()
	clock := &fakeClock{now: time.Now()}
	l := openLake(t, t.TempDir(), log, func(c *Config) { c.Step, c.Now = crash.step, clock.Now })
	orphan(t, l, "contact")
	log.contact("acme", 1, "a")
	publish(t, l)
	for range 2 {
		if err := l.Maintain(t.Context()); err != nil {
			t.Fatal(err)
		}
		clock.add(2 * time.Hour)
	}
	for _, name := range Steps() {
		if !slices.Contains(crash.all, name) {
			t.Errorf("%s was not announced", name)
		}
	}
	for _, name := range crash.all {
		if !slices.Contains(Steps(), name) {
			t.Errorf("%s is not listed", name)
		}
	}
}

// TestPowerCut replays what was written and synced up to random points, as a disk may hold it after the power went off
// there. What had been published by then must be there and exact.
func TestPowerCut(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	in, err := fault.New(dir)
	if err != nil {
		t.Fatal(err)
	}
	vfs := in.NewVFS(false)
	defer vfs.Close()
	log := newFakeLog()
	l := openLake(t, dir, log, withTwoNouns(t), func(c *Config) { c.FS, c.VFS = faultFS{in.FS()}, vfs.Name() })
	in.Mark("opened")
	for round := range 4 {
		scenario(t, l, log, round, round+1)
		in.Mark(fmt.Sprint(l.Published("acme")))
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	points := in.Trace().Len()
	step := stride(t, points, 30)
	for point := 1; point <= points; point += step {
		cutAt(t, dir, in.Trace(), point, log)
	}
}

func cutAt(t *testing.T, dir string, trace *fault.Trace, point int, log *fakeLog) {
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	marks, err := trace.Replay(point, dir, rand.New(rand.NewPCG(1, uint64(point))))
	if err != nil {
		t.Fatal(err)
	}
	l := openLake(t, dir, log, withTwoNouns(t))
	defer l.Close()
	check(t, l, log)
	if n := len(marks); n > 1 {
		want, err := strconv.ParseInt(marks[n-1], 10, 64)
		if got := l.Published("acme"); err != nil || got < want {
			t.Fatalf("after a power cut at %d: published %d, but %s had been promised", point, got, marks[n-1])
		}
	}
	publish(t, l)
	check(t, l, log)
}
