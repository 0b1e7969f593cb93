package catalog

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/apache/iceberg-go/table"
)

// ErrErasing is wrapped where something of a tenant is to be published that is being erased.
var ErrErasing = errors.New("tenant is being erased")

// erasureSchema makes the list of erasures that are under way. Tenant and plan name what must go, so they are the last to go.
const erasureSchema = `
create table if not exists headlessly_erasure (
	id text primary key, tenant text, stage text not null, began integer not null, plan text not null) without rowid;
`

// Stages of an erasure, as the tombstone says them. Each begins when what the one before is about is done, on disk.
const (
	EraseFiles   = "files"   // the tenant is not to be served; its files, and what names it, are being removed
	EraseSpace   = "space"   // the database's free space is being cleared; the tombstone names nobody any more
	EraseReceipt = "receipt" // the receipt is being written
)

// Erasure is a tombstone: an erasure that is under way, in this process or in one that has ended.
type Erasure struct {
	ID     string
	Tenant string // empty from EraseSpace on
	Stage  string
	Began  time.Time
	Plan   []byte // JSON of whoever erases
}

// BeginErasure writes a tombstone durably: from here on nothing of the tenant is published. A tenant has one at most;
// ErrErasing where it has one.
func (d *Database) BeginErasure(ctx context.Context, e Erasure) error {
	err := d.write(ctx, func(tx *sql.Tx) error {
		var n int
		if err := tx.QueryRow("select count(*) from headlessly_erasure where tenant = ?", e.Tenant).Scan(&n); err != nil {
			return err
		}
		if n > 0 {
			return ErrErasing
		}
		_, err := tx.Exec("insert into headlessly_erasure (id, tenant, stage, began, plan) values (?, ?, ?, ?, ?)",
			e.ID, e.Tenant, e.Stage, e.Began.UnixMilli(), string(e.Plan))
		return err
	})
	if err != nil {
		return fmt.Errorf("begin erasing %s: %w", e.Tenant, err)
	}
	return nil
}

