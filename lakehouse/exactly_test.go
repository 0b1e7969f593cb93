package lakehouse

import (
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"headless.ly/catalog/fault"
)

var (
	exactlyRuns = flag.Int("exactly.runs", 8, "seeded runs of TestExactlyOnce")
	exactlySeed = flag.Uint64("exactly.seed", 0, "the only seed to run, which repeats its run; 0: all")
)

// trouble is what befalls a run.
type trouble string

const (
	nothing       trouble = "nothing"
	kill          trouble = "kill"           // the process ends at a step
	diskFailure   trouble = "disk failure"   // an operation on the disk fails
	lostResponse  trouble = "lost response"  // the commit happened, the answer did not arrive
	outsideAppend trouble = "outside append" // another program appends rows to events between our read and our commit
	outsideDrop   trouble = "outside drop"   // another program drops a column of events there
)

// TestExactlyOnce writes, publishes and maintains at random, with replaced and with delta tables, while the clock goes by hours
// and days, and lets one trouble befall each run. After every publish, and after every start, each event must be in events
// once and each noun's table must hold the state at the seq that is said of it.
func TestExactlyOnce(t *testing.T) {
	if *exactlySeed != 0 {
		newOrdeal(t, *exactlySeed).run()
		return
	}
	for seed := range uint64(*exactlyRuns) {
		t.Run(fmt.Sprint("seed=", seed+1), func(t *testing.T) { newOrdeal(t, seed+1).run() })
	}
}

// ordeal is one run.
type ordeal struct {
	t       *testing.T
	random  *rand.Rand
	seed    uint64
	trouble trouble
	round   int // in which it befalls
	cfg     Config
	in      *fault.Injector
	crash   *crash
	log     *fakeLog
	lake    *Lake
	now     atomic.Int64 // the lake's clock
	strange int          // rows that the other program appended
	stirred bool         // the trouble may come
	came    bool         // it has, where it comes with a commit
}

// ordealRounds is how often a run publishes.
const ordealRounds = 12

func newOrdeal(t *testing.T, seed uint64) *ordeal {
	dir := t.TempDir()
	in, err := fault.New(dir)
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(seed, 4))
	all := []trouble{kill, diskFailure, lostResponse, outsideAppend, kill, diskFailure, outsideDrop, nothing}
	o := &ordeal{t: t, random: random, seed: seed, trouble: all[seed%uint64(len(all))], round: random.IntN(ordealRounds), in: in, log: newFakeLog()}
	vfs := in.NewVFS(false)
	t.Cleanup(func() { vfs.Close() })
	o.now.Store(time.Now().UnixMilli()) // snapshots are never older than their table, which is made by the system's clock
	o.cfg = Config{Dir: dir, Nouns: twoNouns(t), Interval: -1, MaintainEvery: -1, Logger: slog.New(slog.DiscardHandler),
		FS: faultFS{in.FS()}, VFS: vfs.Name(), Step: o.step, Now: func() time.Time { return time.UnixMilli(o.now.Load()) }}
	if o.trouble == kill { // what the dead process holds is the operating system's
		o.cfg.FS, o.cfg.VFS = nil, ""
	}
	if random.IntN(3) > 0 {
		withDeltas(&o.cfg)
	}
	return o
}

// run runs the rounds.
func (o *ordeal) run() {
	o.t.Logf("seed %d: %s in round %d", o.seed, o.trouble, o.round)
	o.open()
	o.rounds(0, o.round)
	o.befall()
	if o.trouble == kill {
		o.runUntilKilled()
	} else {
		o.rounds(o.round, ordealRounds)
	}
	fired := o.in.Fired()
	if o.trouble == lostResponse && o.came && len(fired) == 0 {
		o.t.Error("no response was lost")
	}
	o.t.Logf("failed operations: %v", fired)
	o.in.Arm(fault.Plan{})
	_ = o.lake.Close()
	o.reopen()
	o.checkColumns()
	if o.t.Failed() {
		o.t.Fatalf("repeat it with -run TestExactlyOnce -exactly.seed=%d; failed operations: %v", o.seed, fired)
	}
}

// runUntilKilled runs the rest of the rounds in a goroutine that the kill leaves behind, and some more in a new process.
func (o *ordeal) runUntilKilled() {
	done := make(chan struct{})
	go func() {
		defer close(done)
		o.rounds(o.round, ordealRounds)
	}()
	select {
	case <-done: // the step never came
	case <-o.crash.stopped:
		_ = o.lake.lock.release() // as the kernel does
		o.t.Logf("killed at %s", o.crash.name)
		o.cfg.Step = nil
		o.reopen()
		o.rounds(ordealRounds-3, ordealRounds)
	}
}

// befall prepares the trouble.
func (o *ordeal) befall() {
	o.stirred = true
	switch o.trouble {
	case kill:
		o.crash = newCrash(1 + o.random.IntN(120))
	case diskFailure:
		kinds := fault.Kinds()
		o.in.Arm(fault.Plan{Kind: kinds[o.random.IntN(len(kinds))], N: 1 + o.random.IntN(250), Times: 1 + o.random.IntN(3)})
	}
}

