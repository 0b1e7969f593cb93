package catalog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/apache/iceberg-go"
	icecat "github.com/apache/iceberg-go/catalog"
	"github.com/apache/iceberg-go/table"
)

// Kind says what a name of the catalog stands for.
type Kind string

// The kinds, as catalog.db spells them. Names of both share one space.
const (
	KindTable Kind = "TABLE"
	KindView  Kind = "VIEW"
)

// errors gives what is returned where there is no such thing, and where there is one already.
func (k Kind) errors() (missing, taken error) {
	if k == KindView {
		return icecat.ErrNoSuchView, icecat.ErrViewAlreadyExists
	}
	return icecat.ErrNoSuchTable, icecat.ErrTableAlreadyExists
}

// ErrLocationTaken is wrapped where a table would share its folder with another one.
var ErrLocationTaken = errors.New("location belongs to another table")

// ofKind is the condition for rows of a kind; rows that older programs wrote have none, and are tables.
const ofKind = "catalog_name = ? and coalesce(iceberg_type, 'TABLE') = ?"

// key gives the catalog's spelling of a table's namespace and name.
func key(ident table.Identifier) (ns, name string, err error) {
	if err := icecat.ValidateTableIdentifier(ident); err != nil {
		return "", "", err
	}
	ns, err = namespaceKey(ident[:len(ident)-1])
	return ns, ident[len(ident)-1], err
}

func namespaceKey(ns table.Identifier) (string, error) {
	for _, part := range ns {
		if strings.Contains(part, ".") {
			return "", fmt.Errorf("%w: a dot in the namespace %s", iceberg.ErrNotImplemented, ns)
		}
	}
	return strings.Join(ns, "."), nil
}

// Pointer reads where the current metadata of a table or view is.
func (c *Catalog) Pointer(ctx context.Context, ident table.Identifier, kind Kind) (string, error) {
	ns, name, err := key(ident)
	if err != nil {
		return "", err
	}
	var location string
	const q = "select metadata_location from iceberg_tables where " + ofKind + " and table_namespace = ? and table_name = ?"
	err = c.db.query(ctx, q, []any{CatalogName, kind, ns, name}, func(scan scanner) error { return scan(&location) })
	if err != nil {
		return "", fmt.Errorf("load %s: %w", strings.Join(ident, "."), err)
	}
	if location == "" {
		missing, _ := kind.errors()
		return "", fmt.Errorf("%w: %s", missing, strings.Join(ident, "."))
	}
	return location, nil
}

// List gives names of tables or views of a namespace that come after a name, sorted by bytes, at most so many.
// ErrNoSuchNamespace.
func (c *Catalog) List(ctx context.Context, ns table.Identifier, kind Kind, after string, limit int) ([]string, error) {
	if err := c.needNamespace(ctx, ns); err != nil {
		return nil, err
	}
	k, err := namespaceKey(ns)
	if err != nil {
		return nil, err
	}
	names := []string{}
	const q = "select table_name from iceberg_tables where " + ofKind + ` and table_namespace = ? and table_name > ?
		order by table_name limit ?`
	err = c.db.query(ctx, q, []any{CatalogName, kind, k, after, limit}, func(scan scanner) error {
		var name string
		if err := scan(&name); err != nil {
			return err
		}
		names = append(names, name)
		return nil
	})
	return names, err
}

// errEnough ends a query.
var errEnough = errors.New("enough")

