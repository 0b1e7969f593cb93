package query

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/sync/semaphore"

	"headless.ly/catalog/problem"
	"headless.ly/lakehouse"
	"headless.ly/query/duck"
	"headless.ly/query/engine"
)

// EngineConfig bounds an Engine. The zero value of a field means the default in its comment.
type EngineConfig struct {
	Warehouse      string                       // required: where tables lie; nobody outside learns of it
	Folders        func(tenant string) []string // the only folders that the tenant's database may read; nil: the warehouse
	TempDir        string                       // where a database that needs more than its memory may spill; "" forbids spilling
	MaxDatabases   int                          // 128 tenants at once
	IdleClose      time.Duration                // 5 min without a read close a tenant's database
	Threads        int                          // 2 per database
	MemoryMB       int                          // 256 per database, tables fed from the log included; beyond it they spill
	MaxProcessMB   int                          // 4096: when the process has more, statements of tenants are cancelled
	CacheMB        int                          // 1024: rows of published files, and of histories, that are held decoded, all databases together
	BaseMB         int                          // 256 per noun of a tenant, and for its history: what is larger is read from files and log
	MaxBaseRows    int                          // 5,000,000 likewise
	RebaseRows     int                          // 5,000 versions, or a 20th of the rows, may be added to what is held before it is decoded anew
	TempMB         int                          // 4096 per database: what may be spilled
	Connections    int                          // 4 per database
	MaxRunning     int                          // 2 per core, at least 4: queries at once
	MaxForeign     int                          // as many as fit the process beside the cache: statements of tenants at once, of each tenant one
	MaxExports     int                          // 4 at once, of each tenant 2
	QueueTimeout   time.Duration                // 5 s to wait for a turn
	QueryTimeout   time.Duration                // 10 s for one query
	MaxTailRows    int                          // 50,000: a longer tail keeps only the latest version of each entity
	MaxHistoryRows int                          // 5,000,000 versions of one noun are held; longer histories are read anew each time
	CheckpointRows int                          // 10,000 versions, and half as many as entities, are superseded between two checkpoints of a history
	MaxLogRows     int                          // 500,000 events of the log are held; a longer one is read anew each time
	MaxRows        int                          // 2,000,000 rows of tails and logs, all databases together
	Logger         *slog.Logger                 // slog.Default(): says when the process is started again
}

func (c *EngineConfig) defaults() {
	set := func(field *int, value int) {
		if *field <= 0 {
			*field = value
		}
	}
	setTime := func(field *time.Duration, value time.Duration) {
		if *field <= 0 {
			*field = value
		}
	}
	set(&c.MaxDatabases, 128)
	setTime(&c.IdleClose, 5*time.Minute)
	set(&c.Threads, 2)
	set(&c.MemoryMB, 256)
	set(&c.MaxProcessMB, 4096)
	set(&c.CacheMB, 1024)
	set(&c.BaseMB, 256)
	set(&c.MaxBaseRows, 5_000_000)
	set(&c.RebaseRows, 5000)
	set(&c.TempMB, 4096)
	set(&c.Connections, 4)
	set(&c.MaxRunning, max(4, 2*runtime.GOMAXPROCS(0)))
	set(&c.MaxForeign, max(2, (c.MaxProcessMB-c.CacheMB)/c.MemoryMB))
	set(&c.MaxExports, 4)
	setTime(&c.QueueTimeout, 5*time.Second)
	setTime(&c.QueryTimeout, 10*time.Second)
	set(&c.MaxTailRows, 50_000)
	set(&c.MaxHistoryRows, 5_000_000)
	set(&c.CheckpointRows, 10_000)
	set(&c.MaxLogRows, 500_000)
	set(&c.MaxRows, 2_000_000)
}

// Engine answers which rows: it runs statements over the relations of one tenant at one instant. It holds one in-memory
// DuckDB database per tenant, so that no statement can reach another tenant's rows. Safe for concurrent use.
type Engine struct {
	cfg     EngineConfig
	log     Log
	schemas schemas
	events  *schema // of the log
	words   vocabulary
	known   *known
	running *semaphore.Weighted // statements of ours
	foreign *semaphore.Weighted // statements of tenants
	exports *semaphore.Weighted // which last as long as their readers take
	feeding *semaphore.Weighted // reads of logs into tables
	loading *semaphore.Weighted // decoding of files into tables: one at a time, beside the reads
	bases   *bases

	process *engine.Process // where the databases are

	opened  atomic.Int64 // numbers databases
	tables  atomic.Int64 // numbers tables of databases
	sweeper sync.WaitGroup
	ctx     context.Context // of what the engine does beside the reads
	stop    context.CancelFunc

	mu        sync.Mutex // guards what follows; never held while DuckDB or the log works
	databases *simplelru.LRU[string, *database]
	closed    bool
}

