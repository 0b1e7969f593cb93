package ingest_test

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"headless.ly/catalog/entity"
	"headless.ly/catalog/fault"
	"headless.ly/catalog/problem"
	"headless.ly/ingest"
	"headless.ly/lakehouse"
)

// faulty opens a store on a disk that can be told to fail.
func faulty(t *testing.T, change func(*ingest.Config)) (*bench, *fault.Injector) {
	t.Helper()
	dir := t.TempDir()
	in, err := fault.New(dir)
	if err != nil {
		t.Fatal(err)
	}
	vfs := in.NewVFS(false)
	t.Cleanup(func() {
		if err := vfs.Close(); err != nil {
			t.Error(err)
		}
	})
	b := open(t, func(c *ingest.Config) {
		c.Dir, c.VFS = dir, vfs.Name()
		if change != nil {
			change(c)
		}
	})
	t.Cleanup(func() { in.Arm(fault.Plan{}) })
	return b, in
}

// soon fails the test if f does not end.
func soon(t testing.TB, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatal(what, "is stuck")
	}
}

func onLog(op fault.Op, suffix string) func(fault.Op, string) bool {
	return func(o fault.Op, path string) bool { return o == op && strings.HasSuffix(path, suffix) }
}

// TestCallsEndWithTheStore closes a store under calls that take many batches.
func TestCallsEndWithTheStore(t *testing.T) {
	many := make([]ingest.Command, 2000)
	for i := range many {
		many[i] = create(t, "Contact", `{"name":"A"}`)
	}
	for range 20 {
		b := open(t, func(c *ingest.Config) { c.MaxBatch = 1 })
		b.one("acme", many[0])
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				if _, err := b.Do(context.Background(), "acme", many); !problem.Is(err, problem.Unavailable) {
					t.Errorf("a call that was cut short: %v", err)
				}
			})
		}
		time.Sleep(5 * time.Millisecond)
		if err := b.Close(context.Background()); err != nil {
			t.Error(err)
		}
		soon(t, "a caller", wg.Wait)
	}
}

