package catalog

import (
	"context"
	"crypto/rand"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"sync"

	_ "github.com/mattn/go-sqlite3" // the driver "sqlite3"
)

// Errors of changing the database. What callers branch on.
var (
	// ErrUnsettled is wrapped where a COMMIT failed and its outcome cannot be read yet. Nothing was promised; the next
	// call tries to settle it first.
	ErrUnsettled = errors.New("outcome of a commit to catalog.db is not known yet")
	// ErrVersion is returned for a catalog.db written by a newer program.
	ErrVersion = errors.New("catalog.db was written by a newer version")
	// ErrMoved is wrapped where the data folder is not where it was made: tables name their files by absolute paths.
	ErrMoved = errors.New("data folder was moved")
)

// databaseVersion is the version of our own tables, kept as user_version.
const databaseVersion = 2

// schema makes our own tables. Those of Iceberg are made by its catalog.
const schema = `
create table if not exists headlessly_open (tenant text primary key) without rowid;
create table if not exists headlessly_published (
	table_name text not null, tenant text not null, seq integer not null, changed integer not null,
	primary key (table_name, tenant)) without rowid;
create table if not exists headlessly_settings (name text primary key, value blob not null) without rowid;
`

// Config says where a Database is and what it stands on.
type Config struct {
	Dir  string       // the data folder: catalog.db and warehouse/ are in it; it exists
	FS   FS           // of the warehouse; nil: the operating system's
	VFS  string       // SQLite VFS of catalog.db; empty: the operating system's
	Step func(string) // hears the names of Steps; may be nil
}

// Database is DIR/catalog.db. It is safe for concurrent use; changes take turns. The caller holds the data folder's lock.
type Database struct {
	db      *sql.DB // one connection: changes are small, and a failed commit must be able to end it
	path    string
	step    func(string)
	iceberg *Catalog

	mu        sync.Mutex      // guards the fields below
	open      map[string]bool // tenants whose open row is known to be on disk
	unsettled bool            // a COMMIT failed and its outcome has not been read yet
}

// OpenDatabase opens or makes DIR/catalog.db with the Iceberg catalog in it.
func OpenDatabase(ctx context.Context, cfg Config) (*Database, error) {
	if cfg.FS == nil {
		cfg.FS = OS{}
	}
	if cfg.Step == nil {
		cfg.Step = func(string) {}
	}
	path := filepath.Join(cfg.Dir, "catalog.db")
	db, err := sql.Open("sqlite3", dsn(path, cfg.VFS))
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	db.SetMaxOpenConns(1)
	d := &Database{db: db, path: path, step: cfg.Step, open: map[string]bool{}}
	if err := d.init(ctx, cfg); err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", path, err), db.Close())
	}
	return d, nil
}

func dsn(path, vfs string) string {
	q := url.Values{
		"_journal_mode": {"WAL"}, "_synchronous": {"FULL"}, "_busy_timeout": {"5000"}, "_txlock": {"immediate"},
		"_secure_delete": {"true"}, // what is removed must not be left in free pages
	}
	if vfs != "" {
		q.Set("vfs", vfs)
	}
	u := url.URL{Scheme: "file", Path: path, RawQuery: q.Encode()}
	return u.String()
}

func (d *Database) init(ctx context.Context, cfg Config) error {
	var version int
	if err := d.db.QueryRowContext(ctx, "pragma user_version").Scan(&version); err != nil {
		return err
	}
	if version > databaseVersion {
		return fmt.Errorf("%w: %d, this one knows %d", ErrVersion, version, databaseVersion)
	}
	tables := schema + registerSchema + erasureSchema
	if version == 0 { // new: the register knows all that will come
		tables += "insert into headlessly_settings (name, value) values ('register', 'whole') on conflict do nothing;"
	}
	if _, err := d.db.ExecContext(ctx, tables+fmt.Sprintf("pragma user_version = %d", databaseVersion)); err != nil {
		return err
	}
	if err := d.checkPlace(ctx, cfg.Dir); err != nil {
		return err
	}
	var err error
	if d.iceberg, err = newCatalog(ctx, d, cfg); err != nil {
		return err
	}
	files, err := d.iceberg.files(ctx, "where gone is null")
	d.iceberg.io.expect(files)
	return err
}

// checkPlace notes where the data folder is made, and later that it is still there.
func (d *Database) checkPlace(ctx context.Context, dir string) error {
	var place string
	err := d.write(ctx, func(tx *sql.Tx) error {
		const q = "insert into headlessly_settings (name, value) values ('place', ?) on conflict do nothing"
		if _, err := tx.ExecContext(ctx, q, dir); err != nil {
			return err
		}
		return tx.QueryRowContext(ctx, "select value from headlessly_settings where name = 'place'").Scan(&place)
	})
	if err == nil && place != dir {
		return fmt.Errorf("%w: from %s to %s; move it back", ErrMoved, place, dir)
	}
	return err
}

// Iceberg gives the Iceberg catalog in this database.
func (d *Database) Iceberg() *Catalog { return d.iceberg }

// Close closes the file. Nothing may be running.
func (d *Database) Close() error { return errors.Join(d.iceberg.Close(), d.db.Close()) }

// MarkOpen notes durably that the tenant may have events that are not published. It does nothing if that is noted already.
func (d *Database) MarkOpen(ctx context.Context, tenant string) error {
	if d.markedOpen(tenant) {
		return nil
	}
	err := d.write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "insert or ignore into headlessly_open (tenant) values (?)", tenant)
		return err
	})
	if err != nil {
		return fmt.Errorf("mark %s open: %w", tenant, err)
	}
	d.setOpen(tenant, true)
	return nil
}

