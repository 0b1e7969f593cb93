package fault

import (
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"syscall"
)

// Op names an operation that changes what a disk holds.
type Op string

// The operations, as they are counted and traced.
const (
	Create   Op = "create" // an open that makes the file
	Write    Op = "write"
	Truncate Op = "truncate"
	Sync     Op = "sync"
	Rename   Op = "rename"
	Link     Op = "link"
	Remove   Op = "remove"
	Mkdir    Op = "mkdir"
	SyncDir  Op = "syncdir"
	Mark     Op = "mark" // a note by the test; never counted
)

// Kind is how an operation fails.
type Kind string

// The kinds of failure. A failure that is not said to leave something behind leaves nothing.
const (
	// None lets all operations through; they are counted all the same.
	None Kind = "none"
	// EIO befalls every operation. A sync that fails so has synced nothing; a later one may.
	EIO Kind = "eio"
	// NoSpace befalls creates, writes, truncates, links, renames and mkdirs (ENOSPC, SQLITE_FULL).
	NoSpace Kind = "no-space"
	// ShortWrite befalls writes: the first half is written, then there is no space.
	ShortWrite Kind = "short-write"
	// SyncKept befalls syncs: the data did reach the disk.
	SyncKept Kind = "sync-kept"
	// SyncLost befalls syncs: the data stay readable, but are never on the disk, and later syncs succeed without them
	// (Linux marks the pages clean). They are gone after a power cut. A folder's names stay to be synced.
	SyncLost Kind = "sync-lost"
	// SyncReverted befalls syncs: like SyncLost, and the file reads as it was last synced, as if the pages had been
	// evicted and read again.
	SyncReverted Kind = "sync-reverted"
)

// Kinds gives every kind of failure.
func Kinds() []Kind {
	return []Kind{EIO, NoSpace, ShortWrite, SyncKept, SyncLost, SyncReverted}
}

func (k Kind) befalls(op Op) bool {
	switch k {
	case NoSpace:
		return slices.Contains([]Op{Create, Write, Truncate, Link, Rename, Mkdir}, op)
	case ShortWrite:
		return op == Write
	case SyncKept, SyncLost, SyncReverted:
		return op == Sync || op == SyncDir
	}
	return true
}

func (k Kind) errno() syscall.Errno {
	if k == NoSpace || k == ShortWrite {
		return syscall.ENOSPC
	}
	return syscall.EIO
}

// Plan says which operations fail, and how. The zero value lets everything through.
type Plan struct {
	Kind Kind
	N    int // the first operation to fail, counted from 1; 0: none
	// Times is how many operations in a row fail, from the N-th on; 0 means 1, a negative number all of them.
	Times int
	// Match admits the operations that are counted, by their path below the root; nil: all.
	Match func(op Op, path string) bool
}

func (p *Plan) counts(op Op, path string) bool {
	return p.Kind.befalls(op) && (p.Match == nil || p.Match(op, path))
}

func (p *Plan) fails(count int) bool {
	if p.Kind == "" || p.Kind == None || p.N == 0 || count < p.N {
		return false
	}
	return p.Times < 0 || count < p.N+max(p.Times, 1)
}

// Operation is an operation that was made to fail.
type Operation struct {
	Op   Op
	Path string // below the root, with slashes
}

func (o Operation) String() string { return fmt.Sprintf("%s %s", o.Op, o.Path) }

// Injector is a disk that can be told to fail, and remembers what was done to it. It is safe for concurrent use.
type Injector struct {
	trace *Trace

	// naming is held from a change of names until it stands in the trace, so that nobody meets a file in between and
	// takes it as given. It is the one lock under which I/O is done.
	naming sync.Mutex

	mu    sync.Mutex // guards the fields below
	plan  Plan
	count int
	fired []Operation
}

// New makes an Injector for what happens below root, which must exist. What it holds already counts as synced.
func New(root string) (*Injector, error) {
	trace, err := newTrace(root)
	if err != nil {
		return nil, fmt.Errorf("trace %s: %w", root, err)
	}
	return &Injector{trace: trace}, nil
}

// Arm begins to count anew, by this plan.
func (in *Injector) Arm(p Plan) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.plan, in.count, in.fired = p, 0, nil
}

// Count is how many operations the plan has counted since Arm.
func (in *Injector) Count() int {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.count
}

// Fired lists the operations that were made to fail since Arm. A run in which it is empty was clean.
func (in *Injector) Fired() []Operation {
	in.mu.Lock()
	defer in.mu.Unlock()
	return slices.Clone(in.fired)
}

// Trace is the record of all that succeeded since New.
func (in *Injector) Trace() *Trace { return in.trace }

// Mark puts a note into the trace. What had succeeded when Mark was called stands before it.
func (in *Injector) Mark(text string) { in.trace.mark(text) }

// decide counts an operation and says how it fails; None lets it through.
func (in *Injector) decide(op Op, path string) Kind {
	path = in.trace.rel(path)
	in.mu.Lock()
	defer in.mu.Unlock()
	if !holds(path) || !in.plan.counts(op, path) {
		return None
	}
	in.count++
	if !in.plan.fails(in.count) {
		return None
	}
	in.fired = append(in.fired, Operation{op, path})
	return in.plan.Kind
}

// fail gives the error of an operation that fails whole, and nil for None.
func (k Kind) fail(op Op, path string) error {
	if k == None {
		return nil
	}
	return &fs.PathError{Op: string(op), Path: path, Err: k.errno()}
}
