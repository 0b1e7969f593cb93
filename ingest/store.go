package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sort"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"headless.ly/catalog/noun"
	"headless.ly/catalog/problem"
	"headless.ly/lakehouse"
)

// Registrar keeps the durable list of tenants that may have unpublished events (correctness 6). *catalog.Database is one.
type Registrar interface {
	MarkOpen(ctx context.Context, tenant string) error
	MarkClosed(ctx context.Context, tenant string) error
}

// Config says where and how a Store works. Dir, Nouns and Registrar are required; the zero value of everything else
// means the default in its comment.
type Config struct {
	Dir       string         // the data folder; logs live in Dir/tenants/<tenant>/log.db
	Nouns     *noun.Registry // what may be written
	Registrar Registrar
	Published func(tenant string) int64 // seq up to which the events table holds the tenant's log; nil: everything is published

	Hooks          *Hooks           // nil: none
	Clock          func() time.Time // time.Now
	QueueLength    int              // 1,024 calls wait per tenant; more are answered Busy
	MaxBatch       int              // 512 commands share a commit; the last call of a batch may go beyond
	MaxOpen        int              // 2,000 tenants open at once; beyond, idle ones close, or calls are answered Unavailable
	IdleClose      time.Duration    // 30 s without a call closes a published tenant
	IdempotencyTTL time.Duration    // 24 h
	Older          Older            // where events are read from that have left their log; nil: none leaves
	KeepLog        time.Duration    // the age at which events leave their log; 0: never
	VFS            string           // SQLite VFS, for fault injection; empty: the operating system's
	Step           func(string)     // called with each of MoveSteps() as importing and erasing pass it; nil: nothing
	Logger         *slog.Logger     // slog.Default()
}

const (
	// janitorPause is the time between two looks for idle tenants.
	janitorPause = time.Second
	// sweepPause is the time between two attempts to open the tenants that could not be opened at the start.
	sweepPause = 5 * time.Second
	// maxClosing is the number of tenants that Close closes at a time: most of it is waiting for the disk.
	maxClosing = 16
)

