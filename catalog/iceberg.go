package catalog

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/apache/iceberg-go"
	icecat "github.com/apache/iceberg-go/catalog"
	sqlcat "github.com/apache/iceberg-go/catalog/sql"
	iceio "github.com/apache/iceberg-go/io"
	"github.com/apache/iceberg-go/table"
	"github.com/google/uuid"
	lru "github.com/hashicorp/golang-lru/v2"
)

// CatalogName is the name under which the catalog's rows are kept; another engine's SQL catalog must bear it to see them.
const CatalogName = "main"

// Namespace holds the tables of the log.
const Namespace = "headlessly"

// ErrConflict is wrapped where a table, or a published seq, is no longer where the caller saw it. Nothing was changed.
var ErrConflict = fmt.Errorf("%w: catalog.db has moved on", table.ErrCommitFailed)

// ErrRequirement is wrapped where a requirement of a commit does not hold: building the same commit again is of no use. It
// is an ErrConflict.
var ErrRequirement = fmt.Errorf("%w: a requirement does not hold", ErrConflict)

// ErrUpdate is wrapped where the updates of a commit cannot be applied to the table, or make no table of it.
var ErrUpdate = errors.New("update cannot be applied")

// Catalog is the Iceberg catalog of a Database. What it does not define itself is iceberg-go's SQL catalog. It is safe for
// concurrent use.
type Catalog struct {
	*sqlcat.Catalog
	db       *Database
	io       *IO
	location string // file URI of the folder that new tables are made in

	loaded *lru.Cache[string, *table.Table] // by namespace key and name: as last loaded, to spare parsing it again
	turns  [turns]chan struct{}             // by hash of the same: whose turn it is to commit to a table
}

const (
	// loadedTables bounds the tables whose parsed metadata is kept. Ours are about forty.
	loadedTables = 256
	// turns bounds how many tables are committed to at a time; tables of the same turn wait for one another.
	turns = 64
)

var (
	_ icecat.Catalog              = (*Catalog)(nil)
	_ icecat.TransactionalCatalog = (*Catalog)(nil)
)

func newCatalog(ctx context.Context, d *Database, cfg Config) (*Catalog, error) {
	location := "file://" + filepath.ToSlash(filepath.Join(cfg.Dir, "warehouse", "iceberg"))
	base, err := sqlcat.NewCatalog(CatalogName, d.db, sqlcat.SQLite, iceberg.Properties{"warehouse": location})
	if err != nil {
		return nil, err
	}
	c := &Catalog{Catalog: base, db: d, io: NewIO(cfg.FS, cfg.Dir, cfg.Step), location: location}
	if c.loaded, err = lru.New[string, *table.Table](loadedTables); err != nil {
		return nil, err
	}
	for i := range c.turns {
		c.turns[i] = make(chan struct{}, 1)
	}
	ns := table.Identifier{Namespace}
	if exists, err := base.CheckNamespaceExists(ctx, ns); err != nil || exists {
		return c, err
	}
	return c, base.CreateNamespace(ctx, ns, nil)
}

// IO gives the file access of the catalog's tables.
func (c *Catalog) IO() *IO { return c.io }

// Location gives the file URI of the folder that holds the tables.
func (c *Catalog) Location() string { return c.location }

// LoadTable gives a table as it is now. Metadata that was parsed before is not parsed again.
func (c *Catalog) LoadTable(ctx context.Context, ident table.Identifier) (*table.Table, error) {
	location, err := c.Pointer(ctx, ident, KindTable)
	if err != nil {
		return nil, err
	}
	id := strings.Join(ident, ".")
	t, found := c.loaded.Get(id)
	if found && t.MetadataLocation() == location {
		return t, nil
	}
	t, err = table.NewFromLocation(ctx, ident, location, c.fileSystem, c)
	if err != nil {
		return nil, fmt.Errorf("load %s: %w", id, err)
	}
	c.loaded.Add(id, t)
	return t, nil
}

func (c *Catalog) fileSystem(context.Context) (iceio.IO, error) { return c.io, nil }

// Staged is a table's next metadata: on disk, and not yet current.
type Staged struct {
	Identifier table.Identifier
	Base       string // location of the metadata it was built on; empty for a new table
	Location   string // location of the new metadata
	Metadata   table.Metadata
	Register   Register // what the swap changes in the table's register of files
}

