package query

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"headless.ly/query/engine"
)

// database is one tenant's in-memory DuckDB: the tables fed from its log, and read access to the published files.
type database struct {
	engine *Engine
	tenant string
	temp   string // folder for spilling

	users   int       // guarded by Engine.mu
	used    time.Time // likewise
	retired bool      // likewise: closed by its last user

	rows *atomic.Int64 // in segments

	once sync.Once
	err  error // of opening
	duck *engine.DB
	gone chan struct{}     // closed when nothing of it is left, its folder neither
	bye  sync.Once         // of closing gone
	idle chan *engine.Conn // every connection that nobody uses; a nil one is yet to be made

	mu    sync.Mutex // guards feeds, and the users of every segment
	feeds map[feedKey]*feed

	defined map[*engine.Conn]map[string]string // what names stand for on a connection; guarded by mu, its values by the connection
	shelves map[*schema]*shelf                 // guarded by mu; nil: bases are not kept

	archives map[*schema]*archive // guarded by mu

	foreign *semaphore.Weighted // the tenant's own statements: one at a time
	exports *semaphore.Weighted // the tenant's exports: they leave connections to reads

	members map[string]*database // of the operators' database, guarded by mu: what is fed from each tenant's log
}

// maxTenantExports bounds the exports of a tenant that run at once.
const maxTenantExports = 2

func newDatabase(e *Engine, tenant string) *database {
	d := &database{engine: e, tenant: tenant, rows: new(atomic.Int64), feeds: map[feedKey]*feed{},
		defined: map[*engine.Conn]map[string]string{}, shelves: map[*schema]*shelf{}, foreign: semaphore.NewWeighted(1),
		exports: semaphore.NewWeighted(maxTenantExports), gone: make(chan struct{})}
	if e.cfg.TempDir != "" { // of its own: DuckDB's names are the same in every database
		d.temp = filepath.Join(e.cfg.TempDir, "duckdb-"+strconv.FormatInt(e.opened.Add(1), 10))
	}
	return d
}

// operators stands for all tenants: the database that operators' statements run in. It is no tenant's name.
const operators = "*"

