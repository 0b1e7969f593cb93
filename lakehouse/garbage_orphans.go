package lakehouse

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"headless.ly/catalog"
)

// orphans is the chore that finds files of ours which no metadata has ever named: what processes that ended in the middle
// of an attempt have left. It looks through the folders of all tables once after the start. What it finds goes the way of
// garbage, so it stays for a while still.
//
// A file is an orphan if the register does not know it, its name is one that only we give, and it is older than this
// process's lock on the data folder. So files in flight are none, and neither are those of others.
type orphans struct {
	cat    *catalog.Catalog
	fs     FS
	now    func() time.Time
	locked time.Time // when this process took the lock, by the clock of the file system
	queue  []folder  // folders still to be looked through
}

// folder is one folder of a table.
type folder struct {
	table *Table
	dir   string
}

// newOrphans plans to look through the folders of the tables; through none if older versions have written files that the
// register does not know.
func newOrphans(l *Lake) *orphans {
	o := &orphans{cat: l.cat, fs: l.cfg.FS, now: l.cfg.Now, locked: l.locked}
	for _, t := range l.tables {
		root := catalog.Path(l.cat.TableLocation(t.ident))
		o.queue = append(o.queue, folder{t, filepath.Join(root, "metadata")}, folder{t, filepath.Join(root, "data")})
	}
	return o
}

func (*orphans) name() string { return "orphans" }

// backlog counts the folders still to be looked through.
func (o *orphans) backlog() int { return len(o.queue) }

// foldersATurn bounds the folders that are looked through in one turn.
const foldersATurn = 64

func (o *orphans) work(ctx context.Context) (*proposal, error) {
	if len(o.queue) == 0 {
		return nil, nil
	}
	whole, err := o.cat.RegisterIsWhole(ctx)
	if err != nil {
		return nil, err
	}
	if !whole {
		o.queue = nil
		return nil, nil
	}
	for range min(foldersATurn, len(o.queue)) {
		if err := o.sweep(ctx, o.queue[0]); err != nil {
			return nil, err
		}
		o.queue = o.queue[1:]
	}
	return nil, nil
}

// sweep looks through one folder, and plans those within it.
func (o *orphans) sweep(ctx context.Context, p folder) error {
	entries, err := o.fs.ReadDir(p.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var found []string
	var within []folder
	for _, e := range entries {
		full := filepath.Join(p.dir, e.Name())
		if e.IsDir() {
			within = append(within, folder{p.table, full})
			continue
		}
		if !p.table.wrote(e.Name()) {
			continue
		}
		info, err := o.fs.Stat(full)
		if err == nil && info.ModTime().Before(o.locked) {
			found = append(found, "file://"+filepath.ToSlash(full))
		}
	}
	unknown, err := o.cat.Unknown(ctx, p.table.Name, found)
	if err == nil && len(unknown) > 0 {
		err = o.cat.Adopt(ctx, p.table.Name, unknown, o.now().UnixMilli())
	}
	if err == nil {
		o.queue = append(o.queue, within...)
	}
	return err
}

// ownNames are the names that files get from us, but for data files, whose names begin with that of their table. A metadata
// file of that form may be another's: such a one is not deleted while anything names it.
var ownNames = regexp.MustCompile(`^(manifest|list|seqs)-[0-9a-f-]+\.(avro|json)$|^\d{5,}-[0-9a-f-]{36}\.metadata\.json$`)

var dataNames = regexp.MustCompile(`-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.parquet$`)

// wrote reports whether a file of the table's folder bears a name that we give.
func (t *Table) wrote(name string) bool {
	return ownNames.MatchString(name) || strings.HasPrefix(name, t.Name+"-") && dataNames.MatchString(name)
}
