package lakehouse

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/apache/arrow-go/v18/arrow/memory"

	"headless.ly/catalog"
	"headless.ly/catalog/noun"
)

// Log is what the publisher reads of the tenants' logs. Safe for concurrent use.
type Log interface {
	// Heads gives the acknowledged head of every tenant that may have unpublished events. It does no I/O.
	Heads() map[string]int64
	// Read calls yield with the events of a range in order of seq, in short transactions, checksums verified. An error of
	// yield ends it and is returned. Events are immutable and may be kept.
	Read(ctx context.Context, tenant string, r Range, yield func(*Event) error) error
}

// Config says where and how a Lake works. Dir and Nouns are required; the zero value of everything else means the default
// in its comment.
type Config struct {
	Dir   string         // the data folder
	Nouns *noun.Registry // one table each

	Interval          time.Duration    // 1 s between ticks; negative: only Publish publishes
	MaxFilesPerCommit int              // 200 (tenant, date) files of events per tenant and tick
	MaxBytesPerRead   int              // 16 MB of events of one tenant, or of one of its nouns, held at a time
	MergeCacheBytes   int64            // 32 MB of decoded noun files kept for the next rewrite
	ReplaceRows       int              // 32,000 rows of a tenant in a noun table, up to which they are always written anew; negative: never
	PositionBytes     int64            // 128 MB for the positions of ids in files of large tenants, which take about 10 bytes a row; a quarter as much for deleted ones
	CompactFiles      int              // 10 files of like size of a tenant in a noun table, which are then put together
	CompactRows       int              // 500,000 rows of a file that is large enough
	RewriteShare      float64          // 0.8 of one processor for rewriting noun tables; one of them takes 0.05 at most
	ErrorDelay        time.Duration    // 5 s before what failed is tried again
	MaintainEvery     time.Duration    // 1 s between rounds of maintenance, Interval if that is less; negative: only Maintain maintains
	MaintainShare     float64          // 0.25 of one processor for maintenance
	KeepFiles         time.Duration    // 1 h for which files stay that nothing names any more
	Now               func() time.Time // the time that snapshots and maintenance go by; time.Now
	FS                FS               // the operating system's; tests inject faults
	VFS               string           // SQLite VFS of catalog.db; empty: the operating system's
	Step              func(string)     // called with each of Steps() as publishing passes it; nil: nothing
	Logger            *slog.Logger     // slog.Default()
}

// withDefaults fills in what is zero and refuses what makes no sense.
func (c Config) withDefaults() (Config, error) {
	if c.Dir == "" || c.Nouns == nil {
		return c, errors.New("lake: Dir and Nouns are required")
	}
	dir, err := filepath.Abs(c.Dir)
	if err != nil {
		return c, err
	}
	c.Dir = dir
	c.Interval = cmp.Or(c.Interval, time.Second)
	c.MaxFilesPerCommit = cmp.Or(c.MaxFilesPerCommit, 200)
	c.MaxBytesPerRead = cmp.Or(c.MaxBytesPerRead, 16<<20)
	c.MergeCacheBytes = cmp.Or(c.MergeCacheBytes, 32<<20)
	c.ReplaceRows = cmp.Or(c.ReplaceRows, 32_000)
	c.PositionBytes = cmp.Or(c.PositionBytes, 128<<20)
	c.CompactFiles = cmp.Or(c.CompactFiles, 10)
	c.CompactRows = cmp.Or(c.CompactRows, 500_000)
	c.RewriteShare = cmp.Or(c.RewriteShare, 0.8)
	c.ErrorDelay = cmp.Or(c.ErrorDelay, 5*time.Second)
	c.KeepFiles = cmp.Or(c.KeepFiles, time.Hour)
	c.MaintainShare = cmp.Or(c.MaintainShare, 0.25)
	if c.MaintainEvery == 0 {
		c.MaintainEvery = min(c.Interval, time.Second)
	}
	if c.FS == nil {
		c.FS = catalog.OS{}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.MaxFilesPerCommit < 1 || c.MaxBytesPerRead < 1 || c.CompactFiles < 2 || c.CompactRows < 1 || c.RewriteShare < 0 ||
		c.KeepFiles < 0 || c.MaintainShare <= 0 || c.MaintainShare > 1 {
		return c, errors.New("lake: a limit is negative")
	}
	return c, nil
}

// workers is how many tenants or tables are prepared at once. Mostly they wait for the disk, which makes many files durable
// in the time of one.
func (c Config) workers() int { return max(8, 2*runtime.GOMAXPROCS(0)) }

// Lake publishes the tenants' logs to Iceberg tables and says what is published. It is safe for concurrent use.
type Lake struct {
	cfg     Config
	lock    *lock
	locked  time.Time // when the lock was taken, by the clock of the file system
	db      *catalog.Database
	cat     *catalog.Catalog
	tables  []*Table // events first
	ledger  *ledger
	archive *archive
	health  *health
	board   *board
	mem     memory.Allocator

	mu         sync.Mutex  // guards the fields below
	publisher  *publisher  // nil until Start
	maintainer *maintainer // nil until Start
	closed     bool
}

// Open takes the data folder's lock, opens catalog.db and the warehouse, and makes the tables that do not exist. ErrLocked
// where another process has the folder.
func Open(ctx context.Context, cfg Config) (*Lake, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	if err := makeFolder(cfg); err != nil {
		return nil, fmt.Errorf("open lake: %w", err)
	}
	l := &Lake{cfg: cfg, health: newHealth(), board: &board{}, mem: memory.DefaultAllocator}
	if l.lock, err = takeLock(cfg.Dir); err != nil {
		return nil, fmt.Errorf("open lake: %w", err)
	}
	info, err := os.Stat(filepath.Join(cfg.Dir, "lock"))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open lake: %w", err), l.lock.release())
	}
	l.locked = info.ModTime()
	if err := l.open(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open lake: %w", err), l.Close())
	}
	return l, nil
}

