package catalog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/apache/iceberg-go"
	icecat "github.com/apache/iceberg-go/catalog"
	"github.com/apache/iceberg-go/table"
	"github.com/apache/iceberg-go/view"
	"golang.org/x/sync/errgroup"
)

// metadataPath is the property of a view that says where its metadata is to be, instead of below its location.
const metadataPath = "write.metadata.path"

// View gives a view's metadata, and where that is. ErrNoSuchView.
func (c *Catalog) View(ctx context.Context, ident table.Identifier) (view.Metadata, string, error) {
	location, err := c.Pointer(ctx, ident, KindView)
	if err != nil {
		return nil, "", err
	}
	data, err := c.io.ReadFile(location)
	if err != nil {
		return nil, "", fmt.Errorf("load view %s: %w", strings.Join(ident, "."), err)
	}
	meta, err := view.ParseMetadataBytes(data)
	if err != nil {
		return nil, "", fmt.Errorf("load view %s: %w", strings.Join(ident, "."), err)
	}
	return meta, location, nil
}

// ViewChange is what becomes of a view: a new one, or the next version of one.
type ViewChange struct {
	Identifier table.Identifier
	Base       string // location of the metadata it was built on; empty for a view that is to be made
	Metadata   view.Metadata

	location string
}

// PutView makes a change of a view current, and gives where its metadata is then. See PutViews.
func (c *Catalog) PutView(ctx context.Context, change ViewChange) (string, error) {
	all := []ViewChange{change}
	err := c.PutViews(ctx, all)
	return all[0].location, err
}

// PutViews writes the next metadata of views durably and makes all of it current in one transaction. ErrConflict if one of
// them is not where it was; nothing has changed then.
func (c *Catalog) PutViews(ctx context.Context, all []ViewChange) error {
	var g errgroup.Group
	g.SetLimit(viewWriters)
	for i := range all {
		g.Go(func() error { return c.writeView(&all[i]) })
	}
	err := g.Wait()
	if err == nil {
		err = c.point(ctx, all)
	}
	if err == nil {
		return nil
	}
	if !errors.Is(err, ErrUnsettled) {
		for _, ch := range all {
			if ch.location != "" {
				_ = c.io.Remove(ch.location) // an orphan if it stays
			}
		}
	}
	return fmt.Errorf("put views: %w", err)
}

// viewWriters bounds the view files that are written at a time.
const viewWriters = 8

func (c *Catalog) writeView(ch *ViewChange) error {
	folder := ch.Metadata.Properties().Get(metadataPath, "file://"+Path(ch.Metadata.Location())+"/metadata")
	location, err := c.writeNext(strings.TrimRight(folder, "/"), ch.Base, ch.Metadata)
	if err == nil {
		ch.location = location
	}
	return err
}

// RegisterView makes a view of metadata that exists already. The metadata stays where it is.
func (c *Catalog) RegisterView(ctx context.Context, ident table.Identifier, location string, meta view.Metadata) error {
	return c.point(ctx, []ViewChange{{Identifier: ident, Metadata: meta, location: "file://" + Path(location)}})
}

// point moves the pointers of views, all or none.
func (c *Catalog) point(ctx context.Context, all []ViewChange) error {
	err := c.db.write(ctx, func(tx *sql.Tx) error {
		for _, ch := range all {
			if err := c.pointOne(tx, ch); err != nil {
				return err
			}
		}
		return nil
	})
	if !errors.Is(err, ErrUnsettled) || len(all) == 0 {
		return err
	}
	now, readErr := c.Pointer(context.WithoutCancel(ctx), all[0].Identifier, KindView)
	switch {
	case readErr != nil && !errors.Is(readErr, icecat.ErrNoSuchView):
		return errors.Join(err, readErr)
	case now == all[0].location:
		return nil
	default:
		return fmt.Errorf("commit did not happen: %v", err) // not ErrUnsettled any more
	}
}

func (c *Catalog) pointOne(tx *sql.Tx, ch ViewChange) error {
	if ch.Base == "" {
		return c.insert(tx, ch.Identifier, KindView, ch.location, ch.Metadata.Location())
	}
	ns, name, err := key(ch.Identifier)
	if err != nil {
		return err
	}
	const q = `update iceberg_tables set metadata_location = ?, previous_metadata_location = ?
		where catalog_name = ? and table_namespace = ? and table_name = ? and metadata_location = ? and iceberg_type = 'VIEW'`
	return exactlyOne(tx, ErrConflict, "view "+name, q, ch.location, ch.Base, CatalogName, ns, name, ch.Base)
}

// CreateView makes a view of one SQL text, in the dialect that is called default.
func (c *Catalog) CreateView(ctx context.Context, ident table.Identifier, schema *iceberg.Schema, text string, props iceberg.Properties) error {
	ns := slices.Clone(icecat.NamespaceFromIdent(ident))
	version, err := view.NewVersionFromSQL(view.InitialVersionID, schema.ID, text, ns)
	if err != nil {
		return err
	}
	meta, err := view.NewMetadata(version, schema, c.NewLocation(ident), props)
	if err != nil {
		return err
	}
	_, err = c.PutView(ctx, ViewChange{Identifier: ident, Metadata: meta})
	return err
}

// LoadView gives a view's metadata. ErrNoSuchView.
func (c *Catalog) LoadView(ctx context.Context, ident table.Identifier) (view.Metadata, error) {
	meta, _, err := c.View(ctx, ident)
	return meta, err
}

// DropView forgets a view and removes its current metadata.
func (c *Catalog) DropView(ctx context.Context, ident table.Identifier) error {
	location, err := c.Drop(ctx, ident, KindView)
	if err != nil {
		return err
	}
	if err := c.io.Remove(location); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("dropped, but: %w", err)
	}
	return nil
}
