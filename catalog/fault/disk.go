package fault

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
)

// sector is the unit in which a disk writes: a write in flight when the power goes off survives in whole sectors.
const sector = 512

// Replay builds in dir, which must be empty or absent, the folder as a disk might hold it had the power gone off when the
// trace was point records long. With r nil only what was synced survives; else a random part of the rest does too. It
// returns the marks made by then.
func (t *Trace) Replay(point int, dir string, r *rand.Rand) ([]string, error) {
	records := t.history()
	end := t.given + point
	if point < 0 || end > len(records) {
		return nil, fmt.Errorf("replay: point %d of %d", point, len(records)-t.given)
	}
	d := newDisk(records, end)
	if r != nil {
		d.tear(r)
	}
	if err := d.store(rootNode, dir); err != nil {
		return nil, fmt.Errorf("replay: %w", err)
	}
	var marks []string
	for _, rec := range records[:end] {
		if rec.Op == Mark {
			marks = append(marks, rec.Text)
		}
	}
	return marks, nil
}

// disk is what is durable of a trace, and what is pending.
type disk struct {
	records []Record
	nodes   map[node]*inode
	renamed map[int]bool // the renames between folders that are durable
}

// inode is a file or a folder.
type inode struct {
	data    []byte          // of a file: its durable content
	entries map[string]node // of a folder: its durable names; nil for a file
	pending []int           // records about its content, or its names, that no sync has covered yet
}

// newDisk plays the records before point.
func newDisk(records []Record, point int) *disk {
	root := &inode{entries: map[string]node{}}
	d := &disk{records, map[node]*inode{rootNode: root}, map[int]bool{}}
	for i := range records[:point] {
		d.play(i)
	}
	return d
}

func (d *disk) play(i int) {
	r := &d.records[i]
	switch r.Op {
	case Create:
		d.nodes[r.file] = &inode{data: slices.Clone(r.Data)}
		d.pendName(i)
	case Mkdir:
		d.nodes[r.file] = &inode{entries: map[string]node{}}
		d.pendName(i)
	case Link, Remove, Rename:
		d.pendName(i)
	case Write, Truncate:
		f := d.nodes[r.file]
		f.pending = append(f.pending, i)
	case Sync, SyncDir:
		d.settle(d.nodes[r.file], r.covers, r.Lost)
	}
}

// pendName queues a change of names with the folders it concerns, or does it at once for what was given.
func (d *disk) pendName(i int) {
	r := &d.records[i]
	if r.Given {
		d.apply(i)
		return
	}
	dirs := []node{r.dir}
	if r.Op == Rename && r.fromDir != r.dir {
		dirs = append(dirs, r.fromDir)
	}
	for _, n := range dirs {
		d.nodes[n].pending = append(d.nodes[n].pending, i)
	}
}

// settle makes durable (or, if lost, forgets) what was pending when a sync began.
func (d *disk) settle(f *inode, covers int, lost bool) {
	n := 0
	for n < len(f.pending) && f.pending[n] < covers {
		n++
	}
	covered := f.pending[:n]
	f.pending = f.pending[n:]
	if lost {
		return
	}
	for _, i := range covered {
		d.apply(i)
	}
}

// apply makes one record durable.
func (d *disk) apply(i int) {
	r := &d.records[i]
	name := path.Base(r.Path)
	switch r.Op {
	case Create, Mkdir, Link:
		d.nodes[r.dir].entries[name] = r.file
	case Remove:
		delete(d.nodes[r.dir].entries, name)
	case Rename:
		d.applyRename(i, r)
	case Write:
		d.nodes[r.file].put(r.Offset, r.Data)
	case Truncate:
		d.nodes[r.file].resize(r.Offset)
	}
}

// applyRename makes a rename durable. One between folders becomes so, whole, when either is synced; applied again for
// the other, it only takes away the old name, should the sync have brought that back.
func (d *disk) applyRename(i int, r *Record) {
	from, old := d.nodes[r.fromDir].entries, path.Base(r.From)
	if from[old] == r.file {
		delete(from, old)
	}
	if !d.renamed[i] {
		d.renamed[i] = true
		d.nodes[r.dir].entries[path.Base(r.Path)] = r.file
	}
}

func (f *inode) put(offset int64, data []byte) {
	if end := offset + int64(len(data)); end > int64(len(f.data)) {
		f.resize(end)
	}
	copy(f.data[offset:], data)
}

func (f *inode) resize(size int64) {
	if size <= int64(len(f.data)) {
		f.data = f.data[:size]
		return
	}
	f.data = append(f.data, make([]byte, size-int64(len(f.data)))...)
}

// tear makes a random part of what is pending durable.
func (d *disk) tear(r *rand.Rand) {
	for _, n := range slices.Sorted(maps.Keys(d.nodes)) {
		f := d.nodes[n]
		pending := f.pending
		f.pending = nil
		if f.entries != nil {
			for _, i := range pending[:r.IntN(len(pending)+1)] {
				d.apply(i)
			}
			continue
		}
		share := r.Float64() * 1.25 // of the sectors that survive; one time in five all of them
		for _, i := range pending {
			d.tearContent(&d.records[i], f, r, share)
		}
	}
}

func (d *disk) tearContent(rec *Record, f *inode, r *rand.Rand, share float64) {
	if rec.Op == Truncate {
		if r.Float64() < share {
			f.resize(rec.Offset)
		}
		return
	}
	for at := rec.Offset; at < rec.Offset+int64(len(rec.Data)); {
		end := min((at/sector+1)*sector, rec.Offset+int64(len(rec.Data)))
		if r.Float64() < share {
			f.put(at, rec.Data[at-rec.Offset:end-rec.Offset])
		}
		at = end
	}
}

// store writes a node and all that its durable names reach.
func (d *disk) store(n node, to string) error {
	f := d.nodes[n]
	if f.entries == nil {
		return os.WriteFile(to, f.data, 0o644)
	}
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(f.entries)) {
		if err := d.store(f.entries[name], filepath.Join(to, name)); err != nil {
			return err
		}
	}
	return nil
}
