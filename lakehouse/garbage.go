package lakehouse

import (
	"context"
	"errors"
	"fmt"
	"path"
	"time"

	"headless.ly/catalog"
)

// garbagePage is how many files are deleted in one turn of maintenance.
const garbagePage = 256

// garbage is the chore that deletes files which nothing has named for a while: readers that began with an older snapshot or
// metadata file keep what they read (correctness 15). What a pinned View holds stays until it is released.
type garbage struct {
	cat    *catalog.Catalog
	ledger *ledger
	now    func() time.Time
	keep   time.Duration
	left   int
}

func (*garbage) name() string { return "garbage" }

// backlog counts the files whose time is over.
func (g *garbage) backlog() int { return g.left }

func (g *garbage) work(ctx context.Context) (*proposal, error) {
	since := g.now().Add(-g.keep).UnixMilli()
	files, err := g.cat.Gone(ctx, since, garbagePage+g.ledger.retired())
	if err != nil {
		return nil, err
	}
	var deleted []catalog.Entry
	var errs []error
	for _, f := range files {
		if g.ledger.holds(f.Location) {
			continue
		}
		switch err := g.cat.Delete(ctx, f); {
		case err == nil:
			deleted = append(deleted, f)
		case !errors.Is(err, catalog.ErrNamed):
			errs = append(errs, fmt.Errorf("delete %s: %w", path.Base(f.Location), err))
		}
	}
	if len(deleted) > 0 {
		errs = append(errs, g.cat.Forget(ctx, deleted))
	}
	g.left, err = g.cat.CountGone(ctx, since)
	return nil, errors.Join(append(errs, err)...)
}
