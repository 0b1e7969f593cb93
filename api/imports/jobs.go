package imports

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"headless.ly/catalog/noun"
	"headless.ly/catalog/problem"
	"headless.ly/ingest"
	"headless.ly/lakehouse"
)

// Store is what imports need of the write side. *ingest.Store is one, and says what the methods promise.
type Store interface {
	Do(ctx context.Context, tenant string, commands []ingest.Command) ([]ingest.Result, error)
	Try(ctx context.Context, tenant string, commands []ingest.Command) ([]ingest.Result, error)
	Head(ctx context.Context, tenant string) (int64, error)
	Read(ctx context.Context, tenant string, r lakehouse.Range, yield func(*lakehouse.Event) error) error
}

// Config says where and how imports work. Dir, Nouns and Store are required; the zero value of everything else means the
// default in its comment.
type Config struct {
	Dir   string // the data folder
	Nouns *noun.Registry
	Store Store

	Group      int           // 500 rows share a call to the store, so that they share commits
	MaxRow     int64         // 10 MB: one row of text
	MaxFile    int64         // 10 GB: one file
	MaxWaited  int           // 10,000 rows are imported while the caller waits; larger files become jobs
	MaxRunning int           // 2 jobs run at once
	MaxWaiting int           // 16 jobs of a tenant wait; more are refused as Busy
	Keep       int           // 100 jobs of a tenant are kept when they have ended,
	KeepFor    time.Duration // 30 days
	Pause      time.Duration // 1 s before a job that could not go on tries again, doubled up to maxPause
	Logger     *slog.Logger  // slog.Default()
}

func (c *Config) defaults() {
	set := func(field *int, value int) {
		if *field <= 0 {
			*field = value
		}
	}
	set(&c.Group, 500)
	set(&c.MaxWaited, 10_000)
	set(&c.MaxRunning, 2)
	set(&c.MaxWaiting, 16)
	set(&c.Keep, 100)
	if c.MaxRow <= 0 {
		c.MaxRow = 10 << 20
	}
	if c.MaxFile <= 0 {
		c.MaxFile = 10 << 30
	}
	if c.KeepFor <= 0 {
		c.KeepFor = 30 * 24 * time.Hour
	}
	if c.Pause <= 0 {
		c.Pause = time.Second
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
}

// Jobs imports files. It is safe for concurrent use.
type Jobs struct {
	cfg     Config
	ctx     context.Context // ends with Close
	stop    context.CancelFunc
	running chan struct{} // holds one per job that runs
	workers sync.WaitGroup

	mu      sync.Mutex        // guards what follows
	queues  map[string][]*job // by tenant: those that have not ended, the running one first
	closed  bool
	pending map[string]struct{} // tenants of which no job may start: they are being forgotten
}

// Open finds the jobs that have not ended and goes on with them. The data folder's lock is held by the caller.
func Open(cfg Config) (*Jobs, error) {
	if cfg.Dir == "" || cfg.Nouns == nil || cfg.Store == nil {
		return nil, errors.New("open imports: Dir, Nouns and Store are required")
	}
	cfg.defaults()
	j := &Jobs{cfg: cfg, running: make(chan struct{}, cfg.MaxRunning), queues: map[string][]*job{}, pending: map[string]struct{}{}}
	j.ctx, j.stop = context.WithCancel(context.Background())
	if err := os.MkdirAll(j.tmp(), 0o700); err != nil {
		return nil, fmt.Errorf("open imports: %w", err)
	}
	left, err := filepath.Glob(filepath.Join(j.tmp(), receiving+"*"))
	for _, name := range left {
		err = errors.Join(err, os.Remove(name))
	}
	if err == nil {
		err = j.resume()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open imports: %w", err), j.Close())
	}
	return j, nil
}

func (j *Jobs) tmp() string { return filepath.Join(j.cfg.Dir, "tmp") }

// folder is where a tenant's jobs lie.
func (j *Jobs) folder(tenant string) string {
	return filepath.Join(j.cfg.Dir, "tenants", tenant, "jobs")
}

// resume goes on with what an earlier process began.
func (j *Jobs) resume() error {
	folders, err := filepath.Glob(j.folder("*"))
	if err != nil {
		return err
	}
	for _, folder := range folders {
		tenant := filepath.Base(filepath.Dir(folder))
		all, err := j.stored(tenant)
		if err != nil {
			return err
		}
		slices.SortFunc(all, func(a, b Job) int { return a.Created.Compare(b.Created) })
		for _, state := range all {
			if state.Status.Ended() {
				continue
			}
			n, ok := j.cfg.Nouns.Get(state.Order.Noun)
			if !ok {
				j.cfg.Logger.Error("job of an unknown noun", "job", state.ID, "noun", state.Order.Noun)
				continue
			}
			j.mu.Lock()
			one := j.enqueue(state, n)
			j.mu.Unlock()
			close(one.ready)
		}
	}
	return nil
}

// stored reads the jobs of a tenant from its folder. What a crash left of a job that was never answered is removed.
func (j *Jobs) stored(tenant string) ([]Job, error) {
	entries, err := os.ReadDir(j.folder(tenant))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	var all []Job
	for _, e := range entries {
		state, readErr := j.read(tenant, e.Name())
		switch {
		case readErr == nil:
			all = append(all, state)
		case !errors.Is(readErr, os.ErrNotExist):
			err = errors.Join(err, readErr)
		}
	}
	return all, err
}

// read reads one job.
func (j *Jobs) read(tenant, id string) (state Job, err error) {
	text, err := os.ReadFile(filepath.Join(j.folder(tenant), id, stateFile))
	if err == nil {
		err = json.Unmarshal(text, &state)
	}
	if err != nil {
		return state, fmt.Errorf("read job %s: %w", id, err)
	}
	if state.Report.Details == nil {
		state.Report.Details = []BadRow{}
	}
	return state, nil
}

// Start makes a job of a received file, which the job takes. It is on disk when Start returns. With an idempotency key that a
// job of the tenant has, it gives that one; problem.IdempotencyConflict if it was about something else.
func (j *Jobs) Start(o Order, f *File) (Job, error) {
	n, err := j.checkOrder(o)
	if err != nil {
		return Job{}, err
	}
	all, err := j.List(o.Tenant)
	if err != nil {
		return Job{}, err
	}
	for _, have := range all {
		if have.repeats(o) {
			return have.same(o, f)
		}
	}
	state := Job{ID: noun.NewJobID(), Order: o, Hash: f.hash, Status: Waiting, Report: Report{Details: []BadRow{}}, Bytes: f.Size, Created: now()}
	if state.Seq, err = j.cfg.Store.Head(j.ctx, o.Tenant); err != nil {
		return Job{}, err
	}
	one, have, err := j.reserve(state, n)
	if err != nil {
		return Job{}, err
	}
	if have != nil { // the same request came a moment earlier
		<-have.ready
		return have.look().same(o, f)
	}
	j.prune(all)
	err = j.store(state, f)
	one.void = err != nil
	close(one.ready)
	return state, err
}

// repeats says whether an order has the job's idempotency key.
func (state Job) repeats(o Order) bool {
	return o.IdempotencyKey != "" && state.Order.IdempotencyKey == o.IdempotencyKey
}

// same gives the job if it is about the same order and file.
func (state Job) same(o Order, f *File) (Job, error) {
	o.RequestID = state.Order.RequestID
	if o != state.Order || f.hash != state.Hash {
		return Job{}, problem.New(problem.IdempotencyConflict, "this Idempotency-Key was used for another request")
	}
	return state, nil
}

// now is the time as it is told: UTC, milliseconds.
func now() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }

