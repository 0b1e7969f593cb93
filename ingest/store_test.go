package ingest_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"headless.ly/catalog/entity"
	"headless.ly/catalog/noun"
	"headless.ly/catalog/problem"
	"headless.ly/ingest"
	"headless.ly/lakehouse"
)

// registrar remembers which tenants are on the durable list.
type registrar struct {
	mu   sync.Mutex
	open map[string]bool
	fail error
}

func (r *registrar) MarkOpen(_ context.Context, t string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fail != nil {
		return r.fail
	}
	if r.open == nil {
		r.open = map[string]bool{}
	}
	r.open[t] = true
	return nil
}

func (r *registrar) MarkClosed(_ context.Context, t string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.open, t)
	return nil
}

func (r *registrar) has(t string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.open[t]
}

type bench struct {
	testing.TB
	*ingest.Store
	cfg ingest.Config
}

func open(t testing.TB, change func(*ingest.Config)) *bench {
	t.Helper()
	cfg := ingest.Config{Dir: t.TempDir(), Nouns: noun.Core(), Registrar: &registrar{}}
	if change != nil {
		change(&cfg)
	}
	b := &bench{TB: t, cfg: cfg}
	b.reopen()
	t.Cleanup(func() {
		if err := b.Close(context.Background()); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return b
}

func (b *bench) reopen() {
	b.Helper()
	if b.Store != nil {
		if err := b.Close(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
	s, err := ingest.Open(context.Background(), b.cfg, nil)
	if err != nil {
		b.Fatal(err)
	}
	b.Store = s
}

func body(t testing.TB, s string) entity.Object {
	t.Helper()
	if s == "" {
		return nil
	}
	o, err := entity.Parse([]byte(s))
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// one runs a single command and wants an event.
func (b *bench) one(tenant string, c ingest.Command) *lakehouse.Event {
	b.Helper()
	r := b.try(tenant, c)
	if r.Err != nil {
		b.Fatalf("%s %s %s: %v", c.Op, c.Noun, c.ID, r.Err)
	}
	return r.Event
}

func (b *bench) try(tenant string, c ingest.Command) ingest.Result {
	b.Helper()
	rs, err := b.Do(context.Background(), tenant, []ingest.Command{c})
	if err != nil {
		b.Fatal(err)
	}
	return rs[0]
}

func create(t testing.TB, noun, b string) ingest.Command {
	return ingest.Command{Op: ingest.OpCreate, Noun: noun, Body: body(t, b), Source: "test"}
}

func wantCode(t testing.TB, err error, code problem.Code) *problem.Problem {
	t.Helper()
	p, ok := errors.AsType[*problem.Problem](err)
	if !ok || p.Code != code {
		t.Fatalf("got %v, want %s", err, code)
	}
	return p
}

func fields(t testing.TB, e *lakehouse.Event) entity.Object {
	t.Helper()
	o, err := entity.ParseStored(e.Data)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func (b *bench) log(tenant string) []*lakehouse.Event {
	b.Helper()
	var out []*lakehouse.Event
	if err := b.Read(context.Background(), tenant, lakehouse.Range{}, func(e *lakehouse.Event) error { out = append(out, e); return nil }); err != nil {
		b.Fatal(err)
	}
	return out
}

func TestCreateUpdateVerbDelete(t *testing.T) {
	b := open(t, nil)
	e := b.one("acme", create(t, "Contact", `{"name":"Noor","nick":"N","email":"noor@x.org","$id":"contact_AAAAAAAA","count":9007199254740993}`))
	if e.Seq != 1 || e.Version != 1 || e.Type != "Contact.Created" || e.Target == "contact_AAAAAAAA" {
		t.Fatalf("%+v", e)
	}
	got := string(fields(t, e).Fields().Append(nil))
	if want := `{"name":"Noor","email":"noor@x.org","stage":"Lead","nick":"N","count":9007199254740993}`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	e = b.one("acme", ingest.Command{Op: ingest.OpUpdate, Noun: "Contact", ID: e.Target, Body: body(t, `{"nick":null,"title":"CTO"}`)})
	if e.Version != 2 || string(e.Changes) != `[{"field":"title","from":null,"to":"CTO"},{"field":"nick","from":"N","to":null}]` {
		t.Errorf("version %d, changes %s", e.Version, e.Changes)
	}
	e = b.one("acme", ingest.Command{Op: ingest.OpVerb, Noun: "Contact", ID: "noor@x.org", Verb: "Qualify", Body: body(t, `{"stage":"Churned","note":"x"}`)})
	if e.Type != "Contact.Qualified" || e.Verb != "qualify" || fields(t, e).Text("stage") != "Qualified" || string(e.Input) != `{"stage":"Churned","note":"x"}` {
		t.Errorf("%+v %s", e, e.Data)
	}
	e = b.one("acme", ingest.Command{Op: ingest.OpDelete, Noun: "Contact", ID: e.Target})
	if e.Version != 4 || e.Type != "Contact.Deleted" || !strings.Contains(string(e.Data), `"$deleted":true`) {
		t.Errorf("%+v %s", e, e.Data)
	}
	wantCode(t, b.try("acme", ingest.Command{Op: ingest.OpDelete, Noun: "Contact", ID: e.Target}).Err, problem.NotFound)
	b.one("acme", create(t, "Contact", `{"name":"Other","email":"noor@x.org"}`)) // the value is free again
	p := wantCode(t, b.try("acme", ingest.Command{Op: ingest.OpRollback, Noun: "Contact", ID: e.Target, ToVersion: 1}).Err, problem.Conflict)
	if p.Field != "email" || p.ExistingID == "" {
		t.Errorf("%+v", p)
	}
	counts, err := b.Counts(context.Background(), "acme")
	if err != nil || counts["Contact"] != 1 {
		t.Errorf("counts %v %v", counts, err)
	}
	b.check("acme")
}

// check holds the log against the promises: no gaps, timestamps that do not fall, versions by one, replay = state.
func (b *bench) check(tenant string) {
	b.Helper()
	ctx := context.Background()
	versions, last := map[string]*lakehouse.Event{}, int64(0)
	for i, e := range b.log(tenant) {
		if e.Seq != int64(i)+1 || e.Timestamp < last {
			b.Errorf("event %d: seq %d, timestamp %d after %d", i, e.Seq, e.Timestamp, last)
		}
		last = e.Timestamp
		before := int64(0)
		if v := versions[e.Target]; v != nil {
			before = v.Version
		}
		if e.Version != before+1 {
			b.Errorf("%s: version %d after %d", e.Target, e.Version, before)
		}
		versions[e.Target] = e
	}
	for id, e := range versions {
		p, err := b.Lookup(ctx, tenant, e.Entity, id)
		if err != nil || p.Seq != e.Seq || p.Version != e.Version || p.Deleted != strings.Contains(string(e.Data), `"$deleted":true`) {
			b.Errorf("%s: state %+v %v, log seq %d version %d", id, p, err, e.Seq, e.Version)
		}
	}
	head, err := b.Head(ctx, tenant)
	if err != nil || head != int64(len(b.log(tenant))) {
		b.Errorf("head %d %v", head, err)
	}
}

func TestRefusalsLeaveNothing(t *testing.T) {
	b := open(t, nil)
	org := b.one("acme", create(t, "Organization", `{"name":"Acme"}`))
	foreign := b.one("other", create(t, "Organization", `{"name":"Other"}`))
	b.one("acme", create(t, "Contact", `{"name":"A","email":"a@x.org"}`))
	head, _ := b.Head(context.Background(), "acme")
	for _, tc := range []struct {
		cmd  ingest.Command
		code problem.Code
		text string
	}{
		{create(t, "Nothing", `{}`), problem.NotFound, ""},
		{create(t, "Contact", `{}`), problem.Validation, "name"},
		{create(t, "Contact", `{"name":null}`), problem.Validation, "name"},
		{create(t, "Contact", `{"name":7}`), problem.Validation, "name"},
		{create(t, "Contact", `{"name":"B","stage":"Nope"}`), problem.Validation, "stage"},
		{create(t, "Contact", `{"name":"B","leadScore":"7"}`), problem.Validation, "leadScore"},
		{create(t, "Contact", `{"name":"B","lastEngagement":"soon"}`), problem.Validation, "lastEngagement"},
		{create(t, "Contact", `{"name":"B","email":"a@x.org"}`), problem.Conflict, ""},
		{create(t, "Contact", `{"name":"B","organization":"organization_ZZZZZZZZ"}`), problem.Validation, "organization"},
		{create(t, "Contact", `{"name":"B","organization":"`+foreign.Target+`"}`), problem.Validation, "organization"},
		{create(t, "Contact", `{"name":"B","organization":5}`), problem.Validation, "organization"},
		{create(t, "Contact", `{"name":"B","leads":[]}`), problem.Validation, "leads"},
		{ingest.Command{Op: ingest.OpVerb, Noun: "Contact", ID: "a@x.org", Verb: "explode"}, problem.NotFound, ""},
		{ingest.Command{Op: ingest.OpUpdate, Noun: "Contact", ID: org.Target}, problem.NotFound, ""},
		{ingest.Command{Op: ingest.OpUpdate, Noun: "Contact", ID: "a@x.org", IfVersion: 9}, problem.PreconditionFailed, ""},
		{ingest.Command{Op: ingest.OpUpdate, Noun: "Event", ID: "event_AAAAAAAAAAAA"}, problem.MethodNotAllowed, ""},
		{ingest.Command{Op: ingest.OpRollback, Noun: "Contact", ID: "a@x.org", ToVersion: 7}, problem.NotFound, ""},
		{func() ingest.Command {
			c := create(t, "Contact", `{"name":"B"}`)
			c.At = time.Now().Add(time.Hour)
			return c
		}(), problem.InvalidRequest, ""},
	} {
		r := b.try("acme", tc.cmd)
		p := wantCode(t, r.Err, tc.code)
		if tc.text != "" && (len(p.Details) != 1 || p.Details[0].Field != tc.text) {
			t.Errorf("details %+v, want %s", p.Details, tc.text)
		}
	}
	if now, _ := b.Head(context.Background(), "acme"); now != head {
		t.Errorf("head moved from %d to %d", head, now)
	}
	if r := b.try("fresh", create(t, "Contact", `{}`)); r.Err == nil || b.Status("fresh").Exists {
		t.Errorf("a refused first write made a tenant: %v", r.Err)
	}
	for _, bad := range []string{"", "..", "a..b", "A", "a/b", "-a", strings.Repeat("a", 64)} {
		if _, err := b.Do(context.Background(), bad, []ingest.Command{create(t, "Contact", `{"name":"A"}`)}); err == nil {
			t.Errorf("tenant %q was accepted", bad)
		}
	}
	b.check("acme")
}

func TestOneBadCommandFailsAlone(t *testing.T) {
	b := open(t, nil)
	rs, err := b.Do(context.Background(), "acme", []ingest.Command{
		create(t, "Contact", `{"name":"A","email":"a@x.org"}`),
		create(t, "Contact", `{"name":"B","email":"a@x.org"}`),
		create(t, "Contact", `{}`),
		{Op: ingest.OpDelete, Noun: "Contact", ID: "a@x.org"},
		create(t, "Contact", `{"name":"C","email":"a@x.org"}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []bool{true, false, false, true, true} {
		if (rs[i].Err == nil) != want {
			t.Errorf("command %d: %v", i, rs[i].Err)
		}
	}
	b.check("acme")
}

func TestIdempotency(t *testing.T) {
	b := open(t, nil)
	c := create(t, "Contact", `{"name":"A"}`)
	c.IdempotencyKey = "k1"
	rs, err := b.Do(context.Background(), "acme", []ingest.Command{c, c})
	if err != nil || rs[0].Event != rs[1].Event || !rs[1].Replayed {
		t.Fatalf("%+v %v", rs, err)
	}
	b.reopen()
	if r := b.try("acme", c); !r.Replayed || r.Event.ID != rs[0].Event.ID {
		t.Errorf("after a restart: %+v", r)
	}
	c.Body = body(t, `{"name":"B"}`)
	wantCode(t, b.try("acme", c).Err, problem.IdempotencyConflict)
	b.check("acme")
}

func TestConcurrentWritersOfOneValue(t *testing.T) {
	b := open(t, nil)
	var wg sync.WaitGroup
	var mu sync.Mutex
	won := 0
	for range 32 {
		wg.Go(func() {
			rs, err := b.Do(context.Background(), "acme", []ingest.Command{create(t, "Contact", `{"name":"A","email":"a@x.org"}`)})
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Error(err)
			} else if rs[0].Err == nil {
				won++
			} else if !problem.Is(rs[0].Err, problem.Conflict) {
				t.Error(rs[0].Err)
			}
		})
	}
	wg.Wait()
	if won != 1 {
		t.Errorf("%d creates of one unique value succeeded", won)
	}
	b.check("acme")
}

func TestDatedWritesAndSeqAt(t *testing.T) {
	b := open(t, nil)
	day := func(n int) time.Time { return time.Date(2017, 1, n, 12, 0, 0, 0, time.UTC) }
	for n := 1; n <= 5; n++ {
		c := create(t, "Contact", fmt.Sprintf(`{"name":"%d"}`, n))
		c.At = day(n)
		b.one("acme", c)
	}
	late := create(t, "Contact", `{"name":"late"}`)
	late.At = day(3)
	wantCode(t, b.try("acme", late).Err, problem.InvalidRequest)
	for _, tc := range []struct {
		at   time.Time
		want int64
	}{{day(1).Add(-1), 0}, {day(1), 1}, {day(3).Add(time.Hour), 3}, {day(5), 5}, {time.Now().Add(time.Hour), 5}} {
		if seq, err := b.SeqAt(context.Background(), "acme", tc.at); err != nil || seq != tc.want {
			t.Errorf("SeqAt(%s) = %d, %v, want %d", tc.at, seq, err, tc.want)
		}
	}
	late.At = day(5) // SeqAt(day 5) was answered with 5: nothing may join that instant any more
	wantCode(t, b.try("acme", late).Err, problem.InvalidRequest)
}

func TestSeqAtHoldsForEver(t *testing.T) {
	var mu sync.Mutex
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	clock := func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	b := open(t, func(c *ingest.Config) { c.Clock = clock })
	b.one("acme", create(t, "Contact", `{"name":"A"}`))
	mu.Lock()
	now = now.Add(time.Second)
	mu.Unlock()
	at := now.Add(-time.Millisecond)
	seq, err := b.SeqAt(context.Background(), "acme", at)
	if err != nil || seq != 1 {
		t.Fatal(seq, err)
	}
	mu.Lock()
	now = now.Add(-10 * time.Second) // the clock steps back
	mu.Unlock()
	if e := b.one("acme", create(t, "Contact", `{"name":"B"}`)); e.Timestamp <= at.UnixMilli() {
		t.Errorf("an event at %d after asOf %d was answered", e.Timestamp, at.UnixMilli())
	}
	b.check("acme")
}

func TestHooks(t *testing.T) {
	hooks := &ingest.Hooks{}
	b := open(t, func(c *ingest.Config) { c.Hooks = hooks })
	hooks.Before("title", "Contact", "create", func(_ context.Context, c ingest.BeforeCall) (entity.Object, error) {
		if c.Body.Text("name") == "bad" {
			return nil, errors.New("no such person")
		}
		if r := c.Reader.Do(ingest.Command{Op: ingest.OpCreate, Noun: "Contact"}); !errors.Is(r.Err, ingest.ErrReadOnly) {
			t.Errorf("a before-hook wrote: %v", r.Err)
		}
		return entity.Object{{Name: "title", Value: entity.Quote("Dr")}}, nil
	})
	remove := hooks.After("deal", "Contact", "create", func(_ context.Context, e *lakehouse.Event, turn *ingest.Turn) error {
		r := turn.Do(ingest.Command{Op: ingest.OpCreate, Noun: "Deal", Body: body(t, `{"name":"first","value":1,"contact":"`+e.Target+`"}`)})
		return r.Err
	})
	hooks.After("broken", "Contact", "create", func(_ context.Context, e *lakehouse.Event, turn *ingest.Turn) error {
		if r := turn.Do(ingest.Command{Op: ingest.OpUpdate, Noun: "Contact", ID: e.Target, Body: body(t, `{"title":"gone","email":"e@x.org"}`)}); r.Err != nil {
			t.Error(r.Err)
		}
		panic("boom")
	})
	e := b.one("acme", create(t, "Contact", `{"name":"A"}`))
	p := wantCode(t, b.try("acme", create(t, "Contact", `{"name":"bad"}`)).Err, problem.HookRejected)
	if p.Message != "no such person" {
		t.Error(p.Message)
	}
	events := b.log("acme")
	if len(events) != 2 || events[1].Entity != "Deal" || events[1].Cause != e.ID || events[1].Source != "hook" {
		t.Fatalf("%d events, %+v", len(events), events)
	}
	if fields(t, events[0]).Text("title") != "Dr" {
		t.Errorf("%s", events[0].Data)
	}
	if ptr, err := b.Lookup(context.Background(), "acme", "Contact", e.Target); err != nil || ptr.Version != 1 {
		t.Errorf("the failed hook's write stands: %+v %v", ptr, err)
	}
	b.one("acme", create(t, "User", `{"name":"U","email":"e@x.org"}`))
	remove()
	b.one("acme", create(t, "Contact", `{"name":"B","email":"e@x.org"}`)) // the failed hook's claim was taken back
	b.check("acme")
}

func TestHookDepth(t *testing.T) {
	hooks := &ingest.Hooks{}
	b := open(t, func(c *ingest.Config) { c.Hooks = hooks })
	var deepest error
	hooks.After("again", "Contact", "*", func(_ context.Context, e *lakehouse.Event, turn *ingest.Turn) error {
		r := turn.Do(ingest.Command{Op: ingest.OpUpdate, Noun: "Contact", ID: e.Target})
		if r.Err != nil {
			deepest = r.Err
		}
		return nil
	})
	b.one("acme", create(t, "Contact", `{"name":"A"}`))
	if n := len(b.log("acme")); n != 9 || !errors.Is(deepest, ingest.ErrHookDepth) {
		t.Errorf("%d events, %v", n, deepest)
	}
	b.check("acme")
}

func TestFeed(t *testing.T) {
	b := open(t, nil)
	for i := range 5 {
		b.one("acme", create(t, "Contact", fmt.Sprintf(`{"name":"%d"}`, i)))
	}
	f, err := b.Subscribe(context.Background(), "acme", 2)
	if err != nil {
		t.Fatal(err)
	}
	b.one("acme", create(t, "Contact", `{"name":"live"}`))
	var got []int64
	for e := range f.Events {
		if got = append(got, e.Seq); e.Seq == 6 {
			f.Close()
		}
	}
	if !slices.Equal(got, []int64{3, 4, 5, 6}) || f.Err() != nil {
		t.Errorf("%v %v", got, f.Err())
	}
}

func TestSlowConsumerIsCutOff(t *testing.T) {
	b := open(t, nil)
	b.one("acme", create(t, "Contact", `{"name":"first"}`))
	f, err := b.Subscribe(context.Background(), "acme", -1)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	many := make([]ingest.Command, 1500)
	for i := range many {
		many[i] = create(t, "Contact", `{"name":"x"}`)
	}
	if _, err := b.Do(context.Background(), "acme", many); err != nil {
		t.Fatal(err)
	}
	n := 0
	for range f.Events {
		time.Sleep(time.Microsecond)
		n++
	}
	if n < 1500 && !errors.Is(f.Err(), ingest.ErrSlow) {
		t.Errorf("%d events, %v", n, f.Err())
	}
}

func TestBusy(t *testing.T) {
	hooks, block := &ingest.Hooks{}, make(chan struct{})
	b := open(t, func(c *ingest.Config) { c.Hooks, c.QueueLength = hooks, 2 })
	hooks.Before("block", "*", "*", func(context.Context, ingest.BeforeCall) (entity.Object, error) { <-block; return nil, nil })
	var wg sync.WaitGroup
	var mu sync.Mutex
	refused := 0
	for range 10 {
		wg.Go(func() {
			_, err := b.Do(context.Background(), "acme", []ingest.Command{create(t, "Contact", `{"name":"A"}`)})
			if problem.Is(err, problem.Busy) {
				mu.Lock()
				if refused++; refused == 6 {
					close(block)
				}
				mu.Unlock()
			} else if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := len(b.log("acme")); n+refused != 10 {
		t.Errorf("%d written, %d refused", n, refused)
	}
}

func TestIdleTenantsClose(t *testing.T) {
	reg := &registrar{}
	b := open(t, func(c *ingest.Config) { c.Registrar, c.IdleClose = reg, time.Millisecond })
	b.one("acme", create(t, "Contact", `{"name":"A"}`))
	if !reg.has("acme") {
		t.Error("not on the list of open tenants")
	}
	for b.Status("acme").Open || reg.has("acme") {
		time.Sleep(10 * time.Millisecond)
	}
	e := b.one("acme", create(t, "Contact", `{"name":"B"}`))
	if e.Seq != 2 {
		t.Error(e.Seq)
	}
	b.check("acme")
}

func TestUnpublishedTenantsStayOpen(t *testing.T) {
	reg := &registrar{}
	b := open(t, func(c *ingest.Config) {
		c.Registrar, c.IdleClose, c.Published = reg, time.Millisecond, func(string) int64 { return 0 }
	})
	b.one("acme", create(t, "Contact", `{"name":"A"}`))
	if b.Heads()["acme"] != 1 {
		t.Error(b.Heads())
	}
	b.reopen()
	if !reg.has("acme") {
		t.Error("an unpublished tenant left the list of open tenants")
	}
}

func TestMaxOpen(t *testing.T) {
	b := open(t, func(c *ingest.Config) { c.MaxOpen = 3 })
	for i := range 10 {
		b.one(fmt.Sprintf("t%d", i), create(t, "Contact", `{"name":"A"}`))
	}
	for i := range 10 {
		b.check(fmt.Sprintf("t%d", i))
	}
}

func TestRegistrarFailureRefuses(t *testing.T) {
	reg := &registrar{fail: errors.New("no catalog")}
	b := open(t, func(c *ingest.Config) { c.Registrar = reg })
	_, err := b.Do(context.Background(), "acme", []ingest.Command{create(t, "Contact", `{"name":"A"}`)})
	wantCode(t, err, problem.Unavailable)
	if _, err := os.Stat(filepath.Join(b.cfg.Dir, "tenants", "acme")); !errors.Is(err, os.ErrNotExist) {
		t.Error("the tenant was made before it was listed")
	}
	reg.mu.Lock()
	reg.fail = nil
	reg.mu.Unlock()
	if e := b.one("acme", create(t, "Contact", `{"name":"A"}`)); e.Seq != 1 {
		t.Error(e.Seq)
	}
}

func TestAnalyticsEvent(t *testing.T) {
	b := open(t, nil)
	e := b.one("acme", create(t, "Event", `{"name":"signup","type":"track","timestamp":"2020-01-01T00:00:00Z"}`))
	if e.Kind != lakehouse.KindAnalytics || e.Type != "track" || !strings.HasPrefix(e.Target, "event_") || e.Version != 1 || time.Since(time.UnixMilli(e.Timestamp)) > time.Hour {
		t.Errorf("%+v", e)
	}
	wantCode(t, b.try("acme", ingest.Command{Op: ingest.OpDelete, Noun: "Event", ID: e.Target}).Err, problem.MethodNotAllowed)
}

func TestRollback(t *testing.T) {
	b := open(t, nil)
	e := b.one("acme", create(t, "Contact", `{"name":"A","email":"a@x.org"}`))
	b.one("acme", ingest.Command{Op: ingest.OpUpdate, Noun: "Contact", ID: e.Target, Body: body(t, `{"email":"b@x.org","later":1}`)})
	b.one("acme", ingest.Command{Op: ingest.OpDelete, Noun: "Contact", ID: e.Target})
	e = b.one("acme", ingest.Command{Op: ingest.OpRollback, Noun: "Contact", ID: e.Target, ToVersion: 1})
	if e.Version != 4 || e.Type != "Contact.Updated" || e.Verb != "rollback" || string(e.Input) != `{"rollbackTo":1}` {
		t.Errorf("%+v %s", e, e.Input)
	}
	if got := string(fields(t, e).Fields().Append(nil)); got != `{"name":"A","email":"a@x.org","stage":"Lead"}` {
		t.Error(got)
	}
	wantCode(t, b.try("acme", create(t, "Contact", `{"name":"B","email":"a@x.org"}`)).Err, problem.Conflict)
	b.one("acme", create(t, "Contact", `{"name":"B","email":"b@x.org"}`))
	b.check("acme")
}
