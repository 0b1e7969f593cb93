package query

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/duckdb/duckdb-go/v2"
)

// database is one tenant's in-memory DuckDB: the tables fed from its log, and read access to the published files.
type database struct {
	engine *Engine
	tenant string
	temp   string // folder for spilling

	users   int       // guarded by Engine.mu
	used    time.Time // likewise
	retired bool      // likewise: closed by its last user

	rows   atomic.Int64 // in segments
	tables atomic.Int64 // numbers table names

	once  sync.Once
	err   error // of opening
	duck  *sql.DB
	mu    sync.Mutex // guards feeds, and the users of every segment
	feeds map[feedKey]*feed
}

func newDatabase(e *Engine, tenant string) *database {
	d := &database{engine: e, tenant: tenant, feeds: map[feedKey]*feed{}}
	if e.cfg.TempDir != "" { // of its own: DuckDB's names are the same in every database
		d.temp = filepath.Join(e.cfg.TempDir, "duckdb-"+strconv.FormatInt(e.opened.Add(1), 10))
	}
	return d
}

// open starts DuckDB on first use and locks it in.
func (d *database) open() error {
	d.once.Do(func() {
		if err := d.start(); err != nil {
			d.err = fmt.Errorf("open database of %s: %w", d.tenant, err)
		}
	})
	return d.err
}

func (d *database) start() error {
	connector, err := duckdb.NewConnector("", nil)
	if err != nil {
		return err
	}
	d.duck = sql.OpenDB(connector)
	d.duck.SetMaxOpenConns(d.engine.cfg.Connections)
	d.duck.SetMaxIdleConns(d.engine.cfg.Connections)
	if err := registerLift(context.Background(), d.duck, d.engine.schemas); err != nil {
		return fmt.Errorf("register functions: %w", err)
	}
	for _, setting := range d.settings() {
		if _, err := d.duck.Exec("set global " + setting); err != nil {
			return fmt.Errorf("set %s: %w", setting, err)
		}
	}
	return nil
}

// settings bound the database and close it off; the last one makes them final.
func (d *database) settings() []string {
	cfg := d.engine.cfg
	return []string{
		"threads = " + strconv.Itoa(cfg.Threads),
		"memory_limit = '" + strconv.Itoa(cfg.MemoryMB) + "MB'",
		"temp_directory = " + quoteText(d.temp),
		"TimeZone = 'UTC'",
		"autoload_known_extensions = false",
		"autoinstall_known_extensions = false",
		"allowed_directories = [" + quoteText(cfg.Warehouse) + "]",
		"enable_external_access = false",
		"lock_configuration = true",
	}
}

// close frees everything. No query may be running.
func (d *database) close() error {
	d.once.Do(func() { d.err = sql.ErrConnDone }) // was never opened, and is not any more
	if d.duck == nil {
		return nil
	}
	err := d.duck.Close()
	if d.temp != "" {
		err = errors.Join(err, os.RemoveAll(d.temp))
	}
	return err
}

// run runs one statement and reads its whole result.
func (d *database) run(ctx context.Context, text string, args []any) ([][]any, error) {
	rows, err := d.duck.QueryContext(ctx, text, args...)
	if err != nil {
		return nil, err
	}
	return scan(rows)
}

func (d *database) exec(ctx context.Context, text string) error {
	_, err := d.duck.ExecContext(ctx, text)
	return err
}