// makeFolder makes the data folder durably, from the nearest folder above it that exists.
func makeFolder(cfg Config) error {
	root := cfg.Dir
	for {
		if _, err := cfg.FS.Stat(root); err == nil || filepath.Dir(root) == root {
			break
		}
		root = filepath.Dir(root)
	}
	return catalog.NewIO(cfg.FS, root, nil).MkdirAll(cfg.Dir)
}

func (l *Lake) open(ctx context.Context) error {
	var err error
	l.db, err = catalog.OpenDatabase(ctx, catalog.Config{Dir: l.cfg.Dir, FS: l.cfg.FS, VFS: l.cfg.VFS, Step: l.cfg.Step})
	if err != nil {
		return err
	}
	l.cat = l.db.Iceberg()
	if l.tables, err = newTables(l.cfg.Nouns); err != nil {
		return err
	}
	loaded, err := l.loadTables(ctx)
	if err != nil {
		return err
	}
	tenants, err := l.loadStandings(ctx, loaded)
	if err != nil {
		return err
	}
	l.ledger = newLedger(tenants, l.cat.IO().Verify)
	l.archive = newArchive(l.tables[0], l.cat, l.cfg.FS, l.mem)
	return nil
}

// Start starts the clocks that publish the log and maintain the tables. It is called once.
func (l *Lake) Start(log Log) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.publisher != nil || l.closed {
		panic("lake started twice, or after Close")
	}
	l.publisher = newPublisher(l, log)
	l.maintainer = newMaintainer(l, l.publisher)
	l.publisher.start()
	l.maintainer.start()
}

// Publish publishes everything that was acknowledged before the call, noun tables too, and returns when that is current
// for every reader. ErrClosed before Start and after Close.
func (l *Lake) Publish(ctx context.Context) error {
	l.mu.Lock()
	p := l.publisher
	l.mu.Unlock()
	if p == nil {
		return ErrClosed
	}
	return p.publish(ctx)
}

// Close stops the clocks, waits for a running tick and a running chore, and gives the lock back. It publishes nothing. It may be called more
// than once.
func (l *Lake) Close() error {
	l.mu.Lock()
	p, m, closed := l.publisher, l.maintainer, l.closed
	l.closed = true
	l.mu.Unlock()
	if closed {
		return nil
	}
	if p != nil {
		p.close() // first: a chore may be waiting for it
		m.close()
	}
	var err error
	if l.db != nil {
		err = l.db.Close()
	}
	return errors.Join(err, l.lock.release())
}

// Published is the seq up to which the events table holds the tenant's log. It does no I/O.
func (l *Lake) Published(tenant string) int64 { return l.ledger.at(tenant).seq }

// Tenants lists the tenants that have anything published or may have something to publish, sorted.
func (l *Lake) Tenants(ctx context.Context) ([]string, error) {
	open, err := l.db.OpenTenants(ctx)
	if err != nil {
		return nil, err
	}
	all := append(open, l.ledger.names()...)
	slices.Sort(all)
	return slices.Compact(all), nil
}

// Pin gives the tenant's published view, which the caller releases; an empty one for an unknown tenant.
func (l *Lake) Pin(tenant string) *View { return l.ledger.pin(tenant) }

// Database gives the catalog database. It is closed with the lake.
func (l *Lake) Database() *catalog.Database { return l.db }

// Folders lists the folders that hold a tenant's files and nobody else's, one for each table. They may not exist yet.
func (l *Lake) Folders(tenant string) []string {
	folders := make([]string, len(l.tables))
	for i, t := range l.tables {
		folders[i] = filepath.Join(catalog.Path(l.cat.TableLocation(t.ident)), "data", "tenant="+tenant)
	}
	return folders
}

// Freshness gives when the current snapshot of each of some tables was made; a table without one is left out.
func (l *Lake) Freshness(ctx context.Context, tables []string) (map[string]time.Time, error) {
	out := map[string]time.Time{}
	for _, t := range l.tables {
		if !slices.Contains(tables, t.Name) {
			continue
		}
		loaded, err := l.cat.LoadTable(ctx, t.ident)
		if err != nil {
			return nil, fmt.Errorf("freshness of %s: %w", t.Name, err)
		}
		if s := loaded.CurrentSnapshot(); s != nil {
			out[t.Name] = time.UnixMilli(s.TimestampMs)
		}
	}
	return out, nil
}