// reserve takes a place in the tenant's queue, unless a job with the same idempotency key has one.
func (j *Jobs) reserve(state Job, n *noun.Noun) (one, have *job, err error) {
	tenant := state.Order.Tenant
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, have := range j.queues[tenant] {
		if have.created.repeats(state.Order) {
			return nil, have, nil
		}
	}
	_, forgotten := j.pending[tenant]
	if j.closed || forgotten {
		p := problem.New(problem.Unavailable, "no job can be started now")
		p.RetryAfter = time.Second
		return nil, nil, p
	}
	if len(j.queues[tenant]) > j.cfg.MaxWaiting {
		p := problem.New(problem.Busy, "%d jobs of this tenant wait already", j.cfg.MaxWaiting)
		p.RetryAfter = 10 * time.Second
		return nil, nil, p
	}
	return j.enqueue(state, n), nil, nil
}

// store makes a new job durable: its file first, then its state, then the names of the folders.
func (j *Jobs) store(state Job, f *File) (err error) {
	folder := j.folder(state.Order.Tenant)
	dir := filepath.Join(folder, state.ID)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return noRoom(err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(noRoom(err), os.RemoveAll(dir))
		}
	}()
	if err := f.keep(filepath.Join(dir, rowsFile)); err != nil {
		return err
	}
	text, err := json.Marshal(state)
	if err != nil {
		return err
	}
	if err := replace(filepath.Join(dir, stateFile), text); err != nil {
		return err
	}
	for range 3 { // jobs, the tenant's folder, tenants: each may be new
		if err := syncDir(folder); err != nil {
			return err
		}
		folder = filepath.Dir(folder)
	}
	return nil
}

