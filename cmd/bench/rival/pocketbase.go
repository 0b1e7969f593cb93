package rival

import (
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"

	"github.com/pocketbase/dbx"
	"github.com/pocketbase/pocketbase/apis"
	"github.com/pocketbase/pocketbase/core"
	_ "github.com/pocketbase/pocketbase/migrations" // its own tables
	"github.com/pocketbase/pocketbase/tools/types"
)

// Collection is where PocketBase keeps the contacts.
const Collection = "contacts"

// Stages are the values that a contact's stage may have, in the product and here.
var Stages = []string{"Lead", "Qualified", "Customer", "Churned", "Partner"}

// PocketBase serves a collection that anyone may read and write, in the folder data. Its settings are the default ones,
// with which a commit does not wait for the disk (SQLite's synchronous=NORMAL); full makes it wait, as the product does
// (synchronous=FULL).
func PocketBase(out io.Writer, data string, full bool) error {
	cfg := core.BaseAppConfig{DataDir: data}
	if full {
		cfg.DBConnect = connectFull
	}
	app := core.NewBaseApp(cfg)
	if err := app.Bootstrap(); err != nil {
		return fmt.Errorf("start PocketBase: %w", err)
	}
	if err := app.RunAllMigrations(); err != nil {
		return fmt.Errorf("start PocketBase: %w", err)
	}
	if err := app.Save(contacts()); err != nil {
		return fmt.Errorf("make PocketBase's collection: %w", err)
	}
	app.OnServe().BindFunc(func(e *core.ServeEvent) error {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		e.Listener, e.InstallerFunc = listener, nil
		if err := e.Next(); err != nil {
			return err
		}
		fmt.Fprintf(out, "listening on http://%s\n", listener.Addr())
		return nil
	})
	return apis.Serve(app, apis.ServeConfig{})
}

// contacts has the fields that the bench writes, and as the product's Contact a unique email and a closed set of stages.
func contacts() *core.Collection {
	c := core.NewBaseCollection(Collection)
	c.ListRule, c.ViewRule, c.CreateRule, c.UpdateRule = types.Pointer(""), types.Pointer(""), types.Pointer(""), types.Pointer("")
	c.Fields.Add(
		&core.TextField{Name: "name", Required: true},
		&core.TextField{Name: "email"},
		&core.TextField{Name: "phone"},
		&core.TextField{Name: "title"},
		&core.TextField{Name: "department"},
		&core.SelectField{Name: "stage", Values: Stages, MaxSelect: 1},
		&core.TextField{Name: "source"},
		&core.NumberField{Name: "leadScore"},
	)
	c.AddIndex("contacts_email", true, "email", "")
	return c
}

// connectFull is PocketBase's own way to connect, but that commits to the records' database wait for the disk.
func connectFull(path string) (*dbx.DB, error) {
	if filepath.Base(path) != "data.db" {
		return core.DefaultDBConnect(path) // its request log
	}
	pragmas := []string{
		"busy_timeout(10000)", "journal_mode(WAL)", "journal_size_limit(200000000)", "synchronous(FULL)",
		"foreign_keys(ON)", "temp_store(MEMORY)", "cache_size(-32000)",
	}
	return dbx.Open("sqlite", path+"?_pragma="+strings.Join(pragmas, "&_pragma="))
}
