package ingest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"database/sql/driver"

	"headless.ly/catalog/noun"
)

// logFile is where a tenant's log lives.
func logFile(dir, tenant string) string { return filepath.Join(dir, "tenants", tenant, "log.db") }

// createLog makes a tenant's folder and an empty log, and makes both durable before it returns (correctness 7).
func createLog(dir, tenant, vfs string, ids noun.EventIDs) (*conn, error) {
	path := logFile(dir, tenant)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("create log: %w", err)
	}
	c, err := openConn(path, vfs, "rwc", false)
	if err != nil {
		return nil, err
	}
	if err = c.makeTables(tenant, ids); err == nil {
		err = errors.Join(syncDir(filepath.Dir(path)), syncDir(filepath.Join(dir, "tenants")), syncDir(dir))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("create log of %s: %w", tenant, err), c.close())
	}
	return c, nil
}

// makeTables makes an empty log in one transaction.
func (c *conn) makeTables(tenant string, ids noun.EventIDs) error {
	const about = "INSERT OR REPLACE INTO meta VALUES ('format', %d), ('tenant', '%s'), ('ids', %d); COMMIT;"
	return c.script("BEGIN IMMEDIATE;" + schema + fmt.Sprintf(about, formatVersion, tenant, ids))
}

// eventIDs reads the offset of the log's event ids.
func (c *conn) eventIDs() (noun.EventIDs, error) {
	offset, found, err := c.getInt(sqlGetMeta, "ids")
	if err == nil && !found {
		err = fmt.Errorf("meta has no ids: %w", ErrCorrupt)
	}
	return noun.EventIDs(offset), err
}

// eventSeq reads from an id for which event it was made, and whether the log has it.
func (c *conn) eventSeq(id string) (seq int64, found bool, err error) {
	ids, err := c.eventIDs()
	if err != nil {
		return 0, false, err
	}
	seq, ok := ids.Seq(id)
	if !ok {
		return 0, false, nil
	}
	_, found, err = c.getInt(sqlGetEventID, seq, id)
	return seq, found, err
}

// openLog opens an existing log for its writer and brings it to a known, durable state: what the write-ahead log holds
// moves to the file, and the write-ahead log ends empty.
func openLog(dir, tenant, vfs string) (*conn, error) {
	c, err := openConn(logFile(dir, tenant), vfs, "rw", false)
	if err != nil {
		return nil, err
	}
	err = c.checkpoint("TRUNCATE")
	if err == nil {
		err = c.checkFormat(tenant)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open log of %s: %w", tenant, err), c.close())
	}
	return c, nil
}

// checkFormat refuses a log this program does not understand, and finishes one whose creation was cut short.
func (c *conn) checkFormat(tenant string) error {
	if _, made, err := c.getInt("SELECT count(*) FROM sqlite_schema WHERE name = 'meta' HAVING count(*) > 0"); err != nil {
		return err
	} else if !made {
		return c.makeTables(tenant, noun.NewEventIDs())
	}
	v, _, err := c.getInt(sqlGetMeta, "format")
	if err != nil {
		return err
	}
	if v != formatVersion && v != trimmedVersion {
		return fmt.Errorf("log format %d; this program reads %d and %d", v, formatVersion, trimmedVersion)
	}
	return nil
}

// seal makes a commit of its own. Behind a failed one it keeps what that one left in an old write-ahead log from coming
// back after a power cut: neither the log's removal nor its truncation is durable by itself.
func (c *conn) seal() error { return c.exec(sqlPutMeta, "sealed", time.Now().UnixMilli()) }

// errCheckpointBusy says that a reader kept a checkpoint from finishing.
var errCheckpointBusy = errors.New("checkpoint: a reader is in the way")

// checkpoint moves committed pages from the write-ahead log to the file: PASSIVE as far as nobody is disturbed, TRUNCATE
// wholly.
func (c *conn) checkpoint(mode string) error {
	return c.query("PRAGMA wal_checkpoint("+mode+")", func(v []driver.Value) error {
		if mode == "TRUNCATE" && v[0].(int64) != 0 {
			return errCheckpointBusy
		}
		return nil
	})
}

// syncDir makes a folder's entries durable.
func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// transact runs f inside one transaction. committed is false when the file is certain not to hold it; unknown is true when
// the transaction was being committed, or could not be rolled back, and only looking can tell.
func (c *conn) transact(f func() error) (unknown bool, err error) {
	if err := c.exec("BEGIN IMMEDIATE"); err != nil {
		return !c.db.AutoCommit(), err
	}
	if err := f(); err != nil {
		if !c.db.AutoCommit() {
			if rerr := c.exec("ROLLBACK"); rerr != nil {
				return true, errors.Join(err, rerr)
			}
		}
		return false, err
	}
	if err := c.exec("COMMIT"); err != nil {
		return true, err
	}
	return false, nil
}
