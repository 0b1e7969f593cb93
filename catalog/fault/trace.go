package fault

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// node numbers a file or folder for as long as the trace lives, whatever its names. The root is node 1; 0 is none.
type node int

const rootNode node = 1

// Record is one operation that succeeded, or a mark.
type Record struct {
	Op     Op
	Path   string // below the root, with slashes; of a Rename or Link the new one; of content the one it was opened by
	From   string // of a Rename or Link
	Offset int64  // of a Write; of a Truncate the new size
	Data   []byte // of a Write
	Text   string // of a Mark
	// Given says of a Create or Mkdir that the file or folder was there when the trace first met it: it counts as synced.
	Given bool
	// Lost says of a Sync that it failed and took what it should have synced with it.
	Lost bool

	file    node // what the operation is about; of Remove none
	dir     node // the folder that holds Path
	fromDir node // the folder that holds From
	covers  int  // of Sync and SyncDir: records before this one had been done when it began
}

// Trace is all that succeeded below a root folder, in order. It is safe for concurrent use and only grows.
type Trace struct {
	root  string // as it was given, absolute
	real  string // with symbolic links resolved: SQLite resolves them
	given int    // records of what the root held in the beginning; they are not counted

	mu      sync.Mutex // guards the fields below
	records []Record
	names   map[string]node // what each path names now
	last    node
}

func newTrace(root string) (*Trace, error) {
	abs, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	resolved, err := filepath.EvalSymlinks(abs)
	if err != nil {
		return nil, err
	}
	t := &Trace{root: abs, real: resolved, names: map[string]node{".": rootNode}, last: rootNode}
	if err := t.scan(); err != nil {
		return nil, err
	}
	t.given = len(t.records)
	return t, nil
}

// scan takes what the root holds as given.
func (t *Trace) scan() error {
	return fs.WalkDir(os.DirFS(t.real), ".", func(p string, e fs.DirEntry, err error) error {
		if err != nil || p == "." || !(e.IsDir() || e.Type().IsRegular()) {
			return err
		}
		return t.meet(p)
	})
}

// rel is a path below the root, with slashes; a path that is elsewhere is returned as it is.
func (t *Trace) rel(name string) string {
	if abs, err := filepath.Abs(name); err == nil {
		for _, root := range []string{t.root, t.real} {
			if r, err := filepath.Rel(root, abs); err == nil && filepath.IsLocal(r) {
				return filepath.ToSlash(r)
			}
		}
	}
	return name
}

// holds says whether a path that rel gave is below the root.
func holds(p string) bool { return filepath.IsLocal(p) }

// Len is the number of records so far.
func (t *Trace) Len() int { return t.now() - t.given }

// Records gives what has been recorded so far. The records are shared and must not be changed.
func (t *Trace) Records() []Record { return t.history()[t.given:] }

// history is all records, those of the beginning included.
func (t *Trace) history() []Record {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clip(t.records)
}

// now is the length of the history.
func (t *Trace) now() int { return len(t.history()) }

func (t *Trace) mark(text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.records = append(t.records, Record{Op: Mark, Text: text})
}

// open gives the node of an existing file, and reads it if the trace has not met it before.
func (t *Trace) open(name string) (node, error) {
	p := t.rel(name)
	if !holds(p) {
		return 0, nil
	}
	if err := t.meet(p); err != nil {
		return 0, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.names[p], nil
}

// meet takes a file or folder as given unless it is known.
func (t *Trace) meet(p string) error {
	t.mu.Lock()
	_, known := t.names[p]
	t.mu.Unlock()
	if known {
		return nil
	}
	r := Record{Op: Mkdir, Path: p, Given: true}
	full := filepath.Join(t.real, filepath.FromSlash(p))
	info, err := os.Stat(full)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		r.Op = Create
		if r.Data, err = os.ReadFile(full); err != nil {
			return err
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, known := t.names[p]; !known {
		t.name(r)
	}
	return nil
}

// create records a new file; the caller has made it.
func (t *Trace) create(name string) node {
	return t.named(Record{Op: Create}, name)
}

// mkdir records a new folder; the caller has made it.
func (t *Trace) mkdir(name string) { t.named(Record{Op: Mkdir}, name) }

func (t *Trace) named(r Record, name string) node {
	r.Path = t.rel(name)
	if !holds(r.Path) {
		return 0
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.name(r)
}

// name numbers and records a Create or Mkdir. The caller holds mu.
func (t *Trace) name(r Record) node {
	r.dir = t.folder(path.Dir(r.Path))
	t.last++
	r.file = t.last
	t.names[r.Path] = r.file
	t.records = append(t.records, r)
	return r.file
}

// folder is the node of a folder; one that the trace has not met counts as given, and so do its parents. The caller
// holds mu.
func (t *Trace) folder(p string) node {
	if n, ok := t.names[p]; ok {
		return n
	}
	return t.name(Record{Op: Mkdir, Path: p, Given: true})
}

// remove records that a name is gone; the caller has removed it.
func (t *Trace) remove(name string) {
	p := t.rel(name)
	if !holds(p) {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.records = append(t.records, Record{Op: Remove, Path: p, dir: t.folder(path.Dir(p))})
	delete(t.names, p)
}

// rename records a rename or a link; the caller has done it, and has met the file before.
func (t *Trace) rename(op Op, from, to string) {
	r := Record{Op: op, From: t.rel(from), Path: t.rel(to)}
	if !holds(r.From) || !holds(r.Path) {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	r.dir, r.fromDir = t.folder(path.Dir(r.Path)), t.folder(path.Dir(r.From))
	r.file = t.names[r.From]
	t.records = append(t.records, r)
	if op == Link {
		t.names[r.Path] = r.file
		return
	}
	t.move(r.From, r.Path)
}

// move gives a file, or a folder with all it holds, its new path. The caller holds mu.
func (t *Trace) move(from, to string) {
	moved := map[string]node{to: t.names[from]}
	for p, n := range t.names {
		if rest, below := strings.CutPrefix(p, from+"/"); below {
			moved[to+"/"+rest] = n
			delete(t.names, p)
		}
	}
	delete(t.names, from)
	for p, n := range moved {
		t.names[p] = n
	}
}

// content records a Write or Truncate of a file; data is copied.
func (t *Trace) content(r Record, file node) {
	if file == 0 {
		return
	}
	r.file, r.Path, r.Data = file, t.rel(r.Path), slices.Clone(r.Data)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.records = append(t.records, r)
}

// synced records a sync of a file or folder that began when the trace was as long as covers.
func (t *Trace) synced(r Record, file node, covers int) {
	if file == 0 {
		return
	}
	r.file, r.Path, r.covers = file, t.rel(r.Path), covers
	t.mu.Lock()
	defer t.mu.Unlock()
	t.records = append(t.records, r)
}

// syncedDir records a sync of a folder that began when the trace was as long as covers.
func (t *Trace) syncedDir(name string, covers int) {
	p := t.rel(name)
	if !holds(p) {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.records = append(t.records, Record{Op: SyncDir, Path: p, file: t.folder(p), covers: covers})
}

// durable is the content of a file that a power cut now would leave for certain.
func (t *Trace) durable(file node) []byte {
	records := t.history()
	return newDisk(records, len(records)).nodes[file].data
}
