package catalog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/apache/iceberg-go/table"
)

// Register is what a swap changes in a table's register of files: which files its snapshots name. Stage fills in what
// concerns metadata files; the rest is the caller's, before Swap. Locations are whole, as snapshots name them.
type Register struct {
	Added   []Entry
	Removed []Removal
	Void    []int64  // sequence numbers of snapshots that were rolled back: what they removed is live again
	Gaps    []Gap    // snapshots that are removed from the table
	Gone    []string // metadata files that the metadata's log does not name any more
	Now     int64    // milliseconds: since when files that nothing names any more are not named
}

// Entry is a row of the register: a file that metadata of ours has named.
type Entry struct {
	Table    string
	Location string
	Added    int64  // sequence number of the first snapshot that names it; 0: metadata, or a file that no snapshot named
	Removed  int64  // of the first snapshot that does not name it any more; 0: the last one names it
	Gone     int64  // since when no snapshot names it, in milliseconds; 0: one does
	Bytes    int64  // its size
	Hash     uint64 // XXH64 of its content
}

// Removal says that from a snapshot on a file is not named any more.
type Removal struct {
	Location string
	Seq      int64 // of the snapshot
}

// Gap is a stretch of sequence numbers between two snapshots that stay, After and Before, in which none is left.
type Gap struct{ After, Before int64 }

const registerSchema = `
create table if not exists headlessly_files (
	table_name text not null, location text not null, added integer not null, removed integer, gone integer,
	bytes integer not null, hash integer not null, primary key (table_name, location)) without rowid;
create index if not exists headlessly_files_removed on headlessly_files (table_name, removed) where removed is not null and gone is null;
create index if not exists headlessly_files_gone on headlessly_files (gone) where gone is not null;
`

// registered says whether the files of a table are in the register: of ours, not of guests' tables.
func (s *Staged) registered() bool { return len(s.Identifier) == 2 && s.Identifier[0] == Namespace }

// below gives a location as the register has it: from the table's folder on, where it is in there.
func below(folder, location string) string { return strings.TrimPrefix(location, folder+"/") }

// register writes a swap's changes of the register.
func (c *Catalog) register(tx *sql.Tx, s *Staged) error {
	if !s.registered() {
		return nil
	}
	r, name, folder := &s.Register, s.Identifier[1], s.Metadata.Location()
	add := `insert into headlessly_files (table_name, location, added, removed, bytes, hash) values (?, ?, ?, nullif(?, 0), ?, ?)
		on conflict do update set added = excluded.added, removed = excluded.removed, gone = null, bytes = excluded.bytes, hash = excluded.hash`
	added := rows(r.Added, func(f Entry) []any {
		return []any{name, below(folder, f.Location), f.Added, f.Removed, f.Bytes, int64(f.Hash)}
	})
	bytes, hash := c.io.Written(s.Location)
	added = append(added, []any{name, below(folder, s.Location), 0, 0, bytes, int64(hash)})
	if err := execAll(tx, add, added); err != nil {
		return err
	}
	remove := "update headlessly_files set removed = ? where table_name = ? and location = ?"
	err := execAll(tx, remove, rows(r.Removed, func(m Removal) []any { return []any{m.Seq, name, below(folder, m.Location)} }))
	if err != nil {
		return err
	}
	void := "update headlessly_files set removed = null, gone = null where table_name = ? and removed = ?"
	if err := execAll(tx, void, rows(r.Void, func(seq int64) []any { return []any{name, seq} })); err != nil {
		return err
	}
	expire := `update headlessly_files set gone = ? where table_name = ? and gone is null and removed is not null
		and removed > ? and removed <= ? and added > ?`
	err = execAll(tx, expire, rows(r.Gaps, func(g Gap) []any { return []any{r.Now, name, g.After, g.Before, g.After} }))
	if err != nil {
		return err
	}
	// Metadata of others is not in the register until it is to go.
	forget := `insert into headlessly_files (table_name, location, added, gone, bytes, hash) values (?, ?, 0, ?, 0, 0)
		on conflict do update set gone = coalesce(gone, excluded.gone)`
	return execAll(tx, forget, rows(r.Gone, func(location string) []any { return []any{name, below(folder, location), r.Now} }))
}

func rows[T any](all []T, args func(T) []any) [][]any {
	out := make([][]any, len(all))
	for i, x := range all {
		out[i] = args(x)
	}
	return out
}

// execAll runs one statement for each list of arguments.
func execAll(tx *sql.Tx, q string, args [][]any) error {
	if len(args) == 0 {
		return nil
	}
	stmt, err := tx.Prepare(q)
	if err != nil {
		return err
	}
	defer stmt.Close()
	for _, a := range args {
		if _, err := stmt.Exec(a...); err != nil {
			return err
		}
	}
	return nil
}

const fileColumns = "table_name, location, added, coalesce(removed, 0), coalesce(gone, 0), bytes, hash"