// closing waits until the store refuses new calls.
func (b *bench) closing() {
	for {
		if _, err := b.Do(context.Background(), "nobody", nil); err != nil {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// TestCloseWhileATenantFailsToOpen closes a store while a tenant is being opened, in vain.
func TestCloseWhileATenantFailsToOpen(t *testing.T) {
	b, in := faulty(t, nil)
	b.one("acme", create(t, "Contact", `{"name":"A"}`))
	b.reopen()
	opening, fail := make(chan struct{}), make(chan struct{})
	in.Arm(fault.Plan{Kind: fault.EIO, N: 1, Times: -1, Match: func(fault.Op, string) bool {
		select {
		case <-fail:
		default:
			close(opening)
			<-fail
		}
		return true
	}})
	var wg sync.WaitGroup
	wg.Go(func() {
		_, err := b.Head(context.Background(), "acme")
		if !problem.Is(err, problem.Unavailable) {
			t.Error(err)
		}
	})
	<-opening
	wg.Go(func() {
		if err := b.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	b.closing()
	close(fail)
	soon(t, "close", wg.Wait)
}

// TestReadersEndWithTheStore closes a store between two pages of a read: no connection may be opened behind its back.
func TestReadersEndWithTheStore(t *testing.T) {
	b, _ := faulty(t, nil) // its disk complains of files left open
	many := make([]ingest.Command, 2500)
	for i := range many {
		many[i] = create(t, "Contact", `{"name":"A"}`)
	}
	if _, err := b.Do(context.Background(), "acme", many); err != nil {
		t.Fatal(err)
	}
	n := 0
	err := b.Read(context.Background(), "acme", lakehouse.Range{}, func(*lakehouse.Event) error {
		if n++; n == 1 {
			return b.Close(context.Background())
		}
		return nil
	})
	if !problem.Is(err, problem.Unavailable) {
		t.Errorf("%d events, %v", n, err)
	}
}

// TestReadsRecoverWithoutWrites breaks the log for a while: readers must not have to wait for somebody to write.
func TestReadsRecoverWithoutWrites(t *testing.T) {
	b, in := faulty(t, nil)
	b.one("acme", create(t, "Contact", `{"name":"A"}`))
	in.Arm(fault.Plan{Kind: fault.EIO, N: 1, Times: -1})
	_, err := b.Do(context.Background(), "acme", []ingest.Command{create(t, "Contact", `{"name":"B"}`)})
	wantCode(t, err, problem.OutcomeUnknown)
	if _, err := b.LastChange(context.Background(), "acme", "Contact"); !problem.Is(err, problem.Unavailable) {
		t.Errorf("a broken log was read: %v", err)
	}
	in.Arm(fault.Plan{})
	soon(t, "a reader", func() {
		for {
			_, err := b.Head(context.Background(), "acme")
			if err == nil {
				return
			}
			wantCode(t, err, problem.Unavailable)
			time.Sleep(10 * time.Millisecond)
		}
	})
	b.check("acme")
}

// TestBrokenTenantStaysListed closes a tenant whose last batch may or may not be in the log.
func TestBrokenTenantStaysListed(t *testing.T) {
	reg := &registrar{}
	b, in := faulty(t, func(c *ingest.Config) { c.Registrar = reg })
	b.one("acme", create(t, "Contact", `{"name":"A"}`))
	in.Arm(fault.Plan{Kind: fault.EIO, N: 1, Times: -1})
	_, err := b.Do(context.Background(), "acme", []ingest.Command{create(t, "Contact", `{"name":"B"}`)})
	wantCode(t, err, problem.OutcomeUnknown)
	if err := b.Close(context.Background()); err == nil {
		t.Error("a broken tenant was closed as a clean one")
	}
	if !reg.has("acme") {
		t.Error("a tenant with an unknown outcome left the list of open tenants")
	}
	in.Arm(fault.Plan{})
	b.reopen()
	b.check("acme")
}

// TestRefusalsBehindAFailedBatch lets a command be refused because of one in the same batch, which then fails.
func TestRefusalsBehindAFailedBatch(t *testing.T) {
	hooks, block, waiting := &ingest.Hooks{}, make(chan struct{}), make(chan struct{}, 9)
	b, in := faulty(t, func(c *ingest.Config) { c.Hooks = hooks })
	b.one("acme", create(t, "Organization", `{"name":"A"}`))
	hooks.Before("block", "Contact", "create", func(context.Context, ingest.BeforeCall) (entity.Object, error) {
		waiting <- struct{}{}
		<-block
		return nil, nil
	})
	var wg sync.WaitGroup
	answers := make([]error, 2)
	send := func(i int) {
		wg.Go(func() {
			rs, err := b.Do(context.Background(), "acme", []ingest.Command{create(t, "Contact", `{"name":"A","email":"a@x.org"}`)})
			if err == nil {
				err = rs[0].Err
			}
			answers[i] = err
		})
	}
	send(0)
	<-waiting
	send(1)
	for b.Status("acme").Queued == 0 {
		time.Sleep(time.Millisecond)
	}
	in.Arm(fault.Plan{Kind: fault.EIO, N: 1, Match: onLog(fault.Write, "-wal")})
	close(block)
	wg.Wait()
	if len(in.Fired()) == 0 {
		t.Fatal("nothing failed")
	}
	written := int64(0) // 1 where the first hook was slow, so that the second call has a batch of its own
	for i, err := range answers {
		if problem.Is(err, problem.Conflict) {
			t.Errorf("call %d: %v, of a batch that is not in the log", i, err)
		}
		if err == nil {
			written++
		}
	}
	if counts, err := b.Counts(context.Background(), "acme"); err != nil || counts["Contact"] != written {
		t.Errorf("%d are said to be written: %v %v", written, counts, err)
	}
}

// TestRefusedCommitStaysAway fails the sync of a commit whose data reached the disk, and cuts the power right behind the
// answer.
func TestRefusedCommitStaysAway(t *testing.T) {
	b, in := faulty(t, nil)
	b.one("acme", create(t, "Contact", `{"name":"A"}`))
	in.Arm(fault.Plan{Kind: fault.SyncKept, N: 1, Match: onLog(fault.Sync, "-wal")})
	_, err := b.Do(context.Background(), "acme", []ingest.Command{create(t, "Contact", `{"name":"B"}`)})
	if len(in.Fired()) != 1 {
		t.Fatal(in.Fired())
	}
	refused := problem.Is(err, problem.Unavailable)
	dir := t.TempDir()
	if _, err := in.Trace().Replay(in.Trace().Len(), dir, nil); err != nil {
		t.Fatal(err)
	}
	after := open(t, func(c *ingest.Config) { c.Dir = dir })
	if n := len(after.log("acme")); refused && n != 1 || n < 1 {
		t.Errorf("answered %v; %d events after a power cut", err, n)
	}
	b.check("acme")
}

// TestAcceptedFirstWriteIsFinished closes a store while a tenant's first write waits in the queue.
func TestAcceptedFirstWriteIsFinished(t *testing.T) {
	reg := &patientRegistrar{}
	hooks, block, waiting := &ingest.Hooks{}, make(chan struct{}), make(chan struct{}, 9)
	b := open(t, func(c *ingest.Config) { c.Hooks, c.Registrar = hooks, reg })
	hooks.Before("block", "*", "*", func(context.Context, ingest.BeforeCall) (entity.Object, error) {
		waiting <- struct{}{}
		<-block
		return nil, nil
	})
	var wg sync.WaitGroup
	wg.Go(func() {
		rs, err := b.Do(context.Background(), "acme", []ingest.Command{create(t, "Contact", `{"name":"A"}`)})
		if err != nil || rs[0].Err != nil {
			t.Errorf("an accepted write: %v %v", err, rs)
		}
	})
	<-waiting
	wg.Go(func() {
		if err := b.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	b.closing()
	time.Sleep(10 * time.Millisecond)
	close(block)
	soon(t, "close", wg.Wait)
}

// patientRegistrar minds its context, as a database does.
type patientRegistrar struct{ registrar }

func (r *patientRegistrar) MarkOpen(ctx context.Context, t string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return r.registrar.MarkOpen(ctx, t)
}

// TestSweepTriesAgain starts while the disk of a tenant with unpublished events fails.
func TestSweepTriesAgain(t *testing.T) {
	b, in := faulty(t, func(c *ingest.Config) { c.Published = func(string) int64 { return 0 } })
	b.one("acme", create(t, "Contact", `{"name":"A"}`))
	if err := b.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	in.Arm(fault.Plan{Kind: fault.EIO, N: 1, Times: -1})
	s, err := ingest.Open(context.Background(), b.cfg, []string{"acme"})
	if err != nil {
		t.Fatal(err)
	}
	b.Store = s
	if len(b.Heads()) != 0 {
		t.Fatal("opened on a failing disk")
	}
	in.Arm(fault.Plan{})
	soon(t, "the sweep", func() {
		for b.Heads()["acme"] != 1 {
			time.Sleep(10 * time.Millisecond)
		}
	})
}

// TestFixedInstantsOutliveTheWriter asks for an instant, and closes the tenant before the clock steps back.
func TestFixedInstantsOutliveTheWriter(t *testing.T) {
	var mu sync.Mutex
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	step := func(d time.Duration) { mu.Lock(); defer mu.Unlock(); now = now.Add(d) }
	b := open(t, func(c *ingest.Config) { c.Clock = func() time.Time { mu.Lock(); defer mu.Unlock(); return now } })
	b.one("acme", create(t, "Contact", `{"name":"A"}`))
	step(time.Minute)
	at := now.Add(-time.Second)
	if seq, err := b.SeqAt(context.Background(), "acme", at); err != nil || seq != 1 {
		t.Fatal(seq, err)
	}
	b.reopen()
	late := create(t, "Contact", `{"name":"late"}`)
	late.At = at
	wantCode(t, b.try("acme", late).Err, problem.InvalidRequest)
	step(-30 * time.Second)
	b.one("acme", create(t, "Contact", `{"name":"B"}`))
	step(time.Minute)
	if seq, err := b.SeqAt(context.Background(), "acme", at); err != nil || seq != 1 {
		t.Errorf("SeqAt answered 1, and now %d %v", seq, err)
	}
	b.check("acme")
}

// TestKeysAreForgotten writes with keys for days without a pause.
func TestKeysAreForgotten(t *testing.T) {
	var mu sync.Mutex
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	b := open(t, func(c *ingest.Config) { c.Clock = func() time.Time { mu.Lock(); defer mu.Unlock(); return now } })
	for i := range 200 {
		c := create(t, "Contact", `{"name":"A"}`)
		c.IdempotencyKey = strings.Repeat("k", i+1)
		b.one("acme", c)
		if r := b.try("acme", c); !r.Replayed {
			t.Fatalf("not replayed: %+v", r)
		}
		mu.Lock()
		now = now.Add(time.Hour)
		mu.Unlock()
	}
	if n := keys(t, b); n > 30 {
		t.Errorf("%d keys are kept", n)
	}
	old := create(t, "Contact", `{"name":"A"}`)
	old.IdempotencyKey = "k"
	if r := b.try("acme", old); r.Err != nil || r.Replayed {
		t.Errorf("%+v", r)
	}
}

// TestRollbackIsAnUpdateToHooks holds rollback to interfaces.md 4.3: hooks of update run.
func TestRollbackIsAnUpdateToHooks(t *testing.T) {
	hooks := &ingest.Hooks{}
	b := open(t, func(c *ingest.Config) { c.Hooks = hooks })
	var heard []string
	hooks.Before("before", "Contact", "update", func(_ context.Context, c ingest.BeforeCall) (entity.Object, error) {
		heard = append(heard, "before "+c.Verb+" "+c.Body.Text("name"))
		return entity.Object{{Name: "title", Value: entity.Quote("Dr")}}, nil
	})
	hooks.After("after", "Contact", "update", func(_ context.Context, e *lakehouse.Event, _ *ingest.Turn) error {
		heard = append(heard, "after "+e.Verb)
		return nil
	})
	e := b.one("acme", create(t, "Contact", `{"name":"A"}`))
	b.one("acme", ingest.Command{Op: ingest.OpUpdate, Noun: "Contact", ID: e.Target, Body: body(t, `{"name":"B"}`)})
	e = b.one("acme", ingest.Command{Op: ingest.OpRollback, Noun: "Contact", ID: e.Target, ToVersion: 1, Body: body(t, `{"version":1}`)})
	if got, want := strings.Join(heard, ", "), "before update B, after update, before rollback A, after rollback"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := string(fields(t, e).Fields().Append(nil)); got != `{"name":"A","title":"Dr","stage":"Lead"}` {
		t.Error(got)
	}
}

// TestRevokedKeysStayRevoked tries to bring a key back by rolling it back.
func TestRevokedKeysStayRevoked(t *testing.T) {
	b := open(t, nil)
	e := b.one("acme", create(t, "ApiKey", `{"name":"A","scopes":"all"}`))
	b.one("acme", ingest.Command{Op: ingest.OpVerb, Noun: "ApiKey", ID: e.Target, Verb: "revoke"})
	wantCode(t, b.try("acme", ingest.Command{Op: ingest.OpRollback, Noun: "ApiKey", ID: e.Target, ToVersion: 1}).Err, problem.Validation)
}

// TestHookProblemsAreNotChanged lets a hook refuse with a problem that it shares between tenants.
func TestHookProblemsAreNotChanged(t *testing.T) {
	hooks, no := &ingest.Hooks{}, problem.New(problem.Forbidden, "no")
	b := open(t, func(c *ingest.Config) { c.Hooks = hooks })
	hooks.Before("no", "*", "*", func(context.Context, ingest.BeforeCall) (entity.Object, error) { return nil, no })
	p := wantCode(t, b.try("acme", create(t, "Contact", `{"name":"A"}`)).Err, problem.Forbidden)
	if p.Type != "Contact" || no.Type != "" {
		t.Errorf("answered %+v, the hook's is %+v", p, no)
	}
}

// TestRelativeRollbackIsReplayed repeats a rollback whose body names a moving instant.
func TestRelativeRollbackIsReplayed(t *testing.T) {
	b := open(t, nil)
	e := b.one("acme", create(t, "Contact", `{"name":"A"}`))
	c := ingest.Command{Op: ingest.OpRollback, Noun: "Contact", ID: e.Target, Body: body(t, `{"asOf":"now"}`), ToTime: time.Now(), IdempotencyKey: "k"}
	b.one("acme", c)
	c.ToTime = c.ToTime.Add(time.Second)
	if r := b.try("acme", c); r.Err != nil || !r.Replayed {
		t.Errorf("%+v", r)
	}
}

// TestFeedCatchesUp follows a long log slowly while writes arrive: a consumer that is behind from the start is not slow.
func TestFeedCatchesUp(t *testing.T) {
	b := open(t, nil)
	many := make([]ingest.Command, 1500)
	for i := range many {
		many[i] = create(t, "Contact", `{"name":"x"}`)
	}
	if _, err := b.Do(context.Background(), "acme", many); err != nil {
		t.Fatal(err)
	}
	f, err := b.Subscribe(context.Background(), "acme", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var wg sync.WaitGroup
	wg.Go(func() {
		for range 50 {
			b.one("acme", create(t, "Contact", `{"name":"live"}`))
		}
	})
	last := int64(0)
	for e := range f.Events {
		if last++; e.Seq != last {
			t.Fatalf("seq %d behind %d", e.Seq, last-1)
		}
		if last == 1550 {
			f.Close()
		}
		time.Sleep(100 * time.Microsecond)
	}
	if last < 1550 {
		t.Errorf("cut off at %d: %v", last, f.Err())
	}
	wg.Wait()
}

// TestWorkflowTrigger accepts the old name of a field (interfaces.md 3.9).
func TestWorkflowTrigger(t *testing.T) {
	b := open(t, nil)
	e := b.one("acme", create(t, "Workflow", `{"name":"A","trigger":"Deal.Won"}`))
	if got := string(fields(t, e).Fields().Append(nil)); got != `{"name":"A","triggerEvent":"Deal.Won","status":"Draft"}` {
		t.Error(got)
	}
	e = b.one("acme", ingest.Command{Op: ingest.OpUpdate, Noun: "Workflow", ID: e.Target, Body: body(t, `{"trigger":"Deal.Lost"}`)})
	if fields(t, e).Text("triggerEvent") != "Deal.Lost" {
		t.Errorf("%s", e.Data)
	}
}

// TestBatchesAreBoundedInBytes queues large documents behind a blocked command and tells batches by their timestamps.
func TestBatchesAreBoundedInBytes(t *testing.T) {
	hooks, block, waiting := &ingest.Hooks{}, make(chan struct{}), make(chan struct{}, 9)
	var mu sync.Mutex
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	b := open(t, func(c *ingest.Config) {
		c.Hooks = hooks
		c.Clock = func() time.Time { mu.Lock(); defer mu.Unlock(); now = now.Add(time.Millisecond); return now }
	})
	remove := hooks.Before("block", "*", "*", func(context.Context, ingest.BeforeCall) (entity.Object, error) {
		waiting <- struct{}{}
		<-block
		return nil, nil
	})
	large := create(t, "Contact", `{"name":"A","text":"`+strings.Repeat("x", 6<<20)+`"}`)
	var wg sync.WaitGroup
	for i := range 9 {
		wg.Go(func() { b.one("acme", large) })
		if i == 0 {
			<-waiting
		}
	}
	for b.Status("acme").Queued < 8 {
		time.Sleep(time.Millisecond)
	}
	remove()
	close(block)
	wg.Wait()
	batches := map[int64]int{}
	for _, e := range b.log("acme") {
		batches[e.Timestamp]++
	}
	for _, n := range batches {
		if n > 4 {
			t.Errorf("%d documents of 6 MB share a batch", n)
		}
	}
}

// TestSlowCommandsEndTheirBatch holds correctness 2 within one call; batches are told by their timestamps.
func TestSlowCommandsEndTheirBatch(t *testing.T) {
	hooks := &ingest.Hooks{}
	var mu sync.Mutex
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	b, in := faulty(t, func(c *ingest.Config) {
		c.Hooks = hooks
		c.Clock = func() time.Time { mu.Lock(); defer mu.Unlock(); now = now.Add(time.Millisecond); return now }
	})
	runs := 0
	hooks.Before("slow", "Contact", "create", func(context.Context, ingest.BeforeCall) (entity.Object, error) {
		if runs++; runs == 6 {
			in.Arm(fault.Plan{Kind: fault.EIO, N: 1, Times: -1})
		}
		time.Sleep(10 * time.Millisecond)
		return nil, nil
	})
	cmds := []ingest.Command{create(t, "Contact", `{"name":"A"}`), create(t, "Contact", `{}`), create(t, "Contact", `{"name":"C"}`)}
	rs, err := b.Do(context.Background(), "acme", cmds)
	if err != nil || rs[0].Err != nil || rs[1].Err == nil || rs[2].Err != nil || rs[0].Event.Timestamp == rs[2].Event.Timestamp {
		t.Errorf("%v %+v", err, rs)
	}
	rs, err = b.Do(context.Background(), "acme", cmds)
	wantCode(t, err, problem.OutcomeUnknown)
	if len(rs) != 2 || rs[0].Event == nil || rs[1].Err == nil {
		t.Errorf("the part of the call that is on disk: %+v", rs)
	}
	in.Arm(fault.Plan{})
	soon(t, "a reader", func() {
		for _, err := b.Head(context.Background(), "acme"); err != nil; _, err = b.Head(context.Background(), "acme") {
			time.Sleep(10 * time.Millisecond)
		}
	})
	b.check("acme")
}

// TestHooksDoNotWaitForThemselves lets hooks use the store as if they were outside.
func TestHooksDoNotWaitForThemselves(t *testing.T) {
	hooks := &ingest.Hooks{}
	b := open(t, func(c *ingest.Config) { c.Hooks = hooks })
	hooks.After("outside", "Contact", "create", func(ctx context.Context, e *lakehouse.Event, _ *ingest.Turn) error {
		_, err := b.Do(ctx, "acme", []ingest.Command{create(t, "Deal", `{"name":"A","value":1}`)})
		if !errors.Is(err, ingest.ErrInTurn) {
			t.Error(err)
		}
		_, err = b.Barrier(ctx, "acme")
		return err
	})
	b.one("acme", create(t, "Organization", `{"name":"A"}`))
	soon(t, "a hook", func() { b.one("acme", create(t, "Contact", `{"name":"A"}`)) })
	if n := len(b.log("acme")); n != 2 {
		t.Errorf("%d events", n)
	}
}

// TestFullDiskIsSaid fills the disk: such a commit is certain not to be there, and what is there can be read.
func TestFullDiskIsSaid(t *testing.T) {
	b, in := faulty(t, nil)
	b.one("acme", create(t, "Contact", `{"name":"A"}`))
	in.Arm(fault.Plan{Kind: fault.NoSpace, N: 1, Times: -1, Match: onLog(fault.Write, "-wal")})
	for range 3 {
		_, err := b.Do(context.Background(), "acme", []ingest.Command{create(t, "Contact", `{"name":"B"}`)})
		wantCode(t, err, problem.StorageFull)
		b.check("acme")
	}
	in.Arm(fault.Plan{})
	b.one("acme", create(t, "Contact", `{"name":"C"}`))
	b.check("acme")
}

// TestUnreadableEntityIsNoRefusalByAHook lets a hook read a row that does not match its checksum.
func TestUnreadableEntityIsNoRefusalByAHook(t *testing.T) {
	hooks := &ingest.Hooks{}
	b := open(t, func(c *ingest.Config) { c.Hooks = hooks })
	e := b.one("acme", create(t, "Organization", `{"name":"A"}`))
	b.reopen()
	db, err := sql.Open("sqlite3", "file:"+filepath.Join(b.cfg.Dir, "tenants", "acme", "log.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("UPDATE state SET crc = crc + 1"); err != nil {
		t.Fatal(err)
	}
	hooks.Before("read", "Contact", "create", func(_ context.Context, c ingest.BeforeCall) (entity.Object, error) {
		_, err := c.Reader.Get("Organization", e.Target)
		return nil, err
	})
	r := b.try("acme", create(t, "Contact", `{"name":"A"}`))
	if problem.Is(r.Err, problem.HookRejected) || !errors.Is(r.Err, ingest.ErrCorrupt) {
		t.Error(r.Err)
	}
}

// TestKeyPrefixIsNotSupplied tries to change what interfaces.md 8.3 has generated.
func TestKeyPrefixIsNotSupplied(t *testing.T) {
	b := open(t, nil)
	e := b.one("acme", create(t, "ApiKey", `{"name":"A","scopes":"all","keyPrefix":"mine"}`))
	prefix := fields(t, e).Text("keyPrefix")
	for _, c := range []ingest.Command{
		{Op: ingest.OpUpdate, Noun: "ApiKey", ID: e.Target, Body: body(t, `{"keyPrefix":"mine"}`)},
		{Op: ingest.OpVerb, Noun: "ApiKey", ID: e.Target, Verb: "revoke", Body: body(t, `{"keyPrefix":"mine"}`)},
	} {
		if got := fields(t, b.one("acme", c)).Text("keyPrefix"); got != prefix || len(prefix) != 16 {
			t.Errorf("%s: %s, was %s", c.Op, got, prefix)
		}
	}
}

// meetingRegistrar lets a MarkClosed wait for another one.
type meetingRegistrar struct {
	registrar
	met chan struct{}
}

func (r *meetingRegistrar) MarkClosed(ctx context.Context, t string) error {
	select {
	case r.met <- struct{}{}:
	case <-r.met:
	case <-time.After(5 * time.Second):
		return errors.New("alone")
	}
	return r.registrar.MarkClosed(ctx, t)
}

// TestTenantsCloseTogether: closing hundreds of tenants one after another takes longer than a server has to end.
func TestTenantsCloseTogether(t *testing.T) {
	b := open(t, func(c *ingest.Config) { c.Registrar = &meetingRegistrar{met: make(chan struct{})} })
	b.one("acme", create(t, "Contact", `{"name":"A"}`))
	b.one("birch", create(t, "Contact", `{"name":"A"}`))
	if err := b.Close(context.Background()); err != nil {
		t.Error(err)
	}
}

// keys counts the idempotency keys in acme's log file.
func keys(t *testing.T, b *bench) (n int) {
	t.Helper()
	db, err := sql.Open("sqlite3", "file:"+filepath.Join(b.cfg.Dir, "tenants", "acme", "log.db")+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.QueryRow("SELECT count(*) FROM idempotency").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}