func (c *Config) defaults() error {
	if c.Dir == "" || c.Nouns == nil || c.Registrar == nil {
		return errors.New("ingest: Config needs Dir, Nouns and Registrar")
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Step == nil {
		c.Step = func(string) {}
	}
	for _, d := range []struct {
		v   *int
		def int
	}{{&c.QueueLength, 1024}, {&c.MaxBatch, 512}, {&c.MaxOpen, 2000}} {
		if *d.v <= 0 {
			*d.v = d.def
		}
	}
	if c.IdleClose <= 0 {
		c.IdleClose = 30 * time.Second
	}
	if c.IdempotencyTTL <= 0 {
		c.IdempotencyTTL = 24 * time.Hour
	}
	return nil
}

// Store takes commands for all tenants of a data folder. It is safe for concurrent use. The data folder's lock is held by
// the caller (lakehouse.Open takes it).
type Store struct {
	cfg    Config
	plans  map[string]*plan
	ctx    context.Context // ends when Close is done
	cancel context.CancelFunc
	ended  sync.WaitGroup

	mu     sync.Mutex
	slots  map[string]*slot // guarded by mu: one per tenant that is opening, open or closing
	closed bool             // guarded by mu
}

// slot is a tenant's place in the store. There is one at most, so a tenant never has two writers.
type slot struct {
	ready chan struct{} // closed when w and err are set
	gone  chan struct{} // closed when the slot has left the store
	w     *writer
	err   error

	users   int       // guarded by Store.mu
	used    time.Time // guarded by Store.mu: when users fell to 0
	closing bool      // guarded by Store.mu
	barred  error     // of a slot that keeps a tenant closed: what calls are answered
}

// Open readies the store and opens the tenants listed, those that may hold unpublished events. A tenant whose log cannot
// be opened fails alone: its calls answer Unavailable, and it is tried again.
func Open(ctx context.Context, cfg Config, sweep []string) (*Store, error) {
	if err := cfg.defaults(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Join(cfg.Dir, "tenants"), 0o755); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	if err := os.RemoveAll(filepath.Join(cfg.Dir, stagingFolder)); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	s := &Store{cfg: cfg, plans: map[string]*plan{}, slots: map[string]*slot{}}
	for _, n := range cfg.Nouns.All() {
		s.plans[n.Name] = newPlan(n)
	}
	s.ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	left := s.sweep(ctx, sweep, func(w *writer) { w.marked.Store(true) })
	s.ended.Go(func() { s.tidy(left) })
	if cfg.Older != nil && cfg.KeepLog > 0 {
		s.ended.Go(s.trimAll)
	}
	return s, nil
}

// sweep opens tenants that may hold unpublished events and gives those that could not be opened.
func (s *Store) sweep(ctx context.Context, tenants []string, opened func(*writer)) (left []string) {
	for _, tenant := range tenants {
		k, err := s.acquire(ctx, tenant)
		if err != nil { // the tenant answers Unavailable, the others go on
			left = append(left, tenant)
			continue
		}
		opened(k.w)
		s.release(k)
	}
	return left
}

// Do runs commands of one tenant in order and answers when the commit that holds them is durable. Each command succeeds or
// fails alone, in its Result. The error is about the call as a whole: a problem InvalidTenant, Busy, OutcomeUnknown,
// StorageFull, Unavailable, or ctx's own error if it ended before the call was queued (a queued call always runs). More
// commands than MaxBatch are queued one batch after another; after an error the results of earlier batches are given.
// The first successful write makes the tenant.
func (s *Store) Do(ctx context.Context, tenant string, cmds []Command) ([]Result, error) {
	return s.do(ctx, tenant, cmds, false)
}

// Try answers commands as Do would now, and writes nothing: what its results tell of has not happened, and the next call may
// be told the same ids and seqs. Up to MaxBatch commands see each other's effects. After-hooks, which refuse nothing, do not run.
func (s *Store) Try(ctx context.Context, tenant string, cmds []Command) ([]Result, error) {
	return s.do(ctx, tenant, cmds, true)
}

func (s *Store) do(ctx context.Context, tenant string, cmds []Command, try bool) ([]Result, error) {
	k, err := s.acquire(ctx, tenant)
	if err != nil {
		return nil, err
	}
	defer s.release(k)
	var out []Result
	for {
		n := min(len(cmds), s.cfg.MaxBatch)
		c := &call{cmds: cmds[:n], results: make([]Result, 0, n), try: try}
		if err := k.w.submit(ctx, c); err != nil {
			return append(out, c.results...), err
		}
		if cmds = cmds[n:]; len(cmds) == 0 && out == nil {
			return c.results, nil
		}
		if out = append(out, c.results...); len(cmds) == 0 {
			return out, nil
		}
	}
}

// Barrier waits for the writes accepted before it and gives the tenant's head (correctness 5).
func (s *Store) Barrier(ctx context.Context, tenant string) (head int64, err error) {
	err = s.existing(ctx, tenant, func(w *writer) error {
		c := &call{}
		err := w.submit(ctx, c)
		head = c.head
		return err
	})
	return head, err
}

// Head is the seq of the tenant's last acknowledged event; 0 for a tenant that does not exist.
func (s *Store) Head(ctx context.Context, tenant string) (head int64, err error) {
	err = s.existing(ctx, tenant, func(w *writer) error { head = w.view.Load().head; return w.readable() })
	return head, err
}

// SeqAt is the seq of the last event with a timestamp at or before t. The answer holds for ever: no later event will
// bear a timestamp ≤ t, unless t is now or later, in which case the answer is the head (correctness 4).
func (s *Store) SeqAt(ctx context.Context, tenant string, t time.Time) (seq int64, err error) {
	err = s.existing(ctx, tenant, func(w *writer) error {
		v := w.view.Load()
		if !t.Before(s.cfg.Clock()) {
			seq = v.head
			return w.readable()
		}
		if t.UnixMilli() >= v.last { // an event of this instant may be on its way
			if err := w.submit(ctx, &call{fix: true, at: t}); err != nil {
				return err
			}
			v = w.view.Load()
		}
		seq, err = w.seqAt(ctx, v, t.UnixMilli())
		return err
	})
	return seq, err
}

// seqAt searches the log behind a seq, where its timestamps never fall, for the last event at or before ms; that seq if there
// is none.
func (c *conn) seqAt(after, head, ms int64) (int64, error) {
	var failed error
	n := sort.Search(int(head-after), func(i int) bool {
		at, ok, err := c.getInt(sqlGetTime, after+int64(i)+1)
		if err != nil || !ok {
			failed = errors.Join(failed, err)
		}
		return at > ms
	})
	return after + int64(n), failed
}

// Lookup finds an entity by its $id, or by the value of one of the noun's unique fields, deleted ones by $id only.
// problem.NotFound where there is none.
func (s *Store) Lookup(ctx context.Context, tenant, noun, key string) (p lakehouse.Pointer, err error) {
	found := false
	err = s.existing(ctx, tenant, func(w *writer) error {
		return w.read(func(c *conn) (err error) { p, found, err = c.lookup(s.plans[noun], key); return err })
	})
	if err == nil && !found {
		np := problem.New(problem.NotFound, "there is no %s %q", noun, key)
		np.Type, np.ID = noun, key
		return p, np
	}
	return p, err
}

func (c *conn) lookup(p *plan, key string) (out lakehouse.Pointer, found bool, err error) {
	if p == nil {
		return out, false, nil
	}
	id := key
	if !noun.IsID(key) {
		for _, f := range p.uniques {
			holder, err := c.getClaim(claim{p.noun.Name, f.Name, key})
			if err != nil {
				return out, false, err
			}
			if holder != "" {
				id = holder
				break
			}
		}
	}
	st, err := c.getState(id)
	if st == nil || err != nil || st.noun != p.noun.Name {
		return out, false, err
	}
	return lakehouse.Pointer{ID: id, Seq: st.seq, Version: st.version, Deleted: st.deleted}, true, nil
}

// Documents gives the stored documents of these events, in the order asked. The bytes are the caller's.
func (s *Store) Documents(ctx context.Context, tenant string, seqs []int64) (out [][]byte, err error) {
	err = s.existing(ctx, tenant, func(w *writer) (err error) { out, err = w.documents(ctx, seqs); return err })
	if err == nil && len(out) != len(seqs) {
		err = fmt.Errorf("documents of tenant %s, which does not exist", tenant)
	}
	return out, err
}

// LastChange is the seq of the noun's last event; 0 if it has none.
func (s *Store) LastChange(ctx context.Context, tenant, noun string) (seq int64, err error) {
	err = s.existing(ctx, tenant, func(w *writer) error { seq = w.view.Load().tallies[noun].last; return w.readable() })
	return seq, err
}

// Counts gives the number of live entities per noun at the head.
func (s *Store) Counts(ctx context.Context, tenant string) (map[string]int64, error) {
	out := map[string]int64{}
	err := s.existing(ctx, tenant, func(w *writer) error {
		for noun, t := range w.view.Load().tallies {
			out[noun] = t.live
		}
		return w.readable()
	})
	return out, err
}

// Read calls yield with the events of a range in its order. It reads in short transactions and verifies checksums; what has left
// the log comes from the archive.
// An error of yield ends it and is returned. Events are immutable and may be kept.
func (s *Store) Read(ctx context.Context, tenant string, r lakehouse.Range, yield func(*lakehouse.Event) error) error {
	return s.existing(ctx, tenant, func(w *writer) error { return w.scan(ctx, r, yield) })
}

// EventSeq gives the seq of the event with this evt_ id; 0 if there is none.
func (s *Store) EventSeq(ctx context.Context, tenant, id string) (seq int64, err error) {
	err = s.existing(ctx, tenant, func(w *writer) (err error) { seq, err = w.eventSeq(ctx, id); return err })
	return seq, err
}

// Heads gives the acknowledged head of every tenant that may have unpublished events. It does no I/O.
func (s *Store) Heads() map[string]int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[string]int64{}
	for tenant, k := range s.slots {
		if w := k.open(); w != nil {
			if head := w.view.Load().head; head > s.published(tenant) {
				out[tenant] = head
			}
		}
	}
	return out
}