func (c *Catalog) files(ctx context.Context, q string, args ...any) ([]Entry, error) {
	var all []Entry
	err := c.db.query(ctx, "select "+fileColumns+" from headlessly_files "+q, args, func(scan scanner) error {
		f, err := scanEntry(scan, c.location)
		if err != nil {
			return err
		}
		all = append(all, f)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read register of files: %w", err)
	}
	return all, nil
}

// Files lists the files that the last snapshot of a table names: data files, delete files and manifests; and the table's
// metadata files.
func (c *Catalog) Files(ctx context.Context, table string) ([]Entry, error) {
	return c.files(ctx, "where table_name = ? and removed is null and gone is null order by location", table)
}

// File gives what the register says of one file of a table, by its location; false if it does not have it.
func (c *Catalog) File(ctx context.Context, table, location string) (Entry, bool, error) {
	all, err := c.files(ctx, "where table_name = ? and location = ?", table, below(c.location+"/"+table, location))
	if err != nil || len(all) == 0 {
		return Entry{}, false, err
	}
	return all[0], true, nil
}

// Gone lists files of all tables that nothing has named since a time, in milliseconds, or longer: those that went first, up
// to a limit.
func (c *Catalog) Gone(ctx context.Context, since int64, limit int) ([]Entry, error) {
	return c.files(ctx, "where gone is not null and gone <= ? order by gone limit ?", since, limit)
}

// CountGone counts what Gone would list without a limit.
func (c *Catalog) CountGone(ctx context.Context, since int64) (n int, err error) {
	const q = "select count(*) from headlessly_files where gone is not null and gone <= ?"
	err = c.db.query(ctx, q, []any{since}, func(scan scanner) error { return scan(&n) })
	return n, err
}

// Unknown gives those of the locations in a table's folder that the register does not have.
func (c *Catalog) Unknown(ctx context.Context, table string, locations []string) ([]string, error) {
	var unknown []string
	folder := c.location + "/" + table
	for _, location := range locations {
		known := false
		const q = "select 1 from headlessly_files where table_name = ? and location = ?"
		err := c.db.query(ctx, q, []any{table, below(folder, location)}, func(scanner) error { known = true; return nil })
		if err != nil {
			return nil, fmt.Errorf("read register of files: %w", err)
		}
		if !known {
			unknown = append(unknown, location)
		}
	}
	return unknown, nil
}

// Adopt enters files that no metadata of ours has ever named, as gone since now. Files that are in the register stay as
// they are.
func (c *Catalog) Adopt(ctx context.Context, table string, locations []string, now int64) error {
	folder := c.location + "/" + table
	c.db.step(StepAdopt.before())
	err := c.db.write(ctx, func(tx *sql.Tx) error {
		const q = `insert into headlessly_files (table_name, location, added, gone, bytes, hash) values (?, ?, 0, ?, 0, 0) on conflict do nothing`
		return execAll(tx, q, rows(locations, func(location string) []any { return []any{table, below(folder, location), now} }))
	})
	if err != nil {
		return fmt.Errorf("adopt files of %s: %w", table, err)
	}
	c.db.step(StepAdopt.after())
	return nil
}

// Forget takes files out of the register that are still gone as they were when listed. Their bytes are removed.
func (c *Catalog) Forget(ctx context.Context, files []Entry) error {
	c.db.step(StepForget.before())
	err := c.db.write(ctx, func(tx *sql.Tx) error {
		const q = "delete from headlessly_files where table_name = ? and location = ? and gone = ?"
		return execAll(tx, q, rows(files, func(f Entry) []any {
			return []any{f.Table, below(c.location+"/"+f.Table, f.Location), f.Gone}
		}))
	})
	if err != nil {
		return fmt.Errorf("forget files: %w", err)
	}
	c.db.step(StepForget.after())
	return nil
}

// ErrNamed is returned where a file is not deleted because it is current, or current metadata names it.
var ErrNamed = errors.New("file is named by current metadata")

// Delete removes a file of the register from the disk; of metadata, the link to it first. A file that is not there is no
// error. ErrNamed for metadata that is current, or that the current metadata's log or the hint names.
func (c *Catalog) Delete(ctx context.Context, f Entry) error {
	c.db.step(StepDelete.before())
	if strings.HasSuffix(f.Location, ".metadata.json") {
		if err := c.unlink(ctx, f); err != nil {
			return err
		}
	}
	if err := c.io.Remove(f.Location); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	c.db.step(StepDelete.after())
	return nil
}

// unlink removes the second name of a metadata file that nothing names.
func (c *Catalog) unlink(ctx context.Context, f Entry) error {
	t, err := c.LoadTable(ctx, table.Identifier{Namespace, f.Table})
	if err != nil {
		return err
	}
	if t.MetadataLocation() == f.Location {
		return ErrNamed
	}
	for e := range t.Metadata().PreviousFiles() {
		if e.MetadataFile == f.Location {
			return ErrNamed
		}
	}
	version, err := metadataVersion(f.Location)
	if err != nil {
		return err
	}
	name := Path(f.Location)
	link := filepath.Join(filepath.Dir(name), "v"+strconv.Itoa(version)+".metadata.json")
	hint, err := c.io.ReadFile(filepath.Join(filepath.Dir(name), hintName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	linked := c.io.same(name, link)
	if linked && string(hint) == strconv.Itoa(version) || string(hint) == strings.TrimSuffix(filepath.Base(name), ".metadata.json") {
		return ErrNamed
	}
	if name == link || !linked {
		return nil
	}
	return c.io.fs.Remove(link)
}

// RegisterIsWhole reports whether every file of the tables was entered since they were made: not in a data folder that an
// older version has written to, whose files may be unknown and yet named.
func (c *Catalog) RegisterIsWhole(ctx context.Context) (whole bool, err error) {
	const q = "select 1 from headlessly_settings where name = 'register'"
	err = c.db.query(ctx, q, nil, func(scanner) error { whole = true; return nil })
	return whole, err
}
