package catalog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/apache/iceberg-go"
	icecat "github.com/apache/iceberg-go/catalog"
	"github.com/apache/iceberg-go/catalog/catalogtest"
	"github.com/apache/iceberg-go/table"
	"github.com/google/uuid"

	"headless.ly/catalog/fault"
)

func open(t testing.TB, cfg Config) *Database {
	t.Helper()
	if cfg.Dir == "" {
		cfg.Dir = t.TempDir()
	}
	d, err := OpenDatabase(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

// TestConformance runs iceberg-go's suite for catalogs.
func TestConformance(t *testing.T) {
	catalogtest.RunCatalogTests(t, catalogtest.Config{
		SupportsNamespaceProperties: true,
		NewCatalog:                  func(t *testing.T) icecat.Catalog { return open(t, Config{}).Iceberg() },
	})
}

var (
	things  = table.Identifier{Namespace, "things"}
	others  = table.Identifier{Namespace, "others"}
	schema1 = iceberg.NewSchema(0, iceberg.NestedField{ID: 1, Name: "id", Type: iceberg.PrimitiveTypes.String, Required: true})
)

func create(t *testing.T, c *Catalog, ident table.Identifier) *table.Table {
	t.Helper()
	tbl, err := c.CreateTable(t.Context(), ident, schema1)
	if err != nil {
		t.Fatal(err)
	}
	return tbl
}

// change gives a commit that sets a property.
func change(t *testing.T, tbl *table.Table, property string) table.TableCommit {
	t.Helper()
	tx := tbl.NewTransaction()
	if err := tx.SetProperties(iceberg.Properties{property: "yes"}); err != nil {
		t.Fatal(err)
	}
	commit, err := tx.TableCommit()
	if err != nil {
		t.Fatal(err)
	}
	return commit
}

func property(t *testing.T, c *Catalog, ident table.Identifier, name string) string {
	t.Helper()
	tbl, err := c.LoadTable(t.Context(), ident)
	if err != nil {
		t.Fatal(err)
	}
	return tbl.Properties()[name]
}

// TestSwap says that tables and seqs move together or not at all, and only from where they were.
func TestSwap(t *testing.T) {
	ctx := t.Context()
	d := open(t, Config{})
	c := d.Iceberg()
	a, b := create(t, c, things), create(t, c, others)
	stage := func(tbl *table.Table, name string) *Staged {
		s, err := c.Stage(ctx, change(t, tbl, name))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	first := []*Staged{stage(a, "one"), stage(b, "one")}
	late := stage(b, "late")
	moves := []Move{{Table: "things", Tenant: "acme", To: 5, Changed: 5}, {Table: "others", Tenant: "acme", Changed: 3}}
	if err := c.Swap(ctx, first, moves); err != nil {
		t.Fatal(err)
	}
	if property(t, c, things, "one") != "yes" || property(t, c, others, "one") != "yes" {
		t.Error("a table did not move")
	}
	again := stage(first[0].table(c), "two")
	for name, refused := range map[string]func() error{
		"old table": func() error { return c.Swap(ctx, []*Staged{again, late}, nil) },
		"old seq": func() error {
			return c.Swap(ctx, []*Staged{again}, []Move{{Table: "things", Tenant: "acme", From: 4, To: 6, Changed: 6}})
		},
		"seq exists": func() error {
			return c.Swap(ctx, []*Staged{again}, []Move{{Table: "things", Tenant: "acme", To: 6, Changed: 6}})
		},
	} {
		if err := refused(); !errors.Is(err, ErrConflict) || !errors.Is(err, table.ErrCommitFailed) {
			t.Errorf("%s: %v", name, err)
		}
		if property(t, c, things, "two") != "" {
			t.Errorf("%s: a table moved", name)
		}
	}
	next := []Move{{Table: "things", Tenant: "acme", From: 5, To: 6, Changed: 6}, {Table: "others", Tenant: "acme", To: 3, Changed: 3}}
	if err := c.Swap(ctx, []*Staged{again}, next); err != nil {
		t.Fatal(err)
	}
	published, err := d.Published(ctx)
	want := []Published{{"others", "acme", 3, 3}, {"things", "acme", 6, 6}}
	if err != nil || !slices.Equal(published, want) {
		t.Errorf("published %v, %v", published, err)
	}
}

// table gives what a staged table is once swapped.
func (s *Staged) table(c *Catalog) *table.Table {
	return table.New(s.Identifier, s.Metadata, s.Location, c.fileSystem, c)
}

// TestCommit says that commits of a loaded table come back to this catalog, that old ones are refused as conflicts, and
// that the hint follows.
func TestCommit(t *testing.T) {
	ctx := t.Context()
	c := open(t, Config{}).Iceberg()
	old := create(t, c, things)
	tx := old.NewTransaction()
	_ = tx.SetProperties(iceberg.Properties{"one": "yes"})
	now, err := tx.Commit(ctx)
	if err != nil || property(t, c, things, "one") != "yes" {
		t.Fatalf("commit: %v", err)
	}
	if again, _ := c.LoadTable(ctx, things); again.Metadata() != now.Metadata() {
		t.Error("metadata was parsed again")
	}
	stale := table.TableCommit{Identifier: things, Requirements: []table.Requirement{table.AssertTableUUID(uuid.New())}}
	if _, err := c.Stage(ctx, stale); !errors.Is(err, table.ErrCommitFailed) {
		t.Errorf("a requirement that does not hold: %v", err)
	}
	dir := filepath.Join(Path(now.Location()), "metadata")
	hint, err := os.ReadFile(filepath.Join(dir, "version-hint.text"))
	if err != nil || string(hint) != "1" {
		t.Errorf("hint %q, %v", hint, err)
	}
	linked, err := os.ReadFile(filepath.Join(dir, "v1.metadata.json"))
	named, _ := os.ReadFile(Path(now.MetadataLocation()))
	if err != nil || !bytes.Equal(linked, named) || !c.Hinted(now.MetadataLocation()) || c.Hinted(old.MetadataLocation()) {
		t.Errorf("link: %v", err)
	}
	if err := c.CommitTransaction(ctx, []table.TableCommit{change(t, now, "two")}); err != nil || property(t, c, things, "two") != "yes" {
		t.Errorf("transaction: %v", err)
	}
}

// TestRegister says that a dropped table comes back from its metadata.
func TestRegister(t *testing.T) {
	ctx := t.Context()
	c := open(t, Config{}).Iceberg()
	tbl := create(t, c, things)
	if err := c.DropTable(ctx, things); err != nil {
		t.Fatal(err)
	}
	if _, err := c.LoadTable(ctx, things); !errors.Is(err, icecat.ErrNoSuchTable) {
		t.Errorf("dropped: %v", err)
	}
	again, err := c.RegisterTable(ctx, things, tbl.MetadataLocation())
	if err != nil || again.Metadata().TableUUID() != tbl.Metadata().TableUUID() {
		t.Errorf("register: %v", err)
	}
	if _, err := c.RegisterTable(ctx, things, tbl.MetadataLocation()); !errors.Is(err, icecat.ErrTableAlreadyExists) {
		t.Errorf("register twice: %v", err)
	}
}

// TestTenants says that marks and secrets last.
func TestTenants(t *testing.T) {
	ctx := t.Context()
	dir := t.TempDir()
	d := open(t, Config{Dir: dir})
	for _, tenant := range []string{"birch", "acme", "acme", "cedar"} {
		if err := d.MarkOpen(ctx, tenant); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.MarkClosed(ctx, "cedar"); err != nil {
		t.Fatal(err)
	}
	secret, err := d.Secret(ctx, "cursor")
	if err != nil || len(secret) != 32 {
		t.Fatalf("secret %x, %v", secret, err)
	}
	other, _ := d.Secret(ctx, "other")
	_ = d.Close()
	d = open(t, Config{Dir: dir})
	again, err := d.Secret(ctx, "cursor")
	if err != nil || !bytes.Equal(secret, again) || bytes.Equal(secret, other) {
		t.Errorf("secret %x, then %x, %v", secret, again, err)
	}
	tenants, err := d.OpenTenants(ctx)
	if err != nil || !slices.Equal(tenants, []string{"acme", "birch"}) {
		t.Errorf("open tenants %v, %v", tenants, err)
	}
}

// TestNewer says that a database of a newer program is not touched.
func TestNewer(t *testing.T) {
	dir := t.TempDir()
	d := open(t, Config{Dir: dir})
	if _, err := d.db.Exec("pragma user_version = 99"); err != nil {
		t.Fatal(err)
	}
	_ = d.Close()
	if _, err := OpenDatabase(t.Context(), Config{Dir: dir}); !errors.Is(err, ErrVersion) {
		t.Errorf("error %v", err)
	}
}

// TestFailedCommit makes each operation on catalog.db fail in turn, in every way, while tenants are marked and tables swapped:
// what is reported as done is there afterwards, what is refused is not, and the database goes on.
func TestFailedCommit(t *testing.T) {
	for _, kind := range fault.Kinds() {
		t.Run(string(kind), func(t *testing.T) {
			for n := 1; ; n++ {
				if !failCommit(t, kind, n) {
					t.Logf("%d operations", n-1)
					break
				}
			}
		})
	}
}

// failCommit reports whether the n-th operation was reached.
func failCommit(t *testing.T, kind fault.Kind, n int) bool {
	ctx := context.Background()
	dir := t.TempDir()
	in, err := fault.New(dir)
	if err != nil {
		t.Fatal(err)
	}
	vfs := in.NewVFS(false)
	defer vfs.Close()
	d := open(t, Config{Dir: dir, VFS: vfs.Name()})
	c := d.Iceberg()
	tbl := create(t, c, things)
	in.Arm(fault.Plan{Kind: kind, N: n, Match: func(_ fault.Op, path string) bool { return strings.HasPrefix(path, "catalog.db") }})
	var done []string
	for i := range 4 {
		tenant := fmt.Sprint("t", i)
		if err := d.MarkOpen(ctx, tenant); err == nil {
			done = append(done, tenant)
		}
		s, err := c.Stage(ctx, change(t, tbl, tenant))
		if err != nil {
			continue // not settled yet, or cannot be read
		}
		err = c.Swap(ctx, []*Staged{s}, []Move{{Table: "things", Tenant: tenant, To: 1, Changed: 1}})
		for errors.Is(err, ErrUnsettled) {
			happened, hErr := c.Happened(ctx, []*Staged{s}, nil)
			if hErr != nil {
				continue
			}
			if err = nil; !happened {
				err = errors.New("did not happen")
			}
		}
		now, loadErr := c.LoadTable(ctx, things)
		if loadErr == nil && (now.MetadataLocation() == s.Location) != (err == nil) {
			t.Fatalf("%s at %d: swap said %v, but the table is at %s", kind, n, err, now.MetadataLocation())
		}
		if err == nil {
			tbl = now
			done = append(done, "swap "+tenant)
		}
	}
	fired := len(in.Fired()) > 0
	in.Arm(fault.Plan{})
	checkDone(t, d, done, fmt.Sprintf("%s at %d", kind, n))
	_ = d.Close()
	again := open(t, Config{Dir: dir})
	checkDone(t, again, done, fmt.Sprintf("%s at %d, reopened", kind, n))
	return fired
}

// checkDone says that the database holds exactly the swaps and at least the marks that were reported as done.
func checkDone(t *testing.T, d *Database, done []string, when string) {
	t.Helper()
	open, err := d.OpenTenants(context.Background())
	if err != nil {
		t.Fatalf("%s: %v", when, err)
	}
	published, err := d.Published(context.Background())
	if err != nil {
		t.Fatalf("%s: %v", when, err)
	}
	var have []string
	for _, p := range published {
		have = append(have, "swap "+p.Tenant)
	}
	have = append(have, open...)
	for _, what := range done {
		if !slices.Contains(have, what) {
			t.Errorf("%s: %s was reported and is not there: %v", when, what, have)
		}
	}
	for _, what := range have {
		if strings.HasPrefix(what, "swap ") && !slices.Contains(done, what) {
			t.Errorf("%s: %s was refused and is there", when, what)
		}
	}
}

// TestFolders says that a folder whose parent could not be synced is synced the next time, though it exists by then.
func TestFolders(t *testing.T) {
	files := &flaky{fail: true}
	root := t.TempDir()
	x := NewIO(files, root, nil)
	if err := x.MkdirAll(filepath.Join(root, "a", "b")); err == nil {
		t.Fatal("no error")
	}
	files.fail = false
	if err := x.WriteFile(filepath.Join(root, "a", "b", "f"), []byte("x")); err != nil {
		t.Fatal(err)
	}
	want := []string{root, filepath.Join(root, "a"), filepath.Join(root, "a", "b")}
	if !slices.Equal(files.synced, want) {
		t.Errorf("synced %v, want %v", files.synced, want)
	}
	if err := x.WriteFile(filepath.Join(root, "a", "b", "f"), nil); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a file was written over: %v", err)
	}
}

// flaky is the operating system with folders that cannot be synced at times.
type flaky struct {
	OS
	fail   bool
	synced []string
}

func (f *flaky) SyncDir(name string) error {
	if f.fail {
		return errors.New("flaky")
	}
	f.synced = append(f.synced, name)
	return f.OS.SyncDir(name)
}

// TestPath says how locations name files.
func TestPath(t *testing.T) {
	for location, want := range map[string]string{
		"file:///a/b": "/a/b", "file:/a/b": "/a/b", "/a/b": "/a/b", "file:///a%20b c": "/a%20b c",
	} {
		if got := Path(location); got != want {
			t.Errorf("%s is %s, want %s", location, got, want)
		}
	}
}

// TestNewMetadata says that field ids stay as they are, and that tables may be made side by side.
func TestNewMetadata(t *testing.T) {
	schema := iceberg.NewSchema(0, iceberg.NestedField{ID: 7, Name: "id", Type: iceberg.PrimitiveTypes.String, Required: true},
		iceberg.NestedField{ID: 3, Name: "n", Type: iceberg.PrimitiveTypes.Int64})
	spec := iceberg.NewPartitionSpec(iceberg.PartitionField{SourceIDs: []int{7}, FieldID: 1000, Name: "id", Transform: iceberg.IdentityTransform{}})
	var g sync.WaitGroup
	for range 8 {
		g.Go(func() {
			meta, err := NewMetadata(schema, spec, "file:///nowhere", iceberg.Properties{"a": "b"})
			if err != nil {
				t.Error(err)
				return
			}
			if !meta.CurrentSchema().Equals(schema) || meta.Version() != 2 || meta.LastColumnID() != 7 || meta.Properties()["a"] != "b" {
				t.Errorf("metadata %v", meta)
			}
			if s := meta.PartitionSpec(); s.Field(0).FieldID != 1000 || meta.SortOrder().Len() != 0 {
				t.Errorf("metadata %v", meta)
			}
		})
	}
	g.Wait()
}