// open gives the slot's writer; nil while it opens, or if it could not.
func (k *slot) open() *writer {
	select {
	case <-k.ready:
		return k.w
	default:
		return nil
	}
}

func (s *Store) published(tenant string) int64 {
	if s.cfg.Published == nil {
		return 1<<63 - 1
	}
	return s.cfg.Published(tenant)
}

// Tenants lists the tenants that have a log in the data folder, sorted.
func (s *Store) Tenants(ctx context.Context) ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(s.cfg.Dir, "tenants"))
	if err != nil {
		return nil, fmt.Errorf("list tenants: %w", err)
	}
	var out []string
	for _, e := range entries {
		if ValidTenant(e.Name()) && fileSize(logFile(s.cfg.Dir, e.Name())) > 0 {
			out = append(out, e.Name())
		}
	}
	return out, nil
}

// TenantStatus is what /~t/status says about a tenant's writer.
type TenantStatus struct {
	Exists  bool
	Open    bool
	Head    int64
	Queued  int           // calls waiting
	Last    time.Time     // timestamp of the last event
	Ahead   time.Duration // how far the last timestamp is ahead of the clock; alarming above a second
	LogSize int64         // bytes of the log file
	Trimmed int64         // events up to this seq have left the log, but for those that states stand on; of open tenants
}