// MarkClosed takes the note of MarkOpen back.
func (d *Database) MarkClosed(ctx context.Context, tenant string) error {
	d.setOpen(tenant, false)
	err := d.write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "delete from headlessly_open where tenant = ?", tenant)
		return err
	})
	if err != nil {
		return fmt.Errorf("mark %s closed: %w", tenant, err)
	}
	return nil
}

func (d *Database) markedOpen(tenant string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.open[tenant]
}

func (d *Database) setOpen(tenant string, open bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if open {
		d.open[tenant] = true
		return
	}
	delete(d.open, tenant)
}

// OpenTenants lists the tenants marked open, sorted: those that may have unpublished events.
func (d *Database) OpenTenants(ctx context.Context) ([]string, error) {
	var tenants []string
	err := d.query(ctx, "select tenant from headlessly_open order by tenant", nil, func(scan scanner) error {
		var t string
		if err := scan(&t); err != nil {
			return err
		}
		tenants = append(tenants, t)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list open tenants: %w", err)
	}
	return tenants, nil
}

// Secret gives 32 random bytes that are made when the name is first asked for and never change.
func (d *Database) Secret(ctx context.Context, name string) ([]byte, error) {
	secret := make([]byte, 32)
	rand.Read(secret) // never fails
	err := d.write(ctx, func(tx *sql.Tx) error {
		key := "secret." + name
		_, err := tx.ExecContext(ctx,
			"insert into headlessly_settings (name, value) values (?, ?) on conflict do nothing", key, secret)
		if err != nil {
			return err
		}
		return tx.QueryRowContext(ctx, "select value from headlessly_settings where name = ?", key).Scan(&secret)
	})
	if err != nil {
		return nil, fmt.Errorf("read secret %s: %w", name, err)
	}
	return secret, nil
}

// Published is up to where a table holds a tenant's log.
type Published struct {
	Table   string // table name
	Tenant  string
	Seq     int64 // the table stands at this seq; 0: nothing is published yet
	Changed int64 // last seq up to which the events table is known to hold events for this table; above Seq the table lags
}

// Published lists the seqs of all tables and tenants.
func (d *Database) Published(ctx context.Context) ([]Published, error) {
	var all []Published
	const q = "select table_name, tenant, seq, changed from headlessly_published order by table_name, tenant"
	err := d.query(ctx, q, nil, func(scan scanner) error {
		var p Published
		if err := scan(&p.Table, &p.Tenant, &p.Seq, &p.Changed); err != nil {
			return err
		}
		all = append(all, p)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read published seqs: %w", err)
	}
	return all, nil
}

type scanner func(dest ...any) error

// query reads rows once the database is settled.
func (d *Database) query(ctx context.Context, q string, args []any, each func(scanner) error) error {
	if err := d.settle(ctx); err != nil {
		return err
	}
	rows, err := d.db.QueryContext(ctx, q, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := each(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

// write runs change in one transaction. An error of change or before COMMIT is definite: nothing was written. An error that
// wraps ErrUnsettled came from COMMIT. A context that ends does not interrupt the transaction.
func (d *Database) write(ctx context.Context, change func(*sql.Tx) error) error {
	if err := d.settle(ctx); err != nil {
		return err
	}
	tx, err := d.db.BeginTx(context.WithoutCancel(ctx), nil)
	if err != nil {
		return err
	}
	if err := change(tx); err != nil {
		rollback := tx.Rollback()
		if rollback != nil { // the connection may be within the transaction still
			rollback = errors.Join(rollback, d.reopen(context.WithoutCancel(ctx)))
		}
		return errors.Join(err, rollback)
	}
	if err := tx.Commit(); err != nil {
		d.unsettle()
		return fmt.Errorf("%w: %w", ErrUnsettled, err)
	}
	return nil
}

// unsettle notes that a COMMIT has failed.
func (d *Database) unsettle() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.unsettled = true
}

// settle makes what can be read the truth after a failed COMMIT: the rows of that commit may or may not be in the WAL, and
// the WAL may or may not be on disk. The connection is dropped, the file opened again, and everything in the WAL brought
// into the database file durably. Until that succeeds nothing else is done.
func (d *Database) settle(ctx context.Context) error {
	d.mu.Lock()
	unsettled := d.unsettled
	d.mu.Unlock()
	if !unsettled {
		return nil
	}
	if err := d.reopen(ctx); err != nil {
		return fmt.Errorf("%w: %w", ErrUnsettled, err)
	}
	var busy, inLog, moved int
	if err := d.db.QueryRowContext(ctx, "pragma wal_checkpoint(truncate)").Scan(&busy, &inLog, &moved); err != nil {
		return fmt.Errorf("%w: checkpoint: %w", ErrUnsettled, err)
	}
	if busy != 0 {
		return fmt.Errorf("%w: checkpoint: another process is reading catalog.db", ErrUnsettled)
	}
	// A synced commit of our own: until there is one, neither the old WAL's removal nor its truncation is durable, and what
	// the failed COMMIT left in it could come back after a power cut, behind an answer that says it did not happen.
	if _, err := d.db.ExecContext(ctx, fmt.Sprintf("pragma user_version = %d", databaseVersion)); err != nil {
		return fmt.Errorf("%w: seal: %w", ErrUnsettled, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.unsettled = false
	clear(d.open)
	return nil
}

// reopen drops the connection; the next use opens a new one.
func (d *Database) reopen(ctx context.Context) error {
	conn, err := d.db.Conn(ctx)
	if err != nil {
		return err
	}
	_ = conn.Raw(func(any) error { return driver.ErrBadConn }) // tells database/sql not to keep it
	if err := conn.Close(); err != nil && !errors.Is(err, sql.ErrConnDone) {
		return err
	}
	return nil
}
