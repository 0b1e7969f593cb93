package main_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"headless.ly/catalog/entity"
	"headless.ly/catalog/fault"
	"headless.ly/catalog/problem"
	"headless.ly/ingest"
)

var (
	faultStep = flag.Int("durability.step", 0, "fail the 1st operation and then every so many-th (1: all of them); 0: a few")
	cutPoints = flag.Int("durability.cuts", 8, "points at which the power is cut")
)

// patience is how long any call may take. A call that takes longer is stuck.
const patience = 20 * time.Second

// trial is one run of a workload on a data folder whose disk may fail.
type trial struct {
	t        testing.TB
	dir      string // the tables name their files by absolute paths: copies of the folder must stand here as well
	in       *fault.Injector
	vfs      *fault.VFS
	house    *house // nil while it could not be opened
	promises *promises
	tokens   int
	living   map[string][]string // by tenant: contacts acknowledged and not yet deleted
	fired    int                 // length of the trace after the call in which the fault befell; 0: not yet
}

// newTrial lays a copy of a prepared folder at dir.
func newTrial(t testing.TB, prepared, dir string, plan fault.Plan) *trial {
	t.Helper()
	if err := errors.Join(os.RemoveAll(dir), os.CopyFS(dir, os.DirFS(prepared))); err != nil {
		t.Fatal(err)
	}
	in, err := fault.New(dir)
	if err != nil {
		t.Fatal(err)
	}
	r := &trial{t: t, dir: dir, in: in, vfs: in.NewVFS(false), promises: &promises{}, living: map[string][]string{}}
	in.Arm(plan)
	return r
}