// Status looks at a tenant without opening or creating it; Head and Last are known of open tenants only.
func (s *Store) Status(tenant string) TenantStatus {
	if !ValidTenant(tenant) {
		return TenantStatus{}
	}
	out := TenantStatus{LogSize: fileSize(logFile(s.cfg.Dir, tenant))}
	out.Exists = out.LogSize > 0
	s.mu.Lock()
	k := s.slots[tenant]
	s.mu.Unlock()
	if k == nil {
		return out
	}
	if w := k.open(); w != nil {
		v := w.view.Load()
		out.Open, out.Head, out.Queued, out.Trimmed = true, v.head, len(w.queue), w.trimmed.Load()
		if v.head > 0 {
			out.Last = time.UnixMilli(v.last).UTC()
			out.Ahead = max(0, out.Last.Sub(s.cfg.Clock()))
		}
	}
	return out
}

// Subscribe opens a feed of the tenant's events after a seq; a negative seq means from the head on. It never makes the
// writer wait: a consumer that falls feedBuffer events behind is cut off with ErrSlow and resumes by seq. The tenant stays
// open until the feed is closed or ctx ends.
func (s *Store) Subscribe(ctx context.Context, tenant string, after int64) (*Feed, error) {
	k, err := s.acquire(ctx, tenant)
	if err != nil {
		return nil, err
	}
	if after < 0 {
		after = k.w.view.Load().head
	}
	return k.w.subscribe(ctx, after, func() { s.release(k) }), nil
}

// Close refuses new calls, finishes the accepted ones, and closes the logs. It publishes nothing; tenants that are not
// published stay on the durable list of open tenants.
func (s *Store) Close(ctx context.Context) error {
	s.mu.Lock()
	s.closed = true
	var all []*slot
	var names []string
	for tenant, k := range s.slots {
		if !k.closing {
			k.closing = true
			all, names = append(all, k), append(names, tenant)
		}
	}
	s.mu.Unlock()
	s.cancel()
	s.ended.Wait()
	errs := make([]error, len(all))
	var g errgroup.Group
	g.SetLimit(maxClosing)
	for i, k := range all {
		g.Go(func() error { errs[i] = s.finish(ctx, names[i], k); return nil })
	}
	_ = g.Wait() // the errors are in errs
	return errors.Join(errs...)
}

// finish stops a slot's writer and takes the slot out of the store.
func (s *Store) finish(ctx context.Context, tenant string, k *slot) error {
	<-k.ready
	if k.w == nil { // it could not be opened, and has left the store
		return nil
	}
	err := k.w.stop()
	if err == nil && k.w.marked.Load() && s.published(tenant) >= k.w.view.Load().head {
		err = s.cfg.Registrar.MarkClosed(context.WithoutCancel(ctx), tenant)
	}
	s.mu.Lock()
	delete(s.slots, tenant)
	s.mu.Unlock()
	close(k.gone)
	if err != nil {
		return fmt.Errorf("close tenant %s: %w", tenant, err)
	}
	return nil
}
