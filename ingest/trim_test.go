package ingest_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"headless.ly/catalog/entity"
	"headless.ly/catalog/fault"
	"headless.ly/ingest"
	"headless.ly/lakehouse"
)

// library is an archive in memory.
type library struct {
	mu     sync.Mutex
	events []*lakehouse.Event // of one tenant
	spoil  func(*lakehouse.Event)
}

// publish copies what the library does not have yet.
func (l *library) publish(t testing.TB, b *bench) {
	t.Helper()
	err := b.Read(context.Background(), "acme", lakehouse.Range{After: int64(len(l.events))}, func(e *lakehouse.Event) error {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.events = append(l.events, l.copy(e))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (l *library) copy(e *lakehouse.Event) *lakehouse.Event {
	c := *e
	c.Data, c.Before, c.Changes, c.Input = bytes.Clone(e.Data), bytes.Clone(e.Before), bytes.Clone(e.Changes), bytes.Clone(e.Input)
	if l.spoil != nil {
		l.spoil(&c)
	}
	return &c
}

func (l *library) ReadEvents(_ context.Context, _ string, r lakehouse.Range, yield func(*lakehouse.Event) error) error {
	for _, e := range l.chosen(r) {
		if err := yield(e); err != nil {
			return err
		}
	}
	return nil
}

// chosen gives copies of the events of a range.
func (l *library) chosen(r lakehouse.Range) (out []*lakehouse.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.events {
		if e.Seq > r.After && (r.Upto == 0 || e.Seq <= r.Upto) && (r.Noun == "" || e.Entity == r.Noun) && (r.Target == "" || e.Target == r.Target) {
			out = append(out, l.copy(e))
		}
	}
	if r.Desc {
		slices.Reverse(out)
	}
	if r.Limit > 0 && len(out) > r.Limit {
		out = out[:r.Limit]
	}
	return out
}

func (l *library) FindEvents(_ context.Context, _ string, seqs []int64) (out []*lakehouse.Event, err error) {
	for _, seq := range seqs {
		out = append(out, l.chosen(lakehouse.Range{After: seq - 1, Upto: seq})...)
	}
	return out, nil
}

func (l *library) EventAt(_ context.Context, _ string, upto, at int64) (seq int64, err error) {
	for _, e := range l.chosen(lakehouse.Range{Upto: upto}) {
		if e.Timestamp <= at {
			seq = e.Seq
		}
	}
	return seq, nil
}

func (l *library) Tagged(context.Context, string) (int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return int64(len(l.events)), nil
}

// trimmed makes a store whose log is trimmed an hour behind a clock that stands where the test puts it.
func trimmed(c *ingest.Config, now *time.Time) *library {
	l := &library{}
	c.Older, c.KeepLog, c.Clock = l, time.Hour, func() time.Time { return *now }
	return l
}

// write runs random commands, some at each of several hours.
func (m *model) write(t *testing.T, b *bench, r *rand.Rand, now *time.Time, groups int) {
	t.Helper()
	for range groups {
		*now = now.Add(time.Duration(r.IntN(10)) * time.Minute)
		for range 1 + r.IntN(4) {
			c := m.command(t, r)
			m.apply(t, c, b.try("acme", c))
		}
	}
}

// TestTrim runs random commands and trims the log at random: whatever is asked for, now or as of any seq or time, is what it
// would be without. Rollback, idempotent repetitions and feeds reach beyond the trim point.
func TestTrim(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) { trimRun(t, rand.New(rand.NewPCG(seed, 8))) })
	}
}