// prepare makes a data folder with its tables, which takes many operations and is a trial of its own.
func prepare(t testing.TB, dir string) (prepared string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	h, err := openHouse(t.Context(), dir, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.close(t.Context()); err != nil {
		t.Fatal(err)
	}
	prepared = dir + ".prepared"
	if err := os.Rename(dir, prepared); err != nil {
		t.Fatal(err)
	}
	return prepared
}

// within fails the test if f takes longer than anything may.
func (r *trial) within(what string, f func()) {
	r.t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	select {
	case <-done:
	case <-time.After(patience):
		r.t.Fatalf("%s is stuck; failed: %v", what, r.in.Fired())
	}
	if r.fired == 0 && len(r.in.Fired()) > 0 {
		r.fired = r.in.Trace().Len()
	}
}

func (r *trial) open() (err error) {
	r.within("open", func() { r.house, err = openHouse(context.Background(), r.dir, r.in, r.vfs) })
	return err
}

func (r *trial) close() {
	if r.house == nil {
		return
	}
	r.within("close", func() { _ = r.house.close(context.Background()) })
	r.house = nil
}

func (r *trial) publish() (err error) {
	r.within("publish", func() { err = r.house.lake.Publish(context.Background()) })
	return err
}

// run is the workload: writes of every kind to two tenants, published now and then, with a restart in the middle. It
// says whether anything was reported as failed.
func (r *trial) run() (clean bool) {
	clean = true
	for round := range 4 {
		if round%2 == 0 {
			r.close()
			if r.open() != nil {
				clean = false
				if err := r.open(); err != nil && r.fired > 0 {
					r.open() // what befell the first may have left something that befalls the second, not the third
				}
			}
			if r.house == nil {
				return false
			}
		}
		for _, tenant := range []string{"acme", "birch"} {
			clean = r.round(tenant, round) && clean
		}
		clean = r.publish() == nil && clean
	}
	return clean
}

func (r *trial) round(tenant string, round int) (clean bool) {
	clean = r.together(tenant, []ingest.Command{r.create(round), r.create(round)}, []ingest.Command{r.create(round)})
	if living := r.living[tenant]; len(living) > 1 {
		last := living[len(living)-1]
		clean = r.do(tenant, r.change(ingest.OpUpdate, last), r.change(ingest.OpVerb, last)) && clean
		clean = r.do(tenant, r.taken(last)) && clean // refused: the address is in use
		r.living[tenant] = living[1:]                // whatever comes of it: nobody deletes twice
		clean = r.do(tenant, ingest.Command{Op: ingest.OpDelete, Noun: "Contact", ID: living[0]}) && clean
	}
	return clean
}

func (r *trial) token() string {
	r.tokens++
	return "t" + strconv.Itoa(r.tokens)
}

func body(pairs ...string) entity.Object {
	var o entity.Object
	for i := 0; i < len(pairs); i += 2 {
		o.Set(pairs[i], entity.Quote(pairs[i+1]))
	}
	return o
}

func (r *trial) create(round int) ingest.Command {
	token := r.token()
	filler := strings.Repeat("x", round*700)
	return ingest.Command{Op: ingest.OpCreate, Noun: "Contact", IdempotencyKey: token,
		Body: body("name", "Noor", "email", token+"@example.com", "token", token, "filler", filler)}
}

func (r *trial) taken(id string) ingest.Command {
	c := r.create(0)
	c.Body.Set("email", entity.Quote(strings.ToLower(id)+"@example.com"))
	return c
}

func (r *trial) change(op ingest.Op, id string) ingest.Command {
	token := r.token()
	pairs := []string{"token", token}
	if op == ingest.OpUpdate {
		pairs = append(pairs, "email", strings.ToLower(id)+"@example.com")
	}
	return ingest.Command{Op: op, Noun: "Contact", ID: id, Verb: "qualify", IdempotencyKey: token, Body: body(pairs...)}
}

// do sends commands in one call.
func (r *trial) do(tenant string, cmds ...ingest.Command) (clean bool) {
	return r.together(tenant, cmds)
}

// together sends several calls at once, so that they may share a commit.
func (r *trial) together(tenant string, calls ...[]ingest.Command) (clean bool) {
	sent := make([]*sending, len(calls))
	for i, cmds := range calls {
		sent[i] = &sending{tenant: tenant, cmds: cmds, attempts: 1 + (r.tokens+i)%2}
		for _, c := range cmds {
			sent[i].numbers = append(sent[i].numbers, r.promises.add(tenant, tokenOfCommand(c)))
		}
	}
	r.within("write", func() {
		var all sync.WaitGroup
		for _, s := range sent {
			all.Go(func() { s.send(r.house.store) })
		}
		all.Wait()
	})
	clean = true
	for _, s := range sent {
		r.note(s)
		clean = clean && s.err == nil
	}
	return clean
}

func tokenOfCommand(c ingest.Command) string {
	if c.Op == ingest.OpDelete {
		return "delete " + c.ID
	}
	return c.Body.Text("token")
}

// sending is a call and its answers.
type sending struct {
	tenant   string
	cmds     []ingest.Command
	numbers  []int // of the commands' promises
	attempts int   // a call that fails is sent again, with the same keys, as often as this
	results  []ingest.Result
	err      error // of the last attempt
	unknown  bool  // the outcome of some attempt
}

func (s *sending) send(store *ingest.Store) {
	for range s.attempts {
		s.results, s.err = store.Do(context.Background(), s.tenant, s.cmds)
		if s.err == nil {
			return
		}
		s.unknown = s.unknown || problem.Is(s.err, problem.OutcomeUnknown)
	}
}

// note keeps what a call was told, in the trace too.
func (r *trial) note(s *sending) {
	for i, n := range s.numbers {
		switch {
		case s.err == nil && s.results[i].Err == nil:
			e := s.results[i].Event
			r.promises.keep(n, e.Target, e.Version)
			if s.cmds[i].Op == ingest.OpCreate {
				r.living[s.tenant] = append(r.living[s.tenant], e.Target)
			}
		case s.unknown && (s.err != nil || s.cmds[i].IdempotencyKey == ""):
			continue
		default:
			r.promises.refuse(n)
		}
		r.in.Mark(strconv.Itoa(n))
	}
}

// recovers holds a running house, whose disk works again, to serving and publishing without a restart.
func (r *trial) recovers() error {
	if r.house == nil {
		return nil
	}
	deadline := time.Now().Add(5 * time.Second)
	for _, tenant := range []string{"acme", "birch"} {
		for !r.do(tenant, r.create(0)) {
			if time.Now().After(deadline) {
				return fmt.Errorf("%s does not take writes again", tenant)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	for {
		err := r.publish()
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("does not publish again: %w", err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// cut holds what a power cut at a point of the trace leaves against what had been promised by then.
func (r *trial) cut(point int, chance *rand.Rand) error {
	if err := os.RemoveAll(r.dir); err != nil {
		return err
	}
	marks, err := r.in.Trace().Replay(point, r.dir, chance)
	if err != nil {
		return err
	}
	answered := map[int]bool{}
	for _, m := range marks {
		n, err := strconv.Atoi(m)
		if err != nil {
			return err
		}
		answered[n] = true
	}
	return inspect(context.Background(), r.dir, r.promises.at(answered))
}

// finish ends a trial: the house must work again, and keep its promises after a restart, and after a power cut right
// behind the failure as well as at the end.
func (r *trial) finish(plan fault.Plan) (clean bool) {
	r.t.Helper()
	fired := r.in.Fired()
	r.in.Arm(fault.Plan{})
	report := func(when string, err error) {
		r.t.Helper()
		if err != nil {
			r.t.Errorf("%s, n = %d, %v: %s: %v", plan.Kind, plan.N, fired, when, err)
		}
	}
	report("afterwards", r.recovers())
	r.close()
	report("close", r.vfs.Close())
	report("after a restart", inspect(context.Background(), r.dir, r.promises))
	if r.fired > 0 {
		report("after a power cut behind the failure", r.cut(r.fired, nil))
	}
	report("after a power cut at the end", r.cut(r.in.Trace().Len(), nil))
	return len(fired) == 0
}

func TestFailTheNthOperation(t *testing.T) {
	for _, kind := range fault.Kinds() {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "data")
			failEach(t, kind, prepare(t, dir), dir)
		})
	}
	t.Run("from an empty folder", func(t *testing.T) {
		t.Parallel()
		dir := filepath.Join(t.TempDir(), "data")
		failEach(t, fault.EIO, t.TempDir(), dir)
	})
}

// failEach runs trials that fail one operation after the other, until none is left to fail.
func failEach(t *testing.T, kind fault.Kind, prepared, dir string) {
	for n := first(); ; n = next(n) {
		plan := fault.Plan{Kind: kind, N: n}
		r := newTrial(t, prepared, dir, plan)
		clean := r.run()
		counted := r.in.Count()
		if r.finish(plan) {
			if !clean {
				t.Error("the clean run was not clean")
			}
			t.Logf("%d operations", counted)
			return
		}
	}
}

// TestFullDisk lets every operation that needs space fail from the n-th on, and then gives space again.
func TestFullDisk(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	prepared := prepare(t, dir)
	for _, n := range []int{1, 30, 200} {
		plan := fault.Plan{Kind: fault.NoSpace, N: n, Times: -1}
		r := newTrial(t, prepared, dir, plan)
		if r.run() {
			t.Errorf("n = %d: nothing failed", n)
		}
		r.finish(plan)
	}
}

// first and next choose the operations to fail.
func first() int {
	if *faultStep > 0 {
		return 1
	}
	return 20
}

func next(n int) int {
	if *faultStep > 0 {
		return n + *faultStep
	}
	return 20*n + 5
}

// TestPowerCutsBehindAFailedSync cuts the power some time after a commit whose sync failed though its data reached the
// disk: what was then refused must not come back with an old write-ahead log, nor a table name a file that was removed.
func TestPowerCutsBehindAFailedSync(t *testing.T) {
	for _, file := range []string{"catalog.db-wal", "acme/log.db-wal"} {
		t.Run(file, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			prepared := prepare(t, dir)
			for n := min(5, first()); ; n = next(n) {
				plan := fault.Plan{Kind: fault.SyncKept, N: n, Match: func(op fault.Op, path string) bool {
					return op == fault.Sync && strings.HasSuffix(path, file)
				}}
				r := newTrial(t, prepared, dir, plan)
				r.run()
				r.close()
				if r.fired == 0 {
					return // there is no such sync
				}
				for _, point := range r.syncs(file) {
					if err := r.cut(point, nil); err != nil {
						t.Errorf("sync %d failed, power cut %d operations later: %v", n, point-r.fired, err)
					}
				}
			}
		})
	}
}

// syncs lists the points behind the syncs that follow the failure, up to the next one of that file: then what it should
// have done is done.
func (r *trial) syncs(file string) []int {
	var points []int
	for i, rec := range r.in.Trace().Records()[r.fired:] {
		if rec.Op != fault.Sync && rec.Op != fault.SyncDir {
			continue
		}
		points = append(points, r.fired+i+1)
		if strings.HasSuffix(rec.Path, file) {
			break
		}
	}
	return points
}

func TestPowerCuts(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	r := newTrial(t, prepare(t, dir), dir, fault.Plan{})
	if !r.run() {
		t.Fatal("a run without faults failed")
	}
	r.close()
	if err := r.vfs.Close(); err != nil {
		t.Fatal(err)
	}
	length := r.in.Trace().Len()
	for i := range *cutPoints {
		chance := rand.New(rand.NewPCG(uint64(i), 0))
		point := (i*length + chance.IntN(length)) / *cutPoints
		mode := "torn"
		if i%2 == 0 {
			chance, mode = nil, "unsynced dropped"
		}
		if err := r.cut(point, chance); err != nil {
			t.Errorf("power cut at %d of %d, %s: %v", point, length, mode, err)
		}
	}
}