// Stage checks a commit's requirements against the table as it is now, applies its updates and writes the new metadata
// durably. ErrRequirement where a requirement does not hold. The result is given to Swap, or to Discard.
func (c *Catalog) Stage(ctx context.Context, commit table.TableCommit) (*Staged, error) {
	t, err := c.LoadTable(ctx, commit.Identifier)
	if err != nil {
		return nil, err
	}
	for _, r := range commit.Requirements {
		if err := r.Validate(t.Metadata()); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrRequirement, err)
		}
	}
	meta, err := table.UpdateTableMetadata(t.Metadata(), commit.Updates, t.MetadataLocation())
	if err != nil {
		return nil, fmt.Errorf("stage %s: %w: %w", strings.Join(commit.Identifier, "."), ErrUpdate, err)
	}
	s := &Staged{Identifier: slices.Clone(commit.Identifier), Base: t.MetadataLocation(), Metadata: meta}
	s.Register = Register{Gone: dropped(t.Metadata(), meta), Now: time.Now().UnixMilli()}
	return s, c.writeMetadata(s)
}

// dropped lists the metadata files that the log of a table's metadata names and that of its successor does not.
func dropped(base, next table.Metadata) []string {
	named := map[string]bool{}
	for e := range next.PreviousFiles() {
		named[e.MetadataFile] = true
	}
	var gone []string
	for e := range base.PreviousFiles() {
		if !named[e.MetadataFile] {
			gone = append(gone, e.MetadataFile)
		}
	}
	return gone
}

// StageNew writes the first metadata of a table durably; Swap then makes the table.
func (c *Catalog) StageNew(ident table.Identifier, meta table.Metadata) (*Staged, error) {
	s := &Staged{Identifier: slices.Clone(ident), Metadata: meta}
	return s, c.writeMetadata(s)
}

func (c *Catalog) writeMetadata(s *Staged) (err error) {
	s.Location, err = c.writeNext("file://"+Path(s.Metadata.Location())+"/metadata", s.Base, s.Metadata)
	if err != nil {
		return fmt.Errorf("write metadata of %s: %w", strings.Join(s.Identifier, "."), err)
	}
	return nil
}

// writeNext writes metadata durably into a folder, numbered one more than the file it is to replace, and says where.
func (c *Catalog) writeNext(folder, base string, metadata any) (location string, err error) {
	version := 0
	if base != "" {
		v, err := metadataVersion(base)
		if err != nil {
			return "", err
		}
		version = v + 1
	}
	var b bytes.Buffer
	if err := json.NewEncoder(&b).Encode(metadata); err != nil {
		return "", err
	}
	location = fmt.Sprintf("%s/%05d-%s.metadata.json", folder, version, uuid.New())
	return location, c.io.WriteFile(location, b.Bytes())
}

// metadataVersion reads the number in 00003-<uuid>.metadata.json or v3.metadata.json.
func metadataVersion(location string) (int, error) {
	name := strings.TrimPrefix(path.Base(location), "v")
	end := strings.IndexAny(name, "-.")
	v, err := strconv.Atoi(name[:max(end, 0)])
	if err != nil {
		return 0, fmt.Errorf("%w: %s has no version in its name", table.ErrInvalidMetadata, location)
	}
	return v, nil
}

// Discard removes staged metadata that Swap has definitely refused, as far as it can.
func (c *Catalog) Discard(staged ...*Staged) {
	for _, s := range staged {
		_ = c.io.Remove(s.Location) // an orphan if it stays
	}
}

// Move takes a published row from one state to the next.
type Move struct {
	Table, Tenant string
	From          int64 // the seq the row must have; 0 also where there is no row
	To            int64
	Changed       int64
}

// Swap makes staged metadata current, with its changes of the register of files, and moves published seqs, in one transaction. ErrConflict if any of them is not where
// it was when staged; nothing has changed then. Where COMMIT fails, Swap reads the database again to learn what happened,
// and answers with that, or with ErrUnsettled.
func (c *Catalog) Swap(ctx context.Context, staged []*Staged, moves []Move) error {
	c.db.step(StepSwap.before())
	err := c.db.write(ctx, func(tx *sql.Tx) error {
		if err := erased(tx, moves); err != nil {
			return err
		}
		for _, s := range staged {
			if err := c.swap(tx, s); err != nil {
				return err
			}
			if err := c.register(tx, s); err != nil {
				return err
			}
		}
		for _, m := range moves {
			if err := move(tx, m); err != nil {
				return err
			}
		}
		return nil
	})
	if errors.Is(err, ErrUnsettled) {
		err = c.outcome(ctx, staged, moves, err)
	}
	if err != nil {
		return fmt.Errorf("swap: %w", err)
	}
	c.swapped(staged)
	return nil
}

