package lakehouse

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/iceberg-go"
	sqlcat "github.com/apache/iceberg-go/catalog/sql"
	"github.com/apache/iceberg-go/table"

	"headless.ly/catalog"
)

// guestEnv makes this binary a program of somebody else's that shares nothing with the lake but its folder: a line each, the
// data folder, what to do to events, and with what.
const guestEnv = "LAKEHOUSE_TEST_GUEST"

// guestRows are the rows that a guest appends.
const guestRows = 3

func TestMain(m *testing.M) {
	if order := strings.Split(os.Getenv(guestEnv), "\n"); len(order) == 3 {
		if err := beGuest(context.Background(), order[0], order[1], order[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// beGuest opens the catalog as iceberg-go's SQL catalog and commits to events.
func beGuest(ctx context.Context, dir, action, with string) error {
	db, err := sql.Open("sqlite3", "file:"+filepath.Join(dir, "catalog.db")+"?_busy_timeout=5000&_txlock=immediate")
	if err != nil {
		return err
	}
	defer db.Close()
	cat, err := sqlcat.NewCatalog(catalog.CatalogName, db, sqlcat.SQLite, iceberg.Properties{"init_catalog_tables": "false"})
	if err != nil {
		return err
	}
	tbl, err := cat.LoadTable(ctx, table.Identifier{catalog.Namespace, eventsTable})
	if err != nil {
		return err
	}
	tx := tbl.NewTransaction()
	if action == "drop" {
		err = tx.UpdateSchema(true, true).DeleteColumn([]string{with}).Commit()
	} else {
		err = appendAsGuest(ctx, tx, dir, tbl.Location(), with)
	}
	if err != nil {
		return err
	}
	_, err = tx.Commit(ctx)
	return err
}

func appendAsGuest(ctx context.Context, tx *table.Transaction, dir, location, number string) error {
	events, err := newTable(eventsTable, nil, EventColumns())
	if err != nil {
		return err
	}
	var rows []*Event
	for i := range guestRows {
		rows = append(rows, &Event{Seq: int64(i + 1), ID: fmt.Sprint("evt_", i), Kind: KindMutation, Type: "Contact.create",
			Entity: "Contact", Target: "contact_00000001", Timestamp: startMS, Version: 1, Data: []byte("{}")})
	}
	batch := events.eventRows("guest", rows, mem)
	defer batch.Release()
	p := placement{tenant: "guest", date: arrow.Date32FromTime(time.UnixMilli(startMS)), name: "theirs-" + number + ".parquet"}
	file, err := events.writeFile(catalog.NewIO(catalog.OS{}, dir, nil), location, p, batch, mem)
	if err != nil {
		return err
	}
	return tx.AddDataFiles(ctx, []iceberg.DataFile{file}, nil, table.WithoutDuplicateCheck(), table.WithoutAutoNameMapping())
}