// step is heard by the lake at every step.
func (o *ordeal) step(name string) {
	if o.crash != nil {
		o.crash.step(name)
	}
	if name != "publish.swap.before" || !o.stirred {
		return
	}
	switch o.trouble {
	case lostResponse: // the sync of the log in which the commit stands succeeds and says that it did not
		o.in.Arm(fault.Plan{Kind: fault.SyncKept, N: 1, Times: 1 + o.random.IntN(2), Match: func(_ fault.Op, path string) bool {
			return strings.Contains(path, "catalog.db")
		}})
	case outsideAppend:
		o.append()
	case outsideDrop:
		o.drop([]string{"source", "verb", "cause"}[o.random.IntN(3)])
	default:
		return
	}
	o.stirred, o.came = false, true
}

func (o *ordeal) open() {
	o.lake = tryOpen(o.t, o.cfg)
	o.lake.Start(o.log)
}

// reopen opens the folder as a new process does, and checks what is there.
func (o *ordeal) reopen() {
	o.open()
	o.check()
}

// rounds writes, publishes, maintains and looks.
func (o *ordeal) rounds(from, to int) {
	for range max(0, min(to, ordealRounds)-from) {
		randomWrites(o.log, o.random, 1+o.random.IntN(12))
		o.insist("publish", func() error { return o.lake.Publish(o.t.Context()) })
		o.check()
		o.goOn()
		if o.random.IntN(2) == 0 {
			o.insist("maintain", func() error { return o.lake.Maintain(o.t.Context()) })
			o.check()
		}
	}
}

// goOn moves the clock. It waits for another program, which goes by the system's clock and cannot commit in the past.
func (o *ordeal) goOn() {
	steps := []time.Duration{time.Second, time.Minute, 20 * time.Minute, 3 * time.Hour, 26 * time.Hour}
	step := steps[o.random.IntN(len(steps))]
	if o.came || o.trouble != outsideAppend && o.trouble != outsideDrop {
		o.now.Add(step.Milliseconds())
	}
}

// insist does something until it succeeds, as the clocks do.
func (o *ordeal) insist(what string, do func() error) {
	for attempt := 0; ; attempt++ {
		err := do()
		if err == nil {
			return
		}
		if attempt == 8 {
			o.t.Errorf("%s is stuck: %v", what, err)
			return
		}
	}
}

// check holds everything published against the log, the rows of the other program, and that what any snapshot that is kept
// names is there.
func (o *ordeal) check() {
	o.t.Helper()
	check(o.t, o.lake, o.log)
	for _, tbl := range o.lake.tables {
		o.checkSnapshots(tbl)
	}
	if files := currentFiles(o.t, o.lake, "events"); len(files) > 0 {
		if got := query(o.t, files, "select count(*) from {table} where tenant = 'guest'")[0]; got != fmt.Sprint(o.strange) {
			o.t.Errorf("events has %s rows of the other program, want %d", got, o.strange)
		}
	}
}

// checkSnapshots says that all files of all snapshots in the table's metadata exist.
func (o *ordeal) checkSnapshots(tbl *Table) {
	loaded, err := o.lake.cat.LoadTable(o.t.Context(), tbl.ident)
	if err != nil {
		o.t.Error(err)
		return
	}
	seen := map[string]bool{}
	for _, s := range loaded.Metadata().Snapshots() {
		manifests, err := s.Manifests(o.lake.cat.IO())
		if err != nil {
			o.t.Errorf("snapshot %d of %s: %v", s.SequenceNumber, tbl.Name, err)
			continue
		}
		for _, m := range manifests {
			if seen[m.FilePath()] {
				continue
			}
			seen[m.FilePath()] = true
			for e, err := range m.Entries(o.lake.cat.IO(), true) {
				if err == nil {
					_, err = os.Stat(strings.TrimPrefix(e.DataFile().FilePath(), "file://"))
				}
				if err != nil {
					o.t.Errorf("snapshot %d of %s: %v", s.SequenceNumber, tbl.Name, err)
				}
			}
		}
	}
}

// append appends rows to events as another program would, behind the catalog wrapper's back.
func (o *ordeal) append() {
	o.guest("append", fmt.Sprint(o.strange))
	o.strange += guestRows
}

// drop drops a column of events as another program would.
func (o *ordeal) drop(column string) { o.guest("drop", column) }

// guest runs another program that commits to events.
func (o *ordeal) guest(args ...string) {
	self, err := os.Executable()
	if err != nil {
		o.t.Error(err)
		return
	}
	cmd := exec.CommandContext(o.t.Context(), self)
	cmd.Env = append(os.Environ(), guestEnv+"="+strings.Join(append([]string{o.cfg.Dir}, args...), "\n"))
	if out, err := cmd.CombinedOutput(); err != nil {
		o.t.Errorf("the other program: %v: %s", err, out)
	}
}

// checkColumns says that events has all its columns, under their ids, whoever dropped one.
func (o *ordeal) checkColumns() {
	loaded, err := o.lake.cat.LoadTable(o.t.Context(), o.lake.tables[0].ident)
	if err != nil {
		o.t.Fatal(err)
	}
	for _, want := range o.lake.tables[0].schema.Fields() {
		if got, found := loaded.Schema().FindFieldByName(want.Name); !found || got.ID != want.ID {
			o.t.Errorf("column %s of events is %v, want %v", want.Name, got, want)
		}
	}
}
