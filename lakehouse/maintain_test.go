package lakehouse

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
)

// fakeChore does what it is told.
type fakeChore struct {
	do   func() (*proposal, error)
	left int
}

func (*fakeChore) name() string { return "fake" }

func (c *fakeChore) work(context.Context) (*proposal, error) { return c.do() }

func (c *fakeChore) backlog() int { return c.left }

// employ gives the lake's maintainer one more chore. The maintainer is idle.
func employ(l *Lake, c chore) {
	l.board.enter(c.name())
	l.maintainer.duties = append(l.maintainer.duties, &duty{chore: c})
}

// copied gives the rows of a data file in a new file.
func copied(t *testing.T, l *Lake, tbl *Table, tenant, path string) iceberg.DataFile {
	t.Helper()
	rows, err := tbl.readFile(t.Context(), l.cat.IO(), path, l.mem)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Release()
	p := placement{tenant: tenant, date: startMS / dayMS, name: fmt.Sprintf("%s-copy-%d.parquet", tbl.Name, time.Now().UnixNano())}
	f, err := tbl.writeFile(l.cat.IO(), l.cat.Location()+"/"+tbl.Name, p, rows, l.mem)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestProposal says that what a chore proposes is committed in a commit of its own, on top of what is current then, that the
// views follow, and that an overtaken proposal is told so and changes nothing.
func TestProposal(t *testing.T) {
	log := newFakeLog()
	dir := t.TempDir()
	l := openLake(t, dir, log, withTwoNouns(t))
	log.contact("acme", 1, "a")
	log.contact("birch", 1, "b")
	publish(t, l)
	for _, tbl := range l.tables[:2] {
		old := slices.DeleteFunc(currentFiles(t, l, tbl.Name), func(f string) bool { return !strings.Contains(f, "tenant=acme") })[0]
		fresh := copied(t, l, tbl, "acme", "file://"+old)
		var outcomes []bool
		left := 2
		employ(l, &fakeChore{do: func() (*proposal, error) {
			if left == 0 {
				return nil, nil
			}
			left--
			return &proposal{table: tbl, tenants: []string{"acme"}, done: func(committed bool) { outcomes = append(outcomes, committed) },
				check: func(current) ([]edit, error) {
					return []edit{{operation: table.OpReplace, adds: []iceberg.DataFile{fresh}, removes: []string{"file://" + old}}}, nil
				}}, nil
		}})
		for range 3 {
			if err := l.Maintain(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		l.maintainer.duties, l.board.chores = nil, nil
		if !slices.Equal(outcomes, []bool{true, false}) {
			t.Errorf("%s: outcomes %v", tbl.Name, outcomes)
		}
		check(t, l, log)
		if files := currentFiles(t, l, tbl.Name); slices.Contains(files, old) || len(files) != 2 {
			t.Errorf("%s: files %v", tbl.Name, files)
		}
	}
	log.contact("acme", 2, "c")
	publish(t, l)
	check(t, l, log)
	_ = l.Close()
	check(t, openLake(t, dir, log, withTwoNouns(t)), log)
}

// TestChoreFails says that a chore that fails is shown, stops neither the others nor publishing, and is tried again.
func TestChoreFails(t *testing.T) {
	log := newFakeLog()
	l := openLake(t, t.TempDir(), log, withTwoNouns(t))
	failing := true
	employ(l, &fakeChore{left: 3, do: func() (*proposal, error) {
		if failing {
			return nil, errFake
		}
		return nil, nil
	}})
	if err := l.Maintain(t.Context()); !errors.Is(err, errFake) {
		t.Errorf("error %v", err)
	}
	status := func() ChoreStatus {
		all := l.Maintenance()
		return all[len(all)-1]
	}
	if s := status(); s.State != ChoreFailing || s.Error == "" || s.Backlog != 3 || s.LastRun.IsZero() || !s.NextRun.After(s.LastRun) {
		t.Errorf("%+v", s)
	}
	failing = false
	if err := l.Maintain(t.Context()); err != nil {
		t.Error(err)
	}
	if s := status(); s.State != ChoreIdle || s.Error != "" {
		t.Errorf("%+v", s)
	}
	_ = l.Close()
	if err := l.Maintain(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("after close: %v", err)
	}
}
