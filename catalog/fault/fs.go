package fault

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// FS is an Injector as Go code sees it: the functions of package os that change a disk, and those that go with them. It
// has the methods of catalog.FS; only Open and Create need an adapter, since they return this package's File. Reads are
// passed on to the operating system.
type FS struct{ in *Injector }

// FS gives the injector's file system.
func (in *Injector) FS() FS { return FS{in} }

// Open opens a file for reading.
func (f FS) Open(name string) (*File, error) { return f.OpenFile(name, os.O_RDONLY, 0) }

// Create makes a new file; fs.ErrExist if the name is taken.
func (f FS) Create(name string) (*File, error) {
	return f.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
}

// ReadDir is os.ReadDir.
func (f FS) ReadDir(name string) ([]fs.DirEntry, error) { return os.ReadDir(name) }

// Stat is os.Stat.
func (f FS) Stat(name string) (fs.FileInfo, error) { return os.Stat(name) }

// OpenFile opens a file as os.OpenFile does. Making the file and truncating it are counted as such.
func (f FS) OpenFile(name string, flag int, perm fs.FileMode) (*File, error) {
	f.in.naming.Lock()
	defer f.in.naming.Unlock()
	_, err := os.Lstat(name)
	if err != nil && flag&os.O_CREATE != 0 {
		return f.create(name, flag, perm)
	}
	if err != nil {
		return nil, err
	}
	if flag&os.O_EXCL != 0 {
		return nil, taken(Create, name)
	}
	known, err := f.met(name, flag)
	if err != nil {
		return nil, err
	}
	c, err := os.OpenFile(name, flag&^os.O_TRUNC, perm)
	if err != nil {
		return nil, err
	}
	file := &File{in: f.in, file: c, node: known, appends: flag&os.O_APPEND != 0}
	if flag&os.O_TRUNC != 0 {
		if err := file.Truncate(0); err != nil {
			return nil, errors.Join(err, c.Close())
		}
	}
	return file, nil
}

// met gives the node of a file that is opened to be changed.
func (f FS) met(name string, flag int) (node, error) {
	if flag&(os.O_WRONLY|os.O_RDWR) == 0 {
		return 0, nil
	}
	return f.in.trace.open(name)
}

func (f FS) create(name string, flag int, perm fs.FileMode) (*File, error) {
	if err := f.in.decide(Create, name).fail(Create, name); err != nil {
		return nil, err
	}
	c, err := os.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return &File{in: f.in, file: c, node: f.in.trace.create(name), appends: flag&os.O_APPEND != 0}, nil
}

// Mkdir makes one folder; fs.ErrExist if the name is taken, which is not counted.
func (f FS) Mkdir(name string) error {
	if err := free(Mkdir, name); err != nil {
		return err
	}
	return f.in.change(Mkdir, name, func() error { return os.Mkdir(name, 0o755) }, func() { f.in.trace.mkdir(name) })
}

// MkdirAll is os.MkdirAll, one Mkdir for each folder that is missing. It syncs none of them.
func (f FS) MkdirAll(name string) error {
	if info, err := os.Stat(name); err == nil && info.IsDir() {
		return nil
	}
	if parent := filepath.Dir(name); parent != name {
		if err := f.MkdirAll(parent); err != nil {
			return err
		}
	}
	if err := f.Mkdir(name); !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// Remove is os.Remove. Removing what is not there is not counted.
func (f FS) Remove(name string) error {
	if _, err := os.Lstat(name); err != nil {
		return err
	}
	return f.in.change(Remove, name, func() error { return os.Remove(name) }, func() { f.in.trace.remove(name) })
}

// RemoveAll is os.RemoveAll, one Remove for each file and folder, the deepest first.
func (f FS) RemoveAll(name string) error {
	info, err := os.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.IsDir() {
		entries, err := os.ReadDir(name)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if err := f.RemoveAll(filepath.Join(name, e.Name())); err != nil {
				return err
			}
		}
	}
	return f.Remove(name)
}

// Rename is os.Rename.
func (f FS) Rename(from, to string) error { return f.moves(Rename, from, to, os.Rename) }

// Link gives a file a second name; fs.ErrExist if it is taken, which is not counted.
func (f FS) Link(from, to string) error {
	if err := free(Link, to); err != nil {
		return err
	}
	return f.moves(Link, from, to, os.Link)
}

// free gives an error if the name is taken.
func free(op Op, name string) error {
	if _, err := os.Lstat(name); err != nil {
		return nil
	}
	return taken(op, name)
}

func taken(op Op, name string) error {
	return &fs.PathError{Op: string(op), Path: name, Err: fs.ErrExist}
}

func (f FS) moves(op Op, from, to string, do func(from, to string) error) error {
	return f.in.change(op, to, func() error {
		if _, err := f.in.trace.open(from); err != nil {
			return err
		}
		return do(from, to)
	}, func() { f.in.trace.rename(op, from, to) })
}