// enqueue lets a job run behind the others of its tenant, once it is ready. The caller holds mu.
func (j *Jobs) enqueue(state Job, n *noun.Noun) *job {
	tenant := state.Order.Tenant
	one := &job{
		jobs: j, dir: filepath.Join(j.folder(tenant), state.ID), noun: n, created: state,
		ready: make(chan struct{}), ended: make(chan struct{}), saved: state, now: state,
	}
	one.ctx, one.cancel = context.WithCancelCause(j.ctx)
	j.queues[tenant] = append(j.queues[tenant], one)
	if len(j.queues[tenant]) == 1 {
		j.workers.Go(func() { j.work(tenant) })
	}
	return one
}

// work runs the jobs of one tenant, one after the other.
func (j *Jobs) work(tenant string) {
	for {
		one := j.first(tenant)
		if one == nil {
			return
		}
		<-one.ready
		select {
		case j.running <- struct{}{}:
			one.run()
			<-j.running
		case <-one.ctx.Done():
			one.run() // it only notes why it does not run
		}
		one.cancel(nil)
		j.mu.Lock()
		j.queues[tenant] = j.queues[tenant][1:]
		j.mu.Unlock()
	}
}

// first gives the tenant's first job; nil if there is none, and then nobody works for the tenant any more.
func (j *Jobs) first(tenant string) *job {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.queues[tenant]) == 0 {
		delete(j.queues, tenant)
		return nil
	}
	return j.queues[tenant][0]
}

// prune removes the jobs of a tenant that ended long ago, and the oldest of too many.
func (j *Jobs) prune(newest []Job) {
	ended := 0
	for _, state := range newest {
		if !state.Status.Ended() || state.Finished == nil {
			continue
		}
		if ended++; ended < j.cfg.Keep && time.Since(*state.Finished) < j.cfg.KeepFor {
			continue
		}
		if err := os.RemoveAll(filepath.Join(j.folder(state.Order.Tenant), state.ID)); err != nil {
			j.cfg.Logger.Warn("remove job", "job", state.ID, "error", err)
		}
	}
}

// active finds a job that has not ended.
func (j *Jobs) active(tenant, id string) *job {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, one := range j.queues[tenant] {
		if filepath.Base(one.dir) == id {
			return one
		}
	}
	return nil
}

// Get gives a job; problem.NotFound if there is none.
func (j *Jobs) Get(tenant, id string) (Job, error) {
	missing := problem.New(problem.NotFound, "there is no job %.80q", id)
	missing.ID = id
	if !strings.HasPrefix(id, "job_") || !noun.IsID(id) {
		return Job{}, missing
	}
	if one := j.active(tenant, id); one != nil {
		return one.look(), nil
	}
	state, err := j.read(tenant, id)
	if errors.Is(err, os.ErrNotExist) {
		return state, missing
	}
	return state, err
}

// List gives the jobs of a tenant that are kept, the newest first.
func (j *Jobs) List(tenant string) ([]Job, error) {
	all, err := j.stored(tenant)
	if err != nil {
		return nil, err
	}
	for i := range all {
		if one := j.active(tenant, all[i].ID); one != nil {
			all[i] = one.look()
		}
	}
	slices.SortFunc(all, func(a, b Job) int { return b.Created.Compare(a.Created) })
	return all, nil
}

// Cancel ends a job and waits for that. The rows it has written stay. A job that has ended already is given as it is.
func (j *Jobs) Cancel(ctx context.Context, tenant, id string) (Job, error) {
	if one := j.active(tenant, id); one != nil {
		one.cancel(errCancelled)
		select {
		case <-one.ended:
		case <-ctx.Done():
			return Job{}, ctx.Err()
		}
	}
	return j.Get(tenant, id)
}

// Forget ends the jobs of a tenant, removes all that is stored of them, and lets none start until resume is called. It is for
// who erases the tenant.
func (j *Jobs) Forget(ctx context.Context, tenant string) (resume func(), err error) {
	j.mu.Lock()
	j.pending[tenant] = struct{}{}
	queue := slices.Clone(j.queues[tenant])
	j.mu.Unlock()
	resume = func() {
		j.mu.Lock()
		defer j.mu.Unlock()
		delete(j.pending, tenant)
	}
	for _, one := range queue {
		one.cancel(errCancelled)
	}
	for _, one := range queue {
		select {
		case <-one.ended:
		case <-ctx.Done():
			return resume, ctx.Err()
		}
	}
	return resume, os.RemoveAll(j.folder(tenant))
}

// Close stops what runs, behind the group of rows that is being written, and waits. The next Open goes on with it.
func (j *Jobs) Close() error {
	j.mu.Lock()
	j.closed = true
	j.mu.Unlock()
	j.stop()
	j.workers.Wait()
	return nil
}