func (c *Catalog) swapped(staged []*Staged) {
	c.db.step(StepSwap.after())
	for _, s := range staged {
		c.loaded.Add(strings.Join(s.Identifier, "."), table.New(s.Identifier, s.Metadata, s.Location, c.fileSystem, c))
	}
}

func (c *Catalog) swap(tx *sql.Tx, s *Staged) error {
	ns, name, err := key(s.Identifier)
	if err != nil {
		return err
	}
	if s.Base == "" {
		return c.insert(tx, s.Identifier, KindTable, s.Location, s.Metadata.Location())
	}
	if folder := "file://" + Path(s.Metadata.Location()); s.Identifier[0] != Namespace && !strings.HasPrefix(s.Base, folder+"/metadata/") {
		if err := c.alone(tx, s.Base, folder); err != nil {
			return err
		}
	}
	const q = `update iceberg_tables set metadata_location = ?, previous_metadata_location = ?, iceberg_type = 'TABLE'
		where catalog_name = ? and table_namespace = ? and table_name = ? and metadata_location = ?`
	return exactlyOne(tx, ErrConflict, "table "+name, q, s.Location, s.Base, CatalogName, ns, name, s.Base)
}

func move(tx *sql.Tx, m Move) error {
	subject := "published seq of " + m.Tenant + " in " + m.Table
	if m.From == 0 {
		const q = `insert into headlessly_published (table_name, tenant, seq, changed) values (?, ?, ?, ?)
			on conflict do update set seq = excluded.seq, changed = excluded.changed where seq = 0`
		return exactlyOne(tx, ErrConflict, subject, q, m.Table, m.Tenant, m.To, m.Changed)
	}
	const q = `update headlessly_published set seq = ?, changed = ? where table_name = ? and tenant = ? and seq = ?`
	return exactlyOne(tx, ErrConflict, subject, q, m.To, m.Changed, m.Table, m.Tenant, m.From)
}

// exactlyOne runs a change that must touch one row.
func exactlyOne(tx *sql.Tx, otherwise error, subject, q string, args ...any) error {
	res, err := tx.Exec(q, args...)
	if err != nil {
		return err
	}
	n, err := res.RowsAffected()
	if err != nil {
		return err
	}
	if n != 1 {
		return fmt.Errorf("%w: %s", otherwise, subject)
	}
	return nil
}

// outcome learns what became of a Swap whose COMMIT failed with cause: nil if it happened, else an error.
func (c *Catalog) outcome(ctx context.Context, staged []*Staged, moves []Move, cause error) error {
	happened, err := c.Happened(context.WithoutCancel(ctx), staged, moves)
	if err != nil {
		return errors.Join(err, cause)
	}
	if happened {
		return nil
	}
	return fmt.Errorf("commit did not happen: %v", cause) // not ErrUnsettled any more
}

// Happened says whether a Swap that ended with ErrUnsettled has taken place; ErrUnsettled while that cannot be known. It is
// asked before anything else is swapped.
func (c *Catalog) Happened(ctx context.Context, staged []*Staged, moves []Move) (bool, error) {
	happened, err := c.happened(ctx, staged, moves)
	if err != nil {
		return false, fmt.Errorf("%w: %w", ErrUnsettled, err)
	}
	return happened, nil
}

// happened looks at one part of the transaction: it happened as a whole or not at all.
func (c *Catalog) happened(ctx context.Context, staged []*Staged, moves []Move) (bool, error) {
	if len(staged) > 0 {
		location, err := c.Pointer(ctx, staged[0].Identifier, KindTable)
		if errors.Is(err, icecat.ErrNoSuchTable) {
			return false, nil
		}
		return location == staged[0].Location, err
	}
	found := false
	for _, m := range moves[:min(1, len(moves))] {
		const q = "select 1 from headlessly_published where table_name = ? and tenant = ? and seq = ? and changed = ?"
		err := c.db.query(ctx, q, []any{m.Table, m.Tenant, m.To, m.Changed}, func(scanner) error { found = true; return nil })
		if err != nil {
			return false, err
		}
	}
	return found, nil
}
