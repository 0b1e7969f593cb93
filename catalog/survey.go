package catalog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// Survey is what catalog.db says at one instant. It does not change.
type Survey struct {
	Place     string      // where the data folder was made
	Tables    []Named     // tables and views of all namespaces, by namespace and name
	Published []Published // by table and tenant
	Files     []Entry     // the register, by table and location
	Whole     bool        // the register knows every file of our tables
	Damage    []string    // what SQLite's own check of the file says is wrong with it; the rest may be incomplete then
}

// Named is a table or view and where its current metadata is.
type Named struct {
	Namespace, Name string
	Kind            Kind
	Location        string
}

// ErrNoDatabase is wrapped where a folder has no catalog.db: it is no data folder.
var ErrNoDatabase = errors.New("no catalog.db")

// maxDamage bounds what SQLite's check reports.
const maxDamage = 10

// ReadSurvey reads DIR/catalog.db beside whoever has it open, and changes nothing. ErrNoDatabase where there is none,
// ErrVersion where a newer program has written it, ErrMoved where the folder is not where it was made.
func ReadSurvey(ctx context.Context, dir, vfs string) (*Survey, error) {
	path := filepath.Join(dir, "catalog.db")
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0:
		return nil, fmt.Errorf("%w in %s", ErrNoDatabase, dir)
	case err != nil:
		return nil, err
	}
	q := url.Values{"mode": {"ro"}, "_busy_timeout": {"5000"}}
	if vfs != "" {
		q.Set("vfs", vfs)
	}
	u := url.URL{Scheme: "file", Path: path, RawQuery: q.Encode()}
	db, err := sql.Open("sqlite3", u.String())
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	db.SetMaxOpenConns(1)
	defer db.Close()
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	defer func() { _ = tx.Rollback() }() // nothing was written
	s := &Survey{}
	if err := s.read(ctx, tx, dir); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return s, nil
}

func (s *Survey) read(ctx context.Context, tx *sql.Tx, dir string) error {
	var version int
	if err := tx.QueryRowContext(ctx, "pragma user_version").Scan(&version); err != nil {
		return err
	}
	if version > databaseVersion {
		return fmt.Errorf("%w: %d, this one knows %d", ErrVersion, version, databaseVersion)
	}
	err := each(ctx, tx, fmt.Sprintf("pragma integrity_check(%d)", maxDamage), func(scan scanner) error {
		var text string
		err := scan(&text)
		if text != "ok" {
			s.Damage = append(s.Damage, text)
		}
		return err
	})
	if err != nil {
		return err
	}
	if err := s.settings(ctx, tx); err != nil {
		return err
	}
	if s.Place != dir {
		return fmt.Errorf("%w: from %s to %s; move it back", ErrMoved, s.Place, dir)
	}
	return s.rows(ctx, tx, dir)
}

func (s *Survey) settings(ctx context.Context, tx *sql.Tx) error {
	return each(ctx, tx, "select name, cast(value as text) from headlessly_settings where name in ('place', 'register')", func(scan scanner) error {
		var name, value string
		err := scan(&name, &value)
		if name == "place" {
			s.Place = value
		} else {
			s.Whole = true
		}
		return err
	})
}

func (s *Survey) rows(ctx context.Context, tx *sql.Tx, dir string) error {
	const tables = `select table_namespace, table_name, coalesce(iceberg_type, 'TABLE'), coalesce(metadata_location, '') from iceberg_tables
		where catalog_name = '` + CatalogName + `' order by table_namespace, table_name`
	err := each(ctx, tx, tables, func(scan scanner) error {
		var n Named
		err := scan(&n.Namespace, &n.Name, &n.Kind, &n.Location)
		s.Tables = append(s.Tables, n)
		return err
	})
	if err != nil {
		return err
	}
	const published = "select table_name, tenant, seq, changed from headlessly_published order by table_name, tenant"
	err = each(ctx, tx, published, func(scan scanner) error {
		var p Published
		err := scan(&p.Table, &p.Tenant, &p.Seq, &p.Changed)
		s.Published = append(s.Published, p)
		return err
	})
	if err != nil {
		return err
	}
	location := "file://" + filepath.ToSlash(filepath.Join(dir, "warehouse", "iceberg"))
	return each(ctx, tx, "select "+fileColumns+" from headlessly_files order by table_name, location", func(scan scanner) error {
		f, err := scanEntry(scan, location)
		s.Files = append(s.Files, f)
		return err
	})
}

// each calls yield with the rows of a query.
func each(ctx context.Context, tx *sql.Tx, q string, yield func(scanner) error) error {
	rows, err := tx.QueryContext(ctx, q)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := yield(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

// scanEntry reads a row of fileColumns; the tables' folders are in location.
func scanEntry(scan scanner, location string) (f Entry, err error) {
	var hash int64
	if err := scan(&f.Table, &f.Location, &f.Added, &f.Removed, &f.Gone, &f.Bytes, &hash); err != nil {
		return f, err
	}
	f.Hash = uint64(hash)
	if !strings.Contains(f.Location, ":") {
		f.Location = location + "/" + f.Table + "/" + f.Location
	}
	return f, nil
}
