package fault_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/mattn/go-sqlite3"

	"headless.ly/catalog/fault"
)

// ledger is a small writer on a plain SQLite database, in the manner of the log: a row is acknowledged when its commit
// has been synced; after an error it opens the database again.
type ledger struct {
	in          *fault.Injector
	vfs         *fault.VFS
	dir         string
	synchronous string
	settle      bool // checkpoint after an error, before anything else is acknowledged
	keepWAL     bool // close as a killed process does, with the write-ahead log left behind
	db          *sql.DB
	acked       map[int]bool
	unknown     map[int]bool
}

func newLedger(t *testing.T, synchronous string) *ledger {
	t.Helper()
	dir := t.TempDir()
	in := newInjector(t, dir)
	l := &ledger{in: in, vfs: in.NewVFS(false), dir: dir, synchronous: synchronous, settle: true, acked: map[int]bool{}, unknown: map[int]bool{}}
	t.Cleanup(func() {
		if err := l.vfs.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func openDB(dir, vfs, synchronous string) (*sql.DB, error) {
	uri := "file:" + filepath.Join(dir, "log.db") + "?_journal_mode=WAL&_synchronous=" + synchronous
	if vfs != "" {
		uri += "&vfs=" + vfs
	}
	db, err := sql.Open("sqlite3", uri)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	_, err = db.Exec(`PRAGMA wal_autocheckpoint=8; CREATE TABLE IF NOT EXISTS log (n INTEGER PRIMARY KEY, filler BLOB)`)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// run writes n rows, trying each until it has an answer, and closes.
func (l *ledger) run(n int) error {
	for i := 1; i <= n; i++ {
		if err := l.write(i); err != nil {
			l.unknown[i] = true
			if err := l.drop(); err != nil {
				return err
			}
			continue
		}
		l.acked[i] = true
		l.in.Mark(strconv.Itoa(i))
	}
	return l.drop()
}

func (l *ledger) write(i int) error {
	if l.db == nil {
		db, err := openDB(l.dir, l.vfs.Name(), l.synchronous)
		if err != nil {
			return err
		}
		l.db = db
		if l.keepWAL {
			if err := persistWAL(db); err != nil {
				return err
			}
		}
		if l.settle {
			if _, err := db.Exec(`PRAGMA wal_checkpoint(TRUNCATE)`); err != nil {
				return err
			}
		}
	}
	_, err := l.db.Exec(`INSERT INTO log VALUES (?, zeroblob(?))`, i, 300+i*37%3000)
	return err
}

func persistWAL(db *sql.DB) error {
	c, err := db.Conn(context.Background())
	if err != nil {
		return err
	}
	defer c.Close()
	return c.Raw(func(dc any) error {
		return dc.(*sqlite3.SQLiteConn).SetFileControlInt("", sqlite3.SQLITE_FCNTL_PERSIST_WAL, 1)
	})
}

func (l *ledger) drop() error {
	if l.db == nil {
		return nil
	}
	db := l.db
	l.db = nil
	return db.Close()
}

// rows reads the database in dir, without faults.
func rows(dir string) (map[int]bool, error) {
	db, err := openDB(dir, "", "FULL")
	if err != nil {
		return nil, err
	}
	defer db.Close()
	var verdict string
	if err := db.QueryRow(`PRAGMA integrity_check`).Scan(&verdict); err != nil || verdict != "ok" {
		return nil, fmt.Errorf("integrity check: %s, %w", verdict, err)
	}
	rs, err := db.Query(`SELECT n FROM log`)
	if err != nil {
		return nil, err
	}
	defer rs.Close()
	out := map[int]bool{}
	for rs.Next() {
		var n int
		if err := rs.Scan(&n); err != nil {
			return nil, err
		}
		out[n] = true
	}
	return out, rs.Err()
}

// lost says which rows are missing, or there without leave.
func lost(have, acked, unknown map[int]bool) error {
	var err error
	for n := range acked {
		if !have[n] {
			err = errors.Join(err, fmt.Errorf("acknowledged row %d is gone", n))
		}
	}
	for n := range have {
		if !acked[n] && !unknown[n] {
			err = errors.Join(err, fmt.Errorf("row %d was never written", n))
		}
	}
	return err
}

func (l *ledger) check(dir string, acked map[int]bool) error {
	have, err := rows(dir)
	if err != nil {
		return err
	}
	return lost(have, acked, l.unknown)
}

func TestVFSPassesThrough(t *testing.T) {
	l := newLedger(t, "FULL")
	if err := l.run(30); err != nil {
		t.Fatal(err)
	}
	if err := l.check(l.dir, l.acked); err != nil || len(l.acked) != 30 {
		t.Fatal(err, len(l.acked))
	}
	ops := map[string]int{}
	for _, r := range l.in.Trace().Records() {
		ops[string(r.Op)+" "+r.Path]++
	}
	for _, want := range []string{"create log.db", "write log.db", "sync log.db", "create log.db-wal", "write log.db-wal", "sync log.db-wal", "syncdir .", "remove log.db-wal"} {
		if ops[want] == 0 {
			t.Errorf("not in the trace: %s", want)
		}
	}
	dir, _ := replay(t, l.in.Trace(), l.in.Trace().Len(), nil)
	if err := l.check(dir, l.acked); err != nil {
		t.Error("replayed to the end:", err)
	}
}

func TestVFSReportsFaultsAsSQLiteDoes(t *testing.T) {
	for _, tt := range []struct {
		kind fault.Kind
		op   fault.Op
		want sqlite3.ErrNoExtended
	}{
		{fault.EIO, fault.Write, sqlite3.ErrIoErrWrite},
		{fault.EIO, fault.Sync, sqlite3.ErrIoErrFsync},
		{fault.NoSpace, fault.Write, sqlite3.ErrNoExtended(sqlite3.ErrFull)},
		{fault.ShortWrite, fault.Write, sqlite3.ErrNoExtended(sqlite3.ErrFull)},
		{fault.SyncKept, fault.Sync, sqlite3.ErrIoErrFsync},
	} {
		l := newLedger(t, "FULL")
		if err := l.write(1); err != nil {
			t.Fatal(err)
		}
		l.in.Arm(fault.Plan{Kind: tt.kind, N: 1, Match: func(op fault.Op, path string) bool {
			return op == tt.op && strings.HasSuffix(path, "-wal")
		}})
		err := l.write(2)
		var se sqlite3.Error
		if !errors.As(err, &se) || se.ExtendedCode != tt.want {
			t.Errorf("%s of %s: %v (%d), want %d", tt.kind, tt.op, err, se.ExtendedCode, tt.want)
		}
		if len(l.in.Fired()) != 1 {
			t.Errorf("fired: %v", l.in.Fired())
		}
		l.drop()
	}
}

func TestFailTheNthOperation(t *testing.T) {
	for _, kind := range fault.Kinds() {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			for n := 1; ; n++ {
				l := newLedger(t, "FULL")
				l.in.Arm(fault.Plan{Kind: kind, N: n})
				err := l.run(12)
				fired := l.in.Fired()
				l.in.Arm(fault.Plan{})
				if len(fired) == 0 {
					if err != nil || len(l.unknown) > 0 || n < 5 {
						t.Errorf("the clean run, n = %d: %v, %d unknown", n, err, len(l.unknown))
					}
					return
				}
				if err := l.check(l.dir, l.acked); err != nil {
					t.Errorf("n = %d, %v: %v", n, fired, err)
				}
				dir, _ := replay(t, l.in.Trace(), l.in.Trace().Len(), nil)
				if err := l.check(dir, l.acked); err != nil {
					t.Errorf("n = %d, %v, then a power cut: %v", n, fired, err)
				}
			}
		})
	}
}

func TestRevertingALargeFile(t *testing.T) {
	l := newLedger(t, "FULL")
	if err := l.write(1); err != nil {
		t.Fatal(err)
	}
	defer l.drop()
	insert := func(n int) error {
		_, err := l.db.Exec(`INSERT INTO log VALUES (?, zeroblob(1000000))`, n)
		return err
	}
	if err := insert(2); err != nil {
		t.Fatal(err)
	}
	l.in.Arm(fault.Plan{Kind: fault.SyncReverted, N: 1})
	if err := insert(3); err == nil {
		t.Error("the sync did not fail")
	}
	if err := errors.Join(insert(4), l.drop()); err != nil {
		t.Fatal(err)
	}
	if err := l.check(l.dir, map[int]bool{1: true, 2: true, 4: true}); err != nil {
		t.Error(err)
	}
}

// TestSettlingIsNeeded holds the tool against a hole that was measured: after a commit whose sync failed and a restart,
// rows written behind it are acknowledged and lost, unless a checkpoint comes first.
func TestSettlingIsNeeded(t *testing.T) {
	for _, settle := range []bool{true, false} {
		losses := 0
		for n := 1; n < 20; n++ {
			l := newLedger(t, "FULL")
			l.settle, l.keepWAL = settle, true
			l.in.Arm(fault.Plan{Kind: fault.SyncLost, N: n})
			if err := l.run(12); err != nil {
				t.Fatal(err)
			}
			dir, _ := replay(t, l.in.Trace(), l.in.Trace().Len(), nil)
			if l.check(dir, l.acked) != nil {
				losses++
			}
		}
		if settle != (losses == 0) {
			t.Errorf("settle=%v: %d losses", settle, losses)
		}
	}
}

// cuts replays power cuts at every point of the ledger's run, and gives what was lost.
func cuts(t *testing.T, l *ledger, torn bool) (errs []error) {
	tr := l.in.Trace()
	for point := 0; point <= tr.Len(); point++ {
		var r *rand.Rand
		if torn {
			r = rand.New(rand.NewPCG(uint64(point), 1))
		}
		dir, marks := replay(t, tr, point, r)
		acked := map[int]bool{}
		for _, m := range marks {
			n, _ := strconv.Atoi(m)
			acked[n] = true
		}
		have, err := rows(dir)
		may := maps.Clone(l.acked) // a row may be there before it is acknowledged
		maps.Copy(may, l.unknown)
		if err := errors.Join(err, lost(have, acked, may)); err != nil {
			errs = append(errs, fmt.Errorf("power cut at %d: %w", point, err))
		}
	}
	return errs
}

func TestPowerCuts(t *testing.T) {
	for _, torn := range []bool{false, true} {
		t.Run(fmt.Sprintf("torn=%v", torn), func(t *testing.T) {
			t.Parallel()
			l := newLedger(t, "FULL")
			if err := l.run(15); err != nil {
				t.Fatal(err)
			}
			for _, err := range cuts(t, l, torn) {
				t.Error(err)
			}
		})
	}
}

// TestPowerCutsFindALoss holds the tool itself: a database that does not sync must be caught.
func TestPowerCutsFindALoss(t *testing.T) {
	for _, synchronous := range []string{"OFF", "NORMAL"} {
		l := newLedger(t, synchronous)
		if err := l.run(15); err != nil {
			t.Fatal(err)
		}
		if len(cuts(t, l, false)) == 0 {
			t.Errorf("synchronous=%s lost nothing", synchronous)
		}
	}
}

func TestOneCounterForBoth(t *testing.T) {
	l := newLedger(t, "FULL")
	if err := l.write(1); err != nil {
		t.Fatal(err)
	}
	l.in.Arm(fault.Plan{Kind: fault.EIO, N: 3})
	f := l.in.FS()
	if err := errors.Join(f.Mkdir(filepath.Join(l.dir, "a")), f.Mkdir(filepath.Join(l.dir, "b"))); err != nil {
		t.Fatal(err)
	}
	if err := l.write(2); err == nil || l.in.Count() < 3 {
		t.Errorf("the third operation, SQLite's: %v", err)
	}
	l.drop()
}

func TestDefaultVFS(t *testing.T) {
	dir := t.TempDir()
	in := newInjector(t, dir)
	vfs := in.NewVFS(true)
	db, err := openDB(dir, "", "FULL")
	if err != nil {
		t.Fatal(err)
	}
	if err := vfs.Close(); !errors.Is(err, fault.ErrInUse) {
		t.Errorf("closed while in use: %v", err)
	}
	if in.Trace().Len() == 0 {
		t.Error("the default was not used")
	}
	if err := errors.Join(db.PingContext(context.Background()), db.Close(), vfs.Close(), vfs.Close()); err != nil {
		t.Fatal(err)
	}
	n := in.Trace().Len()
	if _, err := rows(dir); err != nil || in.Trace().Len() != n {
		t.Errorf("after Close: %v, %d more records", err, in.Trace().Len()-n)
	}
}