// Namespaces gives the namespaces directly below a parent (nil: the topmost) whose last part comes after a name, sorted by
// their whole names' bytes, at most so many. ErrNoSuchNamespace for a parent that is not there.
func (c *Catalog) Namespaces(ctx context.Context, parent table.Identifier, after string, limit int) ([]table.Identifier, error) {
	prefix := ""
	if len(parent) > 0 {
		if err := c.needNamespace(ctx, parent); err != nil {
			return nil, err
		}
		prefix = strings.Join(parent, ".") + "."
	}
	found := []table.Identifier{}
	const q = `select namespace from (
			select namespace from iceberg_namespace_properties where catalog_name = ?1 and namespace > ?2
			union select table_namespace from iceberg_tables where catalog_name = ?1 and table_namespace > ?2)
		where substr(namespace, 1, length(?3)) = ?3 order by namespace`
	err := c.db.query(ctx, q, []any{CatalogName, prefix + after, prefix}, func(scan scanner) error {
		var name string
		if err := scan(&name); err != nil {
			return err
		}
		if strings.Contains(name[len(prefix):], ".") {
			return nil
		}
		if len(found) == limit {
			return errEnough
		}
		found = append(found, append(slices.Clone(parent), name[len(prefix):]))
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return found, err
}

func (c *Catalog) needNamespace(ctx context.Context, ns table.Identifier) error {
	exists, err := c.CheckNamespaceExists(ctx, ns)
	if err == nil && !exists {
		err = fmt.Errorf("%w: %s", icecat.ErrNoSuchNamespace, strings.Join(ns, "."))
	}
	return err
}

const namespaceExists = `select 1 where exists (select 1 from iceberg_namespace_properties where catalog_name = ?1 and namespace = ?2)
	or exists (select 1 from iceberg_tables where catalog_name = ?1 and table_namespace = ?2)`

// CheckNamespaceExists says whether there is a namespace.
func (c *Catalog) CheckNamespaceExists(ctx context.Context, ns table.Identifier) (exists bool, err error) {
	k, err := namespaceKey(ns)
	if err != nil || k == "" {
		return false, err
	}
	err = c.db.query(ctx, namespaceExists, []any{CatalogName, k}, func(scanner) error { exists = true; return nil })
	return exists, err
}

// LoadNamespaceProperties gives the properties of a namespace. ErrNoSuchNamespace.
func (c *Catalog) LoadNamespaceProperties(ctx context.Context, ns table.Identifier) (iceberg.Properties, error) {
	if err := c.needNamespace(ctx, ns); err != nil {
		return nil, err
	}
	return guarded(ctx, c, func(ctx context.Context) (iceberg.Properties, error) {
		return c.Catalog.LoadNamespaceProperties(ctx, ns)
	})
}

// CreateNamespace makes a namespace, whose parent exists.
func (c *Catalog) CreateNamespace(ctx context.Context, ns table.Identifier, props iceberg.Properties) error {
	if _, err := namespaceKey(ns); err != nil {
		return err
	}
	if len(ns) > 1 {
		if err := c.needNamespace(ctx, ns[:len(ns)-1]); err != nil {
			return err
		}
	}
	_, err := guarded(ctx, c, func(ctx context.Context) (any, error) { return nil, c.Catalog.CreateNamespace(ctx, ns, props) })
	return err
}

// DropNamespace removes a namespace. ErrNamespaceNotEmpty where there is something in it.
func (c *Catalog) DropNamespace(ctx context.Context, ns table.Identifier) error {
	below, err := c.Namespaces(ctx, ns, "", 1)
	if err != nil {
		return err
	}
	if len(below) > 0 {
		return fmt.Errorf("%w: %s", icecat.ErrNamespaceNotEmpty, strings.Join(ns, "."))
	}
	_, err = guarded(ctx, c, func(ctx context.Context) (any, error) { return nil, c.Catalog.DropNamespace(ctx, ns) })
	return err
}

// UpdateNamespaceProperties removes and sets properties of a namespace.
func (c *Catalog) UpdateNamespaceProperties(
	ctx context.Context, ns table.Identifier, removals []string, updates iceberg.Properties,
) (icecat.PropertiesUpdateSummary, error) {
	return guarded(ctx, c, func(ctx context.Context) (icecat.PropertiesUpdateSummary, error) {
		return c.Catalog.UpdateNamespaceProperties(ctx, ns, removals, updates)
	})
}

// guarded runs a transaction of iceberg-go's own SQL catalog under the rules of Database.write: only on a settled database,
// never cut short, and an error that may have come from COMMIT leaves the database to be settled.
func guarded[T any](ctx context.Context, c *Catalog, run func(context.Context) (T, error)) (T, error) {
	var none T
	if err := c.db.settle(ctx); err != nil {
		return none, err
	}
	v, err := run(context.WithoutCancel(ctx))
	if err == nil || slices.ContainsFunc(definite, func(d error) bool { return errors.Is(err, d) }) {
		return v, err
	}
	c.db.unsettle()
	return none, fmt.Errorf("%w: %w", ErrUnsettled, err)
}

// definite are the errors by which the SQL catalog refuses before COMMIT.
var definite = []error{
	icecat.ErrNoSuchNamespace, icecat.ErrNamespaceAlreadyExists, icecat.ErrNamespaceNotEmpty, iceberg.ErrInvalidArgument,
}

// insert makes a name for metadata, in a namespace that exists. A guest's table shares its folder with no other.
func (c *Catalog) insert(tx *sql.Tx, ident table.Identifier, kind Kind, location, folder string) error {
	ns, name, err := key(ident)
	if err != nil {
		return err
	}
	if err := tx.QueryRow(namespaceExists, CatalogName, ns).Scan(new(int)); errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("%w: %s", icecat.ErrNoSuchNamespace, ns)
	} else if err != nil {
		return err
	}
	if err := free(tx, ns, name); err != nil {
		return err
	}
	if ident[0] != Namespace {
		if err := c.alone(tx, "", "file://"+Path(folder)); err != nil {
			return err
		}
	}
	const q = `insert into iceberg_tables (catalog_name, table_namespace, table_name, metadata_location, iceberg_type)
		values (?, ?, ?, ?, ?)`
	_, err = tx.Exec(q, CatalogName, ns, name, location, kind)
	return err
}

// free refuses a name that is taken, by what has it.
func free(tx *sql.Tx, ns, name string) error {
	var kind Kind
	const q = `select coalesce(iceberg_type, 'TABLE') from iceberg_tables where catalog_name = ? and table_namespace = ? and table_name = ?`
	switch err := tx.QueryRow(q, CatalogName, ns, name).Scan(&kind); {
	case errors.Is(err, sql.ErrNoRows):
		return nil
	case err != nil:
		return err
	}
	_, taken := kind.errors()
	return fmt.Errorf("%w: %s.%s", taken, ns, name)
}

// alone refuses a folder that is, holds or is held by the folder of something other than the one at a metadata location.
// A thing's folder is what comes before /metadata/ in the location of its metadata.
func (c *Catalog) alone(tx *sql.Tx, except, folder string) error {
	var other string
	const q = `select table_namespace || '.' || table_name from (
			select *, substr(metadata_location, 1, instr(metadata_location, '/metadata/')) as folder from iceberg_tables
			where catalog_name = ?1 and metadata_location <> ?2)
		where substr(folder, 1, length(?3)) = ?3 or folder <> '' and substr(?3, 1, length(folder)) = folder limit 1`
	err := tx.QueryRow(q, CatalogName, except, folder+"/").Scan(&other)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err == nil {
		err = fmt.Errorf("%w: %s of %s", ErrLocationTaken, folder, other)
	}
	return err
}

// Drop forgets a table or view, and gives where its metadata is. Its files stay.
func (c *Catalog) Drop(ctx context.Context, ident table.Identifier, kind Kind) (string, error) {
	ns, name, err := key(ident)
	if err != nil {
		return "", err
	}
	location, err := c.Pointer(ctx, ident, kind)
	if err != nil {
		return "", err
	}
	err = c.db.write(ctx, func(tx *sql.Tx) error {
		missing, _ := kind.errors()
		if err := c.keepNamespace(tx, ns); err != nil {
			return err
		}
		const q = "delete from iceberg_tables where " + ofKind + " and table_namespace = ? and table_name = ?"
		return exactlyOne(tx, missing, strings.Join(ident, "."), q, CatalogName, kind, ns, name)
	})
	if err != nil {
		return "", fmt.Errorf("drop: %w", err)
	}
	c.loaded.Remove(strings.Join(ident, "."))
	return location, nil
}

// keepNamespace makes a namespace that exists only by what is in it exist by itself.
func (c *Catalog) keepNamespace(tx *sql.Tx, ns string) error {
	const q = `insert into iceberg_namespace_properties (catalog_name, namespace, property_key, property_value)
		select ?1, ?2, 'exists', 'true'
		where not exists (select 1 from iceberg_namespace_properties where catalog_name = ?1 and namespace = ?2)`
	_, err := tx.Exec(q, CatalogName, ns)
	return err
}

// Rename gives a table or view another name, in a namespace that exists.
func (c *Catalog) Rename(ctx context.Context, from, to table.Identifier, kind Kind) error {
	fromNS, fromName, err := key(from)
	if err != nil {
		return err
	}
	toNS, toName, err := key(to)
	if err != nil {
		return err
	}
	if _, err := c.Pointer(ctx, from, kind); err != nil {
		return err
	}
	if err := c.needNamespace(ctx, icecat.NamespaceFromIdent(to)); err != nil {
		return err
	}
	err = c.db.write(ctx, func(tx *sql.Tx) error {
		if err := free(tx, toNS, toName); err != nil {
			return err
		}
		if err := c.keepNamespace(tx, fromNS); err != nil {
			return err
		}
		missing, _ := kind.errors()
		const q = "update iceberg_tables set table_namespace = ?, table_name = ? where " + ofKind + " and table_namespace = ? and table_name = ?"
		return exactlyOne(tx, missing, strings.Join(from, "."), q, toNS, toName, CatalogName, kind, fromNS, fromName)
	})
	if err != nil {
		return fmt.Errorf("rename: %w", err)
	}
	c.loaded.Remove(strings.Join(from, "."))
	return nil
}