// member gives the part of the operators' database that is fed from one tenant's log.
func (d *database) member(tenant string) *database {
	if d.tenant != operators {
		return d
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	m, ok := d.members[tenant]
	if !ok {
		m = &database{engine: d.engine, tenant: tenant, rows: d.rows, duck: d.duck, idle: d.idle, feeds: map[feedKey]*feed{}}
		if d.members == nil {
			d.members = map[string]*database{}
		}
		d.members[tenant] = m
	}
	return m
}

// open starts DuckDB on first use and locks it in.
func (d *database) open() error {
	d.once.Do(func() {
		err := d.start()
		if err != nil && d.duck != nil && !d.lives() {
			err = fmt.Errorf("%w: %w", errLost, err)
		}
		if err != nil {
			d.err = fmt.Errorf("open database of %s: %w", d.tenant, err)
		}
	})
	return d.err
}

func (d *database) start() (err error) {
	ctx := context.Background() // what waits for the database are several callers
	if d.duck, err = d.engine.process.Open(ctx); err != nil {
		return err
	}
	d.idle = make(chan *engine.Conn, d.engine.cfg.Connections)
	for range cap(d.idle) {
		d.idle <- nil
	}
	return d.use(ctx, func(conn *engine.Conn) error {
		if err := conn.Exec(ctx, strings.Join(guardStatements(), ";\n")); err != nil {
			return fmt.Errorf("guard functions: %w", err)
		}
		if err := conn.Exec(ctx, "set global "+strings.Join(d.settings(), ";\nset global ")); err != nil {
			return fmt.Errorf("set limits: %w", err)
		}
		return nil
	})
}

// connection takes a connection, which must be put back.
func (d *database) connection(ctx context.Context) (*engine.Conn, error) {
	select {
	case conn := <-d.idle:
		if conn != nil {
			return conn, nil
		}
		conn, err := d.duck.Connect(ctx)
		if err != nil {
			d.idle <- nil
		}
		return conn, err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (d *database) putBack(conn *engine.Conn) { d.idle <- conn }

// use runs a function on a connection.
func (d *database) use(ctx context.Context, f func(*engine.Conn) error) error {
	conn, err := d.connection(ctx)
	if err != nil {
		return err
	}
	defer d.putBack(conn)
	return f(conn)
}

// settings bound the database and close it off; the last one makes them final.
func (d *database) settings() []string {
	cfg := d.engine.cfg
	return []string{
		"threads = " + strconv.Itoa(cfg.Threads),
		"memory_limit = '" + strconv.Itoa(cfg.MemoryMB+cfg.BaseMB) + "MB'",
		"temp_directory = " + quoteText(d.temp),
		"max_temp_directory_size = '" + strconv.Itoa(cfg.TempMB) + "MB'",
		"TimeZone = 'UTC'",
		"errors_as_json = true",
		"autoload_known_extensions = false",
		"autoinstall_known_extensions = false",
		"allowed_directories = [" + strings.Join(d.folders(), ", ") + "]",
		"enable_external_access = false",
		"lock_configuration = true",
	}
}

// errLost is the error of opening a database whose process ended meanwhile.
var errLost = errors.New("the process ended")

// errClosed is the error of opening a database that was closed before its first use.
var errClosed = errors.New("the database is closed")

// folders are what the database may read, as SQL texts. Each ends in a slash: DuckDB compares beginnings.
func (d *database) folders() []string {
	folders := []string{d.engine.cfg.Warehouse}
	if d.engine.cfg.Folders != nil && d.tenant != operators {
		folders = d.engine.cfg.Folders(d.tenant)
	}
	for i, f := range folders {
		folders[i] = quoteText(strings.TrimSuffix(f, "/") + "/")
	}
	return folders
}

// lives says whether the process of the database runs. Nobody may be opening it.
func (d *database) lives() bool { return d.duck != nil && d.duck.Lives() }

// close frees everything. No query may be running.
func (d *database) close() error {
	defer d.bye.Do(func() { close(d.gone) })
	d.once.Do(func() { d.err = errClosed })
	if d.duck == nil {
		return nil
	}
	d.engine.bases.abandon(d)
	for _, m := range d.members {
		d.engine.bases.abandon(m)
	}
	for range cap(d.idle) {
		if conn := <-d.idle; conn != nil {
			conn.Close()
		}
	}
	if d.temp == "" {
		return nil
	}
	return os.RemoveAll(d.temp)
}

// run runs one statement and reads its whole result.
func (d *database) run(ctx context.Context, text string, args []any) (out [][]any, err error) {
	err = d.use(ctx, func(conn *engine.Conn) error { out, err = readAll(ctx, conn, text, args...); return err })
	return out, err
}

// readAll runs one statement on a connection and reads its whole result.
func readAll(ctx context.Context, conn *engine.Conn, text string, args ...any) ([][]any, error) {
	rows, err := conn.Query(ctx, text, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	return rows.All(ctx)
}

// read is run of a statement that reads tables to which others append meanwhile.
func (d *database) read(ctx context.Context, text string, args []any) (out [][]any, err error) {
	err = d.use(ctx, func(conn *engine.Conn) error {
		end, err := begin(ctx, conn)
		defer end()
		if err != nil {
			return err
		}
		out, err = readAll(ctx, conn, text, args...)
		return err
	})
	return out, err
}

// begin begins a transaction, which end ends, so that a statement is planned on the rows that it reads. DuckDB leaves out a
// condition that the statistics of a table say to hold for all of its rows, such as a bound on _seq; rows that were appended
// between planning and running would then be read without it. In a transaction they are not seen.
func begin(ctx context.Context, conn *engine.Conn) (end func(), err error) {
	end = func() { _ = conn.Exec(context.Background(), "rollback") } // there may be none, where the engine has gone
	return end, conn.Exec(ctx, "begin transaction read only")
}

func (d *database) exec(ctx context.Context, text string) error {
	return d.use(ctx, func(conn *engine.Conn) error { return conn.Exec(ctx, text) })
}
