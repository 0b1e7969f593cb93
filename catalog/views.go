package catalog

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/apache/iceberg-go"
	icecat "github.com/apache/iceberg-go/catalog"
	"github.com/apache/iceberg-go/table"
	"github.com/apache/iceberg-go/view"
	"github.com/google/uuid"
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

// PutView writes a view's next metadata durably, makes it current and gives its location. base is where the one it was built
// on is; empty for a view that is to be made. ErrConflict if the view is not there any more; nothing has changed then.
func (c *Catalog) PutView(ctx context.Context, ident table.Identifier, base string, meta view.Metadata) (string, error) {
	name := strings.Join(ident, ".")
	version := 0
	if base != "" {
		v, err := metadataVersion(base)
		if err != nil {
			return "", err
		}
		version = v + 1
	}
	var b bytes.Buffer
	if err := json.NewEncoder(&b).Encode(meta); err != nil {
		return "", fmt.Errorf("encode metadata of view %s: %w", name, err)
	}
	folder := meta.Properties().Get(metadataPath, "file://"+Path(meta.Location())+"/metadata")
	location := fmt.Sprintf("%s/%05d-%s.metadata.json", strings.TrimRight(folder, "/"), version, uuid.New())
	if err := c.io.WriteFile(location, b.Bytes()); err != nil {
		return "", fmt.Errorf("write metadata of view %s: %w", name, err)
	}
	err := c.point(ctx, ident, base, location, meta.Location())
	if err != nil && !errors.Is(err, ErrUnsettled) {
		_ = c.io.Remove(location) // an orphan if it stays
	}
	if err != nil {
		return "", fmt.Errorf("put view %s: %w", name, err)
	}
	return location, nil
}

// RegisterView makes a view of metadata that exists already. The metadata stays where it is.
func (c *Catalog) RegisterView(ctx context.Context, ident table.Identifier, location, folder string) error {
	return c.point(ctx, ident, "", "file://"+Path(location), folder)
}

// point moves a view's pointer from one place to the next.
func (c *Catalog) point(ctx context.Context, ident table.Identifier, from, to, folder string) error {
	ns, name, err := key(ident)
	if err != nil {
		return err
	}
	err = c.db.write(ctx, func(tx *sql.Tx) error {
		if from == "" {
			return c.insert(tx, ident, KindView, to, folder)
		}
		const q = `update iceberg_tables set metadata_location = ?, previous_metadata_location = ?
			where catalog_name = ? and table_namespace = ? and table_name = ? and metadata_location = ? and iceberg_type = 'VIEW'`
		return exactlyOne(tx, ErrConflict, "view "+name, q, to, from, CatalogName, ns, name, from)
	})
	if !errors.Is(err, ErrUnsettled) {
		return err
	}
	now, readErr := c.Pointer(context.WithoutCancel(ctx), ident, KindView)
	switch {
	case readErr != nil && !errors.Is(readErr, icecat.ErrNoSuchView):
		return errors.Join(err, readErr)
	case now == to:
		return nil
	default:
		return fmt.Errorf("commit did not happen: %v", err) // not ErrUnsettled any more
	}
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
	_, err = c.PutView(ctx, ident, "", meta)
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