// SyncDir syncs the names in a folder.
func (f FS) SyncDir(name string) error { return f.in.syncDir(name) }

// WriteFile is os.WriteFile: it does not sync.
func (f FS) WriteFile(name string, data []byte, perm fs.FileMode) error {
	file, err := f.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, perm)
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	return errors.Join(err, file.Close())
}

// change does and records one change of names.
func (in *Injector) change(op Op, name string, do func() error, record func()) error {
	in.naming.Lock()
	defer in.naming.Unlock()
	if err := in.decide(op, name).fail(op, name); err != nil {
		return err
	}
	if err := do(); err != nil {
		return err
	}
	record()
	return nil
}

// syncDir syncs a folder. A sync that fails leaves the names to be synced, but for SyncKept.
func (in *Injector) syncDir(name string) error {
	covers := in.trace.now()
	kind := in.decide(SyncDir, name)
	if kind != None && kind != SyncKept {
		return kind.fail(SyncDir, name)
	}
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return err
	}
	in.trace.syncedDir(name, covers)
	return kind.fail(SyncDir, name)
}

// File is an open file of an FS. Its methods are those of os.File; one goroutine uses it at a time.
type File struct {
	in      *Injector
	file    *os.File
	node    node
	appends bool
}

// Name is the path it was opened by.
func (f *File) Name() string { return f.file.Name() }

// Stat describes the file.
func (f *File) Stat() (fs.FileInfo, error) { return f.file.Stat() }

// Read reads from the current position.
func (f *File) Read(p []byte) (int, error) { return f.file.Read(p) }

// ReadAt reads from an offset.
func (f *File) ReadAt(p []byte, offset int64) (int, error) { return f.file.ReadAt(p, offset) }

// Seek sets the position of the next Read or Write.
func (f *File) Seek(offset int64, whence int) (int64, error) { return f.file.Seek(offset, whence) }

// Write writes at the current position, or at the end of a file opened to append.
func (f *File) Write(p []byte) (int, error) {
	whence := io.SeekCurrent
	if f.appends {
		whence = io.SeekEnd
	}
	offset, err := f.file.Seek(0, whence)
	if err != nil {
		return 0, err
	}
	return f.write(p, offset, f.file.Write)
}

// WriteAt writes at an offset.
func (f *File) WriteAt(p []byte, offset int64) (int, error) {
	return f.write(p, offset, func(p []byte) (int, error) { return f.file.WriteAt(p, offset) })
}

func (f *File) write(p []byte, offset int64, do func([]byte) (int, error)) (int, error) {
	kind := f.in.decide(Write, f.Name())
	if kind == ShortWrite {
		p = p[:len(p)/2]
	} else if kind != None {
		return 0, kind.fail(Write, f.Name())
	}
	n, err := do(p)
	f.in.trace.content(Record{Op: Write, Path: f.Name(), Offset: offset, Data: p[:n]}, f.node)
	return n, errors.Join(err, kind.fail(Write, f.Name()))
}

// Truncate changes the size.
func (f *File) Truncate(size int64) error {
	if err := f.in.decide(Truncate, f.Name()).fail(Truncate, f.Name()); err != nil {
		return err
	}
	if err := f.file.Truncate(size); err != nil {
		return err
	}
	f.in.trace.content(Record{Op: Truncate, Path: f.Name(), Offset: size}, f.node)
	return nil
}

// Sync syncs the content.
func (f *File) Sync() error {
	covers := f.in.trace.now()
	kind := f.in.decide(Sync, f.Name())
	switch kind {
	case EIO:
		return kind.fail(Sync, f.Name())
	case SyncLost, SyncReverted:
		f.in.trace.synced(Record{Op: Sync, Path: f.Name(), Lost: true}, f.node, covers)
		if kind == SyncReverted {
			f.revert()
		}
		return kind.fail(Sync, f.Name())
	}
	if err := f.file.Sync(); err != nil {
		return err
	}
	f.in.trace.synced(Record{Op: Sync, Path: f.Name()}, f.node, covers)
	return kind.fail(Sync, f.Name())
}

// revert gives the file the content it was last synced with, through its own handle: its name may have changed.
func (f *File) revert() {
	if f.node == 0 {
		return
	}
	data := f.in.trace.durable(f.node)
	err := f.file.Truncate(0)
	if f.appends {
		_, werr := f.file.Write(data)
		err = errors.Join(err, werr)
	} else {
		_, werr := f.file.WriteAt(data, 0)
		err = errors.Join(err, werr)
	}
	if err != nil {
		panic(err) // a test's disk: nothing sensible can follow
	}
}

// Close closes the file. It never fails by plan: what close reports, Sync reports first.
func (f *File) Close() error { return f.file.Close() }