// openEngine starts an engine; Close ends it.
func openEngine(cfg EngineConfig, log Log, all schemas, words vocabulary) (*Engine, error) {
	cfg.defaults()
	if cfg.TempDir != "" {
		cfg.TempDir = filepath.Join(cfg.TempDir, "query")
		if err := os.RemoveAll(cfg.TempDir); err != nil { // what a killed process left
			return nil, fmt.Errorf("open engine: %w", err)
		}
		if err := os.MkdirAll(cfg.TempDir, 0o700); err != nil { // DuckDB makes one folder, not its parents
			return nil, fmt.Errorf("open engine: %w", err)
		}
	}
	e := &Engine{
		cfg:     cfg,
		log:     log,
		schemas: all,
		events:  logSchema(),
		words:   words,
		known:   newKnown(),
		foreign: semaphore.NewWeighted(int64(cfg.MaxForeign)),
		running: semaphore.NewWeighted(int64(cfg.MaxRunning)),
		exports: semaphore.NewWeighted(int64(cfg.MaxExports)),
		feeding: semaphore.NewWeighted(int64(cfg.MaxRunning)),
		loading: semaphore.NewWeighted(1),
		bases:   newBases(int64(cfg.CacheMB) << 20),
	}
	e.ctx, e.stop = context.WithCancel(context.Background())
	var err error
	if e.databases, err = simplelru.NewLRU[string, *database](1<<30, nil); err != nil { // trim decides what leaves
		return nil, fmt.Errorf("open engine: %w", err)
	}
	if e.process, err = startProcess(cfg, all); err != nil {
		return nil, err
	}
	e.sweeper.Go(e.sweep)
	return e, nil
}

// Close closes the databases that no query uses, the others when their query ends.
func (e *Engine) Close() error {
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return nil
	}
	e.closed = true
	e.stop()
	gone := e.retire(func(*database) bool { return true })
	e.mu.Unlock()
	e.sweeper.Wait()
	err := closeAll(gone)
	e.process.Close()
	return err
}

// background runs f beside the reads, with a use of the database; false if it does not, because others run or the engine
// closes.
func (e *Engine) background(d *database, f func(context.Context)) bool {
	if !e.loading.TryAcquire(1) {
		return false
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		e.loading.Release(1)
		return false
	}
	d.users++
	e.sweeper.Go(func() {
		defer e.loading.Release(1)
		defer e.release(d)
		ctx, cancel := context.WithTimeout(e.ctx, loadTimeout)
		defer cancel()
		f(ctx)
	})
	return true
}

// sweep closes idle databases from time to time.
func (e *Engine) sweep() {
	tick := time.NewTicker(e.cfg.IdleClose / 4)
	defer tick.Stop()
	for {
		select {
		case <-e.ctx.Done():
			return
		case <-tick.C:
		}
		oldest := time.Now().Add(-e.cfg.IdleClose)
		e.mu.Lock()
		gone := e.retire(func(d *database) bool { return d.users == 0 && d.used.Before(oldest) })
		e.mu.Unlock()
		_ = closeAll(gone) // in memory: nothing can be lost
	}
}

// retire takes databases out of the engine and gives those that nobody uses, to be closed. The caller holds mu.
func (e *Engine) retire(leaves func(*database) bool) (gone []*database) {
	for _, tenant := range e.databases.Keys() {
		d, _ := e.databases.Peek(tenant)
		if !leaves(d) {
			continue
		}
		e.databases.Remove(tenant)
		d.retired = true
		if d.users == 0 {
			gone = append(gone, d)
		}
	}
	return gone
}

func closeAll(databases []*database) error {
	var errs []error
	for _, d := range databases {
		errs = append(errs, d.close())
	}
	return errors.Join(errs...)
}

// acquire gives the tenant's database, opened. It must be released. One whose process has ended is replaced: it is fed anew.
func (e *Engine) acquire(tenant string) (*database, error) {
	for tries := 0; ; tries++ {
		d, err := e.take(tenant)
		if errors.Is(err, errLost) && tries < maxTries {
			continue
		}
		if err != nil || d.lives() {
			return d, err
		}
		e.discard(d)
		e.release(d)
		e.bury()
	}
}

// bury closes the databases whose process has ended: nothing is left of them but what they count for.
func (e *Engine) bury() {
	e.mu.Lock()
	gone := e.retire(func(d *database) bool { return d.users == 0 && !d.lives() })
	e.mu.Unlock()
	_ = closeAll(gone)
}