func trimRun(t *testing.T, r *rand.Rand) {
	now := time.Date(2026, 5, 1, 8, 0, 0, 0, time.UTC)
	var books *library
	b := open(t, func(c *ingest.Config) { books = trimmed(c, &now) })
	m := &model{people: map[string][]entity.Object{}, emails: map[string]string{}}
	ctx := context.Background()
	for round := range 30 {
		m.write(t, b, r, &now, 10)
		books.publish(t, b)
		before := b.Status("acme").Trimmed
		done, err := b.Trim(ctx, "acme")
		if err != nil || done.Upto != before+done.Events {
			t.Fatalf("%+v, %v", done, err)
		}
		if round%7 == 6 {
			b.reopen()
		}
		m.compare(t, b)
		holdReads(t, b, books, r)
	}
	if got := b.Status("acme").Trimmed; got == 0 || got >= int64(len(books.events)) {
		t.Errorf("trimmed up to %d of %d", got, len(books.events))
	}
	rows, states := holdLog(t, b.cfg.Dir, b.Status("acme").Trimmed)
	if most := states + 2*int(int64(len(books.events))-b.Status("acme").Trimmed); rows > most {
		t.Errorf("the log has %d rows of %d events and %d states", rows, len(books.events), states)
	}
}

// holdReads compares random reads of the store with the library, which has all events.
func holdReads(t *testing.T, b *bench, books *library, r *rand.Rand) {
	t.Helper()
	ctx, n := context.Background(), len(books.events)
	for range 25 {
		e := books.events[r.IntN(n)]
		q := lakehouse.Range{After: r.Int64N(int64(n)), Desc: r.IntN(2) == 0}
		q.Upto = q.After + 1 + r.Int64N(int64(n)-q.After)
		if r.IntN(3) == 0 {
			q.Noun = e.Entity
		}
		if r.IntN(3) == 0 {
			q.Noun, q.Target = e.Entity, e.Target
		}
		if r.IntN(2) == 0 {
			q.Limit = 1 + r.IntN(9)
		}
		var got []*lakehouse.Event
		if err := b.Read(ctx, "acme", q, func(e *lakehouse.Event) error { got = append(got, e); return nil }); err != nil {
			t.Fatal(err)
		}
		if want := books.chosen(q); !reflect.DeepEqual(got, want) {
			t.Fatalf("%+v trimmed at %d: got %d events, want %d", q, b.Status("acme").Trimmed, len(got), len(want))
		}
		other := books.events[r.IntN(n)]
		docs, err := b.Documents(ctx, "acme", []int64{e.Seq, other.Seq, e.Seq})
		if err != nil || !bytes.Equal(docs[0], e.Data) || !bytes.Equal(docs[1], other.Data) || !bytes.Equal(docs[2], e.Data) {
			t.Fatalf("documents of %d and %d: %s, %v", e.Seq, other.Seq, docs, err)
		}
		if seq, err := b.EventSeq(ctx, "acme", e.ID); err != nil || seq != e.Seq {
			t.Fatalf("event %s is %d, %v, want %d", e.ID, seq, err, e.Seq)
		}
		at := e.Timestamp + r.Int64N(3) - 1
		want, _ := books.EventAt(ctx, "acme", int64(n), at)
		if seq, err := b.SeqAt(ctx, "acme", time.UnixMilli(at)); err != nil || seq != want {
			t.Fatalf("seq at %d is %d, %v, want %d", at, seq, err, want)
		}
	}
}

