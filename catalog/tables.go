package catalog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/apache/iceberg-go"
	icecat "github.com/apache/iceberg-go/catalog"
	"github.com/apache/iceberg-go/table"
	"github.com/google/uuid"
)

// CommitTable applies one table's commit. Commits of a table take turns; a requirement that does not hold, or a table that
// moved meanwhile, is table.ErrCommitFailed.
func (c *Catalog) CommitTable(
	ctx context.Context, ident table.Identifier, reqs []table.Requirement, updates []table.Update,
) (table.Metadata, string, error) {
	done, err := c.turn(ctx, ident)
	if err != nil {
		return nil, "", err
	}
	defer done()
	staged, err := c.commit(ctx, []table.TableCommit{{Identifier: ident, Requirements: reqs, Updates: updates}})
	if err != nil {
		return nil, "", err
	}
	return staged[0].Metadata, staged[0].Location, nil
}

// CommitTransaction applies the commits of several tables, all or none.
func (c *Catalog) CommitTransaction(ctx context.Context, commits []table.TableCommit) error {
	_, err := c.commit(ctx, commits)
	return err
}

func (c *Catalog) commit(ctx context.Context, commits []table.TableCommit) ([]*Staged, error) {
	var staged []*Staged
	for _, commit := range commits {
		s, err := c.Stage(ctx, commit)
		if err != nil {
			c.Discard(staged...)
			return nil, err
		}
		staged = append(staged, s)
	}
	if err := c.Swap(ctx, staged, nil); err != nil {
		if !errors.Is(err, ErrUnsettled) {
			c.Discard(staged...)
		}
		return nil, err
	}
	for _, s := range staged {
		if err := c.Hint(s.Location); err != nil {
			return staged, fmt.Errorf("committed, but %w", err)
		}
	}
	return staged, nil
}

// turn waits for the table's turn; done gives it back. It keeps commits that would only conflict from preparing at once.
func (c *Catalog) turn(ctx context.Context, ident table.Identifier) (done func(), err error) {
	id := strings.Join(ident, ".")
	c.mu.Lock()
	slot := c.turns[id]
	if slot == nil {
		slot = make(chan struct{}, 1)
		c.turns[id] = slot
	}
	c.mu.Unlock()
	select {
	case slot <- struct{}{}:
		return func() { <-slot }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// CreateTable makes an empty table, by default in a folder named for it (for its namespace and it, outside Namespace).
func (c *Catalog) CreateTable(
	ctx context.Context, ident table.Identifier, schema *iceberg.Schema, opts ...icecat.CreateTableOpt,
) (*table.Table, error) {
	cfg := icecat.NewCreateTableCfg()
	for _, opt := range opts {
		opt(&cfg)
	}
	location := cfg.Location
	if location == "" {
		location = c.TableLocation(ident)
	}
	meta, err := table.NewMetadata(schema, cfg.PartitionSpec, cfg.SortOrder, location, cfg.Properties)
	if err != nil {
		return nil, err
	}
	staged, err := c.StageNew(ident, meta)
	if err != nil {
		return nil, err
	}
	return c.create(ctx, staged)
}

func (c *Catalog) create(ctx context.Context, staged *Staged) (*table.Table, error) {
	ns := icecat.NamespaceFromIdent(staged.Identifier)
	exists, err := c.CheckNamespaceExists(ctx, ns)
	if err == nil && !exists {
		err = fmt.Errorf("%w: %s", icecat.ErrNoSuchNamespace, strings.Join(ns, "."))
	}
	if err == nil {
		err = c.Swap(ctx, []*Staged{staged}, nil)
	}
	if err != nil {
		if !errors.Is(err, ErrUnsettled) {
			c.Discard(staged)
		}
		return nil, err
	}
	if err := c.Hint(staged.Location); err != nil {
		return nil, fmt.Errorf("created, but %w", err)
	}
	return c.LoadTable(ctx, staged.Identifier)
}

// TableLocation gives the file URI of the folder that a table is made in.
func (c *Catalog) TableLocation(ident table.Identifier) string {
	if len(ident) == 2 && ident[0] == Namespace {
		return c.location + "/" + ident[1]
	}
	return c.location + "/" + strings.Join(ident, "/")
}

// RegisterTable makes a table of metadata that exists already. The metadata stays where it is.
func (c *Catalog) RegisterTable(ctx context.Context, ident table.Identifier, location string) (*table.Table, error) {
	data, err := c.io.ReadFile(location)
	if err != nil {
		return nil, fmt.Errorf("register %s: %w", strings.Join(ident, "."), err)
	}
	meta, err := table.ParseMetadataBytes(data)
	if err != nil {
		return nil, fmt.Errorf("register %s: %w", strings.Join(ident, "."), err)
	}
	if _, err := metadataVersion(location); err != nil {
		return nil, err
	}
	s := &Staged{Identifier: ident, Location: location, Metadata: meta}
	if err := c.Swap(ctx, []*Staged{s}, nil); err != nil {
		return nil, err
	}
	return c.LoadTable(ctx, ident)
}

// DropTable forgets a table and leaves its files.
func (c *Catalog) DropTable(ctx context.Context, ident table.Identifier) error {
	if err := c.db.settle(ctx); err != nil {
		return err
	}
	if err := c.Catalog.DropTable(ctx, ident); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.loaded, strings.Join(ident, "."))
	return nil
}

// NewMetadata builds the first metadata of a table with the schema's field ids as they are (iceberg-go's own NewMetadata
// numbers them anew).
func NewMetadata(
	schema *iceberg.Schema, spec iceberg.PartitionSpec, location string, props iceberg.Properties,
) (table.Metadata, error) {
	b, err := table.NewMetadataBuilder(2)
	if err != nil {
		return nil, err
	}
	// Copies: the builder writes to what it is given.
	fresh, unsorted := iceberg.NewSchema(0, schema.Fields()...), table.UnsortedSortOrder
	steps := []error{b.SetUUID(uuid.New()), b.SetLoc(location), b.AddSchema(fresh), b.SetCurrentSchemaID(-1)}
	steps = append(steps, b.AddPartitionSpec(&spec, true), b.SetDefaultSpecID(-1))
	steps = append(steps, b.AddSortOrder(&unsorted), b.SetDefaultSortOrderID(-1), b.SetProperties(props))
	if err := errors.Join(steps...); err != nil {
		return nil, fmt.Errorf("build metadata of %s: %w", location, err)
	}
	meta, err := b.Build()
	if err != nil {
		return nil, fmt.Errorf("build metadata of %s: %w", location, err)
	}
	// As it will be read: what the builder keeps only in memory shall not matter.
	data, err := json.Marshal(meta)
	if err != nil {
		return nil, err
	}
	return table.ParseMetadataBytes(data)
}