// maxTries is how often a database is opened again whose process ends meanwhile.
const maxTries = 5

// take gives the tenant's database, opened.
func (e *Engine) take(tenant string) (*database, error) {
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return nil, problem.New(problem.Unavailable, "the server is stopping")
	}
	d, ok := e.databases.Get(tenant)
	if !ok {
		d = newDatabase(e, tenant)
		e.databases.Add(tenant, d)
	}
	d.users++
	d.used = time.Now()
	gone := e.trim()
	e.mu.Unlock()
	_ = closeAll(gone)
	if err := d.open(); err != nil {
		e.discard(d)
		e.release(d)
		return nil, err
	}
	return d, nil
}

// trim retires the databases used longest ago while there are too many of them or of their rows. The caller holds mu.
func (e *Engine) trim() []*database {
	count, rows := e.databases.Len(), int64(0)
	for _, d := range e.databases.Values() {
		rows += d.rows.Load()
	}
	return e.retire(func(d *database) bool { // Keys go from the oldest to the newest
		if d.users > 0 || count <= e.cfg.MaxDatabases && rows <= int64(e.cfg.MaxRows) {
			return false
		}
		count--
		rows -= d.rows.Load()
		return true
	})
}

func (e *Engine) release(d *database) {
	e.mu.Lock()
	d.users--
	d.used = time.Now()
	last := d.retired && d.users == 0
	e.mu.Unlock()
	if last {
		_ = d.close()
	}
}

// discard takes a database out of use: the next read of the tenant starts with a new one.
func (e *Engine) discard(d *database) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if have, ok := e.databases.Peek(d.tenant); ok && have == d {
		e.databases.Remove(d.tenant)
	}
	d.retired = true
}

// scope is what a statement reads: one tenant at one instant, over what was published when it began.
type scope struct {
	tenant string
	view   *lakehouse.View
	seq    int64
}

// query runs a statement in a scope and gives its rows.
func (e *Engine) query(ctx context.Context, in scope, s *statement) ([][]any, error) {
	d, err := e.acquire(in.tenant)
	if err != nil {
		return nil, err
	}
	defer e.release(d)
	text, done, err := d.with(ctx, in, s.relations)
	defer done()
	if err != nil {
		return nil, err
	}
	leave, err := admit(ctx, e.running, e.cfg.QueueTimeout)
	if err != nil {
		return nil, err
	}
	defer leave()
	limited, cancel := context.WithTimeout(ctx, e.cfg.QueryTimeout)
	defer cancel()
	rows, err := d.read(limited, text+s.text.String(), s.args)
	if err != nil {
		return nil, e.explain(ctx, limited, d, err)
	}
	return rows, nil
}

// ping runs a statement in the database of no tenant.
func (e *Engine) ping(ctx context.Context) error {
	d, err := e.acquire("")
	if err != nil {
		return err
	}
	defer e.release(d)
	_, err = d.run(ctx, "select 1", nil)
	return err
}

// admit waits for a turn.
func admit(ctx context.Context, turns *semaphore.Weighted, timeout time.Duration) (leave func(), err error) {
	if turns.TryAcquire(1) {
		return func() { turns.Release(1) }, nil
	}
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err := turns.Acquire(limited, 1); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		p := problem.New(problem.Unavailable, "too many queries are running")
		p.RetryAfter = time.Second
		return nil, p
	}
	return func() { turns.Release(1) }, nil
}

// explain turns a failure of DuckDB into the caller's part of it, if there is one.
func (e *Engine) explain(ctx, limited context.Context, d *database, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if limited.Err() != nil {
		return problem.New(problem.Timeout, "the query took longer than %s", e.cfg.QueryTimeout)
	}
	if _, ok := errors.AsType[*problem.Problem](err); ok {
		return err
	}
	failure, ok := errors.AsType[*duck.Error](err)
	if !ok {
		return fmt.Errorf("query %s: %w", d.tenant, err)
	}
	switch failure.Kind {
	case duck.OutOfMemory:
		p := problem.New(problem.Unavailable, "the query needs more memory than a query may have")
		p.RetryAfter, p.Cause = time.Second, err
		return p
	case duck.InvalidInput: // what only RE2 itself can say about a pattern
		p := invalidFilter("", string(opRegex), "is refused: it is too large or no RE2 pattern")
		p.Cause = err
		return p
	case duck.Fatal, duck.Internal: // the database refuses everything from here on
		e.discard(d)
	}
	return fmt.Errorf("query %s: %w", d.tenant, err)
}