// holdLog holds a closed or open log file to what FORMAT.md says of trimmed logs, and counts its events and states.
func holdLog(t *testing.T, dir string, trimmed int64) (rows, states int) {
	t.Helper()
	db, err := sql.Open("sqlite3", "file:"+filepath.Join(dir, "tenants", "acme", "log.db")+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	one := func(q string, to ...any) {
		if err := db.QueryRow(q).Scan(to...); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
	var floor, head, behind, missing, doubled int64
	var format int
	one("select coalesce((select value from meta where key = 'trimmed'), 0), (select value from meta where key = 'format'), max(seq), count(*) from log", &floor, &format, &head, &rows)
	one(fmt.Sprint("select count(*) from log where seq > ", floor), &behind)
	one("select count(*), count(*) filter (where not exists (select 1 from log where log.seq = state.seq and log.target = state.id)) from state", &states, &missing)
	one(fmt.Sprint("select count(*) from (select row from log where seq <= ", floor, " group by row having count(*) > 1)"), &doubled)
	if floor != trimmed || behind != head-floor || missing > 0 || doubled > 0 || (format == 3) != (floor > 0) {
		t.Errorf("trim point %d, want %d; head %d, %d rows behind; %d states without row; %d entities with two old rows; format %d",
			floor, trimmed, head, behind, missing, doubled, format)
	}
	return rows, states
}

// TestTrimReachesBack rolls entities back to what has left the log, and repeats a command whose event has.
func TestTrimReachesBack(t *testing.T) {
	now := time.Date(2026, 5, 1, 8, 0, 0, 0, time.UTC)
	var books *library
	b := open(t, func(c *ingest.Config) { books = trimmed(c, &now) })
	ctx := context.Background()
	made := b.one("acme", ingest.Command{Op: ingest.OpCreate, Noun: "Contact", Body: body(t, `{"name":"First"}`), IdempotencyKey: "once"})
	now = now.Add(time.Minute)
	update := func(name string) *lakehouse.Event {
		return b.one("acme", ingest.Command{Op: ingest.OpUpdate, Noun: "Contact", ID: made.Target, Body: body(t, `{"name":"`+name+`"}`)})
	}
	update("Second")
	now = now.Add(time.Minute)
	update("Third")
	now = now.Add(2 * time.Hour)
	books.publish(t, b)
	if done, err := b.Trim(ctx, "acme"); err != nil || done.Upto != 3 {
		t.Fatalf("%+v, %v", done, err)
	}
	if rows, _ := holdLog(t, b.cfg.Dir, 3); rows != 1 {
		t.Errorf("the log has %d rows", rows)
	}
	again := b.one("acme", ingest.Command{Op: ingest.OpCreate, Noun: "Contact", Body: body(t, `{"name":"First"}`), IdempotencyKey: "once"})
	if !reflect.DeepEqual(again, made) {
		t.Errorf("repeated: %+v, want %+v", again, made)
	}
	feed, err := b.Subscribe(ctx, "acme", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer feed.Close()
	for want := int64(1); want <= 3; want++ {
		if e := <-feed.Events; e.Seq != want {
			t.Errorf("the feed gives %d, want %d", e.Seq, want)
		}
	}
	for _, back := range []struct {
		c    ingest.Command
		want string
	}{
		{ingest.Command{ToVersion: 1}, "First"},
		{ingest.Command{ToVersion: 2}, "Second"},
		{ingest.Command{ToTime: time.UnixMilli(made.Timestamp).Add(30 * time.Second)}, "First"},
		{ingest.Command{ToTime: time.UnixMilli(made.Timestamp).Add(3 * time.Minute)}, "Third"},
	} {
		c := back.c
		c.Op, c.Noun, c.ID = ingest.OpRollback, "Contact", made.Target
		if got := fields(t, b.one("acme", c)).Text("name"); got != back.want {
			t.Errorf("%+v gives %q, want %q", back.c, got, back.want)
		}
	}
	early := ingest.Command{Op: ingest.OpRollback, Noun: "Contact", ID: made.Target, ToTime: time.UnixMilli(made.Timestamp - 1)}
	if r := b.try("acme", early); r.Err == nil {
		t.Error("rolled back to before the first version")
	}
}

// TestTrimCompares has an archive that changes a value: nothing from there on leaves the log.
func TestTrimCompares(t *testing.T) {
	now := time.Date(2026, 5, 1, 8, 0, 0, 0, time.UTC)
	for name, spoil := range map[string]func(*lakehouse.Event){
		"data": func(e *lakehouse.Event) { e.Data = append(e.Data[:len(e.Data)-1], ' ', '}') }, "actor": func(e *lakehouse.Event) { e.Actor += "x" },
		"null": func(e *lakehouse.Event) { e.Input = []byte{} }, "time": func(e *lakehouse.Event) { e.Timestamp++ },
	} {
		var books *library
		b := open(t, func(c *ingest.Config) { books = trimmed(c, &now) })
		for range 3 {
			b.one("acme", create(t, "Contact", `{"name":"A"}`))
		}
		now = now.Add(2 * time.Hour)
		books.spoil = spoil
		books.publish(t, b)
		books.spoil = nil
		done, err := b.Trim(context.Background(), "acme")
		if !errors.Is(err, ingest.ErrOlder) || done.Upto != 0 {
			t.Errorf("%s: trimmed up to %d, %v", name, done.Upto, err)
		}
		if rows, _ := holdLog(t, b.cfg.Dir, 0); rows != 3 {
			t.Errorf("%s: the log has %d rows", name, rows)
		}
	}
}

// TestTrimWithFaults fails operations of the disk, the first ones all and later ones fewer, while a log is trimmed, and cuts the
// power behind each: after a restart all events are there, once, and trimming goes on.
func TestTrimWithFaults(t *testing.T) {
	now := time.Date(2026, 5, 1, 8, 0, 0, 0, time.UTC)
	r := rand.New(rand.NewPCG(3, 3))
	var books *library
	b := open(t, func(c *ingest.Config) { books = trimmed(c, &now) })
	m := &model{people: map[string][]entity.Object{}, emails: map[string]string{}}
	m.write(t, b, r, &now, 400)
	books.publish(t, b)
	if err := b.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	prepared := b.cfg.Dir
	for _, kind := range append(fault.Kinds(), fault.None) {
		for n := 1; ; n += 1 + n/3 {
			dir := t.TempDir()
			if err := os.CopyFS(dir, os.DirFS(prepared)); err != nil {
				t.Fatal(err)
			}
			in, err := fault.New(dir)
			if err != nil {
				t.Fatal(err)
			}
			vfs := in.NewVFS(false)
			cfg := b.cfg
			cfg.Dir, cfg.VFS = dir, vfs.Name()
			s := &bench{TB: t, cfg: cfg}
			s.reopen()
			if _, err := s.Head(context.Background(), "acme"); err != nil {
				t.Fatal(err)
			}
			from := in.Trace().Len()
			in.Arm(fault.Plan{Kind: kind, N: n})
			_, _ = s.Trim(context.Background(), "acme")
			fired := len(in.Fired()) > 0
			to := in.Trace().Len()
			in.Arm(fault.Plan{})
			what := fmt.Sprintf("%s of operation %d", kind, n)
			s.whole(what, books)
			_ = s.Close(context.Background())
			if err := vfs.Close(); err != nil {
				t.Error(err)
			}
			s.cfg.VFS, s.Store = "", nil
			s.resume(what, books)
			for range 2 {
				point := from + r.IntN(to-from+1)
				cut := t.TempDir()
				if _, err := in.Trace().Replay(point, cut, r); err != nil {
					t.Fatal(err)
				}
				s.cfg.Dir = cut
				s.resume(fmt.Sprintf("%s, power cut at %d", what, point), books)
			}
			if !fired {
				break
			}
		}
	}
}

// whole holds the store to have all events.
func (b *bench) whole(what string, books *library) {
	b.Helper()
	soon(b, what, func() {
		for {
			var got []*lakehouse.Event
			err := b.Read(context.Background(), "acme", lakehouse.Range{}, func(e *lakehouse.Event) error { got = append(got, e); return nil })
			if err != nil {
				time.Sleep(time.Millisecond) // the log is being reopened
				continue
			}
			if want := books.chosen(lakehouse.Range{}); !reflect.DeepEqual(got, want) {
				b.Errorf("%s: %d events, want %d", what, len(got), len(want))
			}
			return
		}
	})
}

// resume opens a folder after a fault, holds it to be whole, finishes the trimming, and holds it again.
func (b *bench) resume(what string, books *library) {
	b.Helper()
	b.Store = nil
	b.reopen()
	b.whole(what, books)
	done, err := b.Trim(context.Background(), "acme")
	if err != nil || done.Upto == 0 {
		b.Errorf("%s: trimmed up to %d, %v", what, done.Upto, err)
	}
	b.whole(what, books)
	if err := b.Close(context.Background()); err != nil {
		b.Error(err)
	}
	holdLog(b.TB.(*testing.T), b.cfg.Dir, done.Upto)
	b.Store = nil
}
