package catalog

import (
	"io"
	"io/fs"
	"os"
)

// FS is the file system that tables are kept on. Names are absolute paths. Implementations are safe for concurrent use and
// give errors that errors.Is compares with fs.ErrNotExist and fs.ErrExist.
type FS interface {
	// Open opens a file for reading.
	Open(name string) (File, error)
	// Create makes a new file for writing; fs.ErrExist if the name is taken.
	Create(name string) (File, error)
	// Mkdir makes one folder; fs.ErrExist if the name is taken.
	Mkdir(name string) error
	ReadDir(name string) ([]fs.DirEntry, error)
	Stat(name string) (fs.FileInfo, error)
	// Rename replaces newName if it exists.
	Rename(oldName, newName string) error
	// Link gives a file a second name; fs.ErrExist if it is taken.
	Link(oldName, newName string) error
	Remove(name string) error
	// SyncDir makes the folder's entries durable: files created, renamed, linked or removed in it before the call.
	SyncDir(name string) error
}

// File is an open file. What was written is durable after Sync, its name after FS.SyncDir of its folder.
type File interface {
	io.Reader
	io.ReaderAt
	io.Writer
	io.Seeker
	io.Closer
	Stat() (fs.FileInfo, error)
	Sync() error
}

// OS is the operating system's file system.
type OS struct{}

// Open implements FS.
func (OS) Open(name string) (File, error) { return file(os.Open(name)) }

// Create implements FS.
func (OS) Create(name string) (File, error) {
	return file(os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644))
}

// Mkdir implements FS.
func (OS) Mkdir(name string) error { return os.Mkdir(name, 0o755) }

// ReadDir implements FS.
func (OS) ReadDir(name string) ([]fs.DirEntry, error) { return os.ReadDir(name) }

// Stat implements FS.
func (OS) Stat(name string) (fs.FileInfo, error) { return os.Stat(name) }

// Rename implements FS.
func (OS) Rename(oldName, newName string) error { return os.Rename(oldName, newName) }

// Link implements FS.
func (OS) Link(oldName, newName string) error { return os.Link(oldName, newName) }

// Remove implements FS.
func (OS) Remove(name string) error { return os.Remove(name) }

// SyncDir implements FS.
func (OS) SyncDir(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	err = d.Sync()
	if closeErr := d.Close(); err == nil {
		err = closeErr
	}
	return err
}

// file keeps a nil *os.File from becoming a File that is not nil.
func file(f *os.File, err error) (File, error) {
	if err != nil {
		return nil, err
	}
	return f, nil
}
