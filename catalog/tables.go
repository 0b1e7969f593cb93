package catalog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/apache/iceberg-go"
	icecat "github.com/apache/iceberg-go/catalog"
	"github.com/apache/iceberg-go/table"
	"github.com/cespare/xxhash/v2"
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
	staged, err := c.Commit(ctx, Change{TableCommit: table.TableCommit{Identifier: ident, Requirements: reqs, Updates: updates}})
	if err != nil {
		return nil, "", err
	}
	return staged[0].Metadata, staged[0].Location, nil
}

// CommitTransaction applies the commits of several tables, all or none.
func (c *Catalog) CommitTransaction(ctx context.Context, commits []table.TableCommit) error {
	changes := make([]Change, len(commits))
	for i, commit := range commits {
		changes[i].TableCommit = commit
	}
	_, err := c.Commit(ctx, changes...)
	return err
}

// Change is what a commit does to one table.
type Change struct {
	table.TableCommit
	New table.Metadata // of a table to make; nil: the updates are for one that exists
}

// commitAttempts bounds how often a commit is built on what is current because another one was swapped in meanwhile.
const commitAttempts = 10

// Commit applies changes of several tables, all or none, and gives them in the same order. A table that moved meanwhile is
// looked at again, as long as the requirements hold: ErrRequirement where one does not. ErrUnsettled where it is not known
// whether the commit happened.
func (c *Catalog) Commit(ctx context.Context, changes ...Change) ([]*Staged, error) {
	for attempt := 1; ; attempt++ {
		staged, err := c.attempt(ctx, changes)
		if err == nil {
			for _, s := range staged {
				c.tidy(s)
			}
			return staged, c.hintAll(staged)
		}
		if !errors.Is(err, ErrConflict) || errors.Is(err, ErrRequirement) || attempt == commitAttempts {
			return nil, err
		}
	}
}

func (c *Catalog) attempt(ctx context.Context, changes []Change) ([]*Staged, error) {
	var staged []*Staged
	for _, ch := range changes {
		var s *Staged
		var err error
		if ch.New != nil {
			s, err = c.StageNew(ch.Identifier, ch.New)
		} else {
			s, err = c.Stage(ctx, ch.TableCommit)
		}
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
	return staged, nil
}

// hintAll tells engines that are given folders. What it fails at does not undo the commit.
func (c *Catalog) hintAll(staged []*Staged) error {
	for _, s := range staged {
		if err := c.Hint(s.Location); err != nil {
			return fmt.Errorf("committed, but %w", err)
		}
	}
	return nil
}

// turn waits for the table's turn; done gives it back. It keeps commits that would only conflict from preparing at once.
func (c *Catalog) turn(ctx context.Context, ident table.Identifier) (done func(), err error) {
	slot := c.turns[xxhash.Sum64String(strings.Join(ident, "."))%turns]
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
	if err := c.Swap(ctx, []*Staged{staged}, nil); err != nil {
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

// TableLocation gives the file URI of the folder that a table, or a view, is made in. Guests' folders stand apart from ours,
// one for each namespace, so that no name of theirs leads into a table's folder.
func (c *Catalog) TableLocation(ident table.Identifier) string {
	if len(ident) == 2 && ident[0] == Namespace {
		return c.location + "/" + ident[1]
	}
	ns, name := ident[:len(ident)-1], ident[len(ident)-1]
	return c.Guests() + "/" + folderName(strings.Join(ns, ".")) + "/" + folderName(name)
}

// ViewLocation gives the file URI of the folder that a view of ours is made in.
func (c *Catalog) ViewLocation(name string) string {
	return strings.TrimSuffix(c.location, "/iceberg") + "/views/" + name
}

// Guests gives the file URI of the folder that holds everything of namespaces that are not ours.
func (c *Catalog) Guests() string { return strings.TrimSuffix(c.location, "/iceberg") + "/guests" }

// folderName gives a name as a folder may bear it: what is not allowed in partition values and locations becomes "-".
func folderName(name string) string {
	plain := strings.Map(func(r rune) rune {
		if r < utf8.RuneSelf && (r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' || strings.ContainsRune("._~-", r)) {
			return r
		}
		return '-'
	}, name)
	if strings.Trim(plain, ".") == "" {
		return strings.Repeat("-", len(plain))
	}
	return plain[:min(len(plain), 128)]
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
	s := &Staged{Identifier: slices.Clone(ident), Location: "file://" + Path(location), Metadata: meta}
	if err := c.Swap(ctx, []*Staged{s}, nil); err != nil {
		return nil, err
	}
	return c.LoadTable(ctx, ident)
}

// DropTable forgets a table and leaves its files.
func (c *Catalog) DropTable(ctx context.Context, ident table.Identifier) error {
	_, err := c.Drop(ctx, ident, KindTable)
	return err
}

// RenameTable gives a table another name. Its files stay where they are.
func (c *Catalog) RenameTable(ctx context.Context, from, to table.Identifier) (*table.Table, error) {
	if err := c.Rename(ctx, from, to, KindTable); err != nil {
		return nil, err
	}
	return c.LoadTable(ctx, to)
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