// Erasures lists the tombstones, oldest first.
func (d *Database) Erasures(ctx context.Context) ([]Erasure, error) {
	var all []Erasure
	const q = "select id, coalesce(tenant, ''), stage, began, plan from headlessly_erasure order by began, id"
	err := d.query(ctx, q, nil, func(scan scanner) error {
		var e Erasure
		var began int64
		var plan string
		if err := scan(&e.ID, &e.Tenant, &e.Stage, &began, &plan); err != nil {
			return err
		}
		e.Began, e.Plan = time.UnixMilli(began).UTC(), []byte(plan)
		all = append(all, e)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list erasures: %w", err)
	}
	return all, nil
}

// UpdateErasure replaces stage and plan of a tombstone.
func (d *Database) UpdateErasure(ctx context.Context, e Erasure) error {
	err := d.write(ctx, func(tx *sql.Tx) error {
		return exactlyOne(tx, ErrConflict, "erasure "+e.ID, "update headlessly_erasure set stage = ?, plan = ? where id = ?", e.Stage, string(e.Plan), e.ID)
	})
	if err != nil {
		return fmt.Errorf("note erasure: %w", err)
	}
	return nil
}

// EndErasure removes a tombstone.
func (d *Database) EndErasure(ctx context.Context, id string) error {
	err := d.write(ctx, func(tx *sql.Tx) error {
		_, err := tx.Exec("delete from headlessly_erasure where id = ?", id)
		return err
	})
	if err != nil {
		return fmt.Errorf("end erasure: %w", err)
	}
	return nil
}

// ForgetTenant takes everything out of the database that names a tenant, its tombstone's name too, and moves the tombstone to
// EraseSpace with a plan that names nobody. The caller has removed the tenant's files.
func (d *Database) ForgetTenant(ctx context.Context, e Erasure) error {
	d.setOpen(e.Tenant, false)
	err := d.write(ctx, func(tx *sql.Tx) error {
		for _, q := range []struct {
			text string
			args []any
		}{
			{"delete from headlessly_open where tenant = ?", []any{e.Tenant}},
			{"delete from headlessly_published where tenant = ?", []any{e.Tenant}},
			{"delete from headlessly_files where instr('/' || location, ?) > 0", []any{"/data/tenant=" + e.Tenant + "/"}},
			{"update headlessly_erasure set tenant = null, stage = ?, plan = ? where id = ?", []any{EraseSpace, string(e.Plan), e.ID}},
		} {
			if _, err := tx.Exec(q.text, q.args...); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("forget tenant: %w", err)
	}
	return nil
}

// ClearSpace rewrites the database without its free space and empties its write-ahead log, so that nothing of removed rows is
// left in the files.
func (d *Database) ClearSpace(ctx context.Context) error {
	if err := d.settle(ctx); err != nil {
		return err
	}
	if _, err := d.db.ExecContext(ctx, "vacuum"); err != nil {
		return fmt.Errorf("clear space: %w", err)
	}
	var busy, inLog, moved int
	if err := d.db.QueryRowContext(ctx, "pragma wal_checkpoint(truncate)").Scan(&busy, &inLog, &moved); err != nil {
		return fmt.Errorf("clear space: %w", err)
	}
	if busy != 0 {
		return errors.New("clear space: another process is reading catalog.db")
	}
	return nil
}

// erased refuses moves of a tenant that has a tombstone.
func erased(tx *sql.Tx, moves []Move) error {
	var n int
	if err := tx.QueryRow("select count(*) from headlessly_erasure where tenant is not null").Scan(&n); err != nil || n == 0 {
		return err
	}
	for _, m := range moves {
		if err := tx.QueryRow("select count(*) from headlessly_erasure where tenant = ?", m.Tenant).Scan(&n); err != nil {
			return err
		}
		if n > 0 {
			return fmt.Errorf("%w: %s", ErrErasing, m.Tenant)
		}
	}
	return nil
}

// StageClean is Stage for metadata that must not lead back: its log names no earlier metadata.
func (c *Catalog) StageClean(ctx context.Context, commit table.TableCommit) (*Staged, error) {
	s, err := c.Stage(ctx, commit)
	if err != nil {
		return nil, err
	}
	defer c.Discard(&Staged{Location: s.Location}) // it is the rewritten one that counts
	text, err := json.Marshal(s.Metadata)
	if err != nil {
		return nil, err
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(text, &members); err != nil {
		return nil, err
	}
	members["metadata-log"] = json.RawMessage("[]")
	if text, err = json.Marshal(members); err != nil {
		return nil, err
	}
	clean := &Staged{Identifier: s.Identifier, Base: s.Base, Register: s.Register}
	if clean.Metadata, err = table.ParseMetadataBytes(text); err != nil {
		return nil, fmt.Errorf("stage %s: %w", strings.Join(commit.Identifier, "."), err)
	}
	return clean, c.writeMetadata(clean)
}

// SwapErased makes staged metadata current from which a tenant's rows are gone, and takes the tenant out of the published
// seqs, in one transaction. ErrConflict as from Swap.
func (c *Catalog) SwapErased(ctx context.Context, staged []*Staged, tenant string) error {
	err := c.db.write(ctx, func(tx *sql.Tx) error {
		for _, s := range staged {
			if err := c.swap(tx, s); err != nil {
				return err
			}
			if err := c.register(tx, s); err != nil {
				return err
			}
		}
		_, err := tx.Exec("delete from headlessly_published where tenant = ?", tenant)
		return err
	})
	if errors.Is(err, ErrUnsettled) && len(staged) > 0 {
		err = c.outcome(ctx, staged, nil, err)
	}
	if err != nil {
		return fmt.Errorf("swap: %w", err)
	}
	for _, s := range staged {
		c.loaded.Add(strings.Join(s.Identifier, "."), table.New(s.Identifier, s.Metadata, s.Location, c.fileSystem, c))
	}
	return nil
}

// PastMetadata lists the files of a table's metadata folder that its register has and its last snapshot does not name.
func (c *Catalog) PastMetadata(ctx context.Context, name string) ([]string, error) {
	files, err := c.files(ctx, "where table_name = ? and (removed is not null or gone is not null) and location not like 'data/%'", name)
	locations := make([]string, len(files))
	for i, f := range files {
		locations[i] = f.Location
	}
	return locations, err
}

// Newer reports whether a file's name is that of metadata that is to follow the metadata at a location: somebody is about to
// commit it.
func Newer(name, current string) bool {
	if !strings.HasSuffix(name, ".metadata.json") {
		return false
	}
	version, err := metadataVersion(name)
	now, currentErr := metadataVersion(current)
	return err == nil && currentErr == nil && version > now
}

// OldLink reports whether a file's name is that of the link to metadata before the one at a location.
func OldLink(name, current string) bool {
	version, err := metadataVersion(name)
	now, currentErr := metadataVersion(current)
	return name == "v"+strconv.Itoa(version)+".metadata.json" && err == nil && currentErr == nil && version < now
}

// Strike takes files out of a table's register: their bytes are removed.
func (c *Catalog) Strike(ctx context.Context, name string, locations []string) error {
	err := c.db.write(ctx, func(tx *sql.Tx) error {
		const q = "delete from headlessly_files where table_name = ? and location = ?"
		return execAll(tx, q, rows(locations, func(location string) []any { return []any{name, below(c.location+"/"+name, location)} }))
	})
	if err != nil {
		return fmt.Errorf("strike files: %w", err)
	}
	return nil
}
