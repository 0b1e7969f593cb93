package fault

/*
// SQLite comes with the program that is linked in the end. The package itself is compiled and vetted without it.
#cgo linux LDFLAGS: -Wl,--unresolved-symbols=ignore-all
#cgo darwin LDFLAGS: -Wl,-undefined,dynamic_lookup
#include <stdlib.h>
#include "vfs.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/cgo"
	"slices"
	"sync/atomic"
	"unsafe"

	_ "github.com/mattn/go-sqlite3" // brings SQLite into every program that imports this package
)

// What SQLite's own VFS answers (sqlite.org/rescode.html).
const (
	sqliteOK          = 0
	sqliteFull        = 13
	sqliteCantOpen    = 14
	sqliteIOWrite     = 10 | 3<<8
	sqliteIOFsync     = 10 | 4<<8
	sqliteIODirFsync  = 10 | 5<<8
	sqliteIOTruncate  = 10 | 6<<8
	sqliteIODelete    = 10 | 10<<8
	openCreate        = 0x00000004
	openMainJournal   = 0x00000800
	openSuperJournal  = 0x00004000
	openWAL           = 0x00080000
	openWithDirectory = openMainJournal | openSuperJournal | openWAL
)

// ErrInUse is returned by VFS.Close while databases are open.
var ErrInUse = errors.New("databases are open on this VFS")

// VFS is an Injector as SQLite sees it. Databases are opened on it by the URI parameter vfs=<Name>, or without one if it
// is the default. It passes everything on to the VFS that was the default when it was made.
type VFS struct {
	in     *Injector
	c      *C.fault_vfs
	name   string
	handle cgo.Handle
	open   atomic.Int64 // files
}

// vfsFile is what Go keeps of a file that SQLite has open.
type vfsFile struct {
	vfs  *VFS
	path string // empty for a temporary file, which is neither counted nor traced
	node node
	// syncDir is set until the first sync of a journal or WAL, with which SQLite syncs the folder as well.
	syncDir atomic.Bool
}

// NewVFS registers a VFS with SQLite, under a name that no other has. As the default it is used by all databases of the
// process that name no VFS, until it is closed. It panics if SQLite refuses, which it does only without memory.
func (in *Injector) NewVFS(asDefault bool) *VFS {
	v := &VFS{in: in}
	v.handle = cgo.NewHandle(v)
	v.name = fmt.Sprintf("fault-%d", v.handle)
	name := C.CString(v.name)
	defer C.free(unsafe.Pointer(name))
	makeDefault := C.int(0)
	if asDefault {
		makeDefault = 1
	}
	v.c = C.fault_new(name, C.uintptr_t(v.handle), makeDefault)
	if v.c == nil {
		panic("register the fault VFS")
	}
	return v
}

// Name is what goes into the URI parameter vfs.
func (v *VFS) Name() string { return v.name }

// Close unregisters the VFS; the one that was the default before is so again. All databases on it must have been closed:
// ErrInUse, and nothing done, if not.
func (v *VFS) Close() error {
	if v.c == nil {
		return nil
	}
	if n := v.open.Load(); n > 0 {
		return fmt.Errorf("close VFS %s: %d files: %w", v.name, n, ErrInUse)
	}
	C.fault_free(v.c)
	v.c = nil
	v.handle.Delete()
	return nil
}

func vfsOf(c *C.fault_vfs) *VFS       { return cgo.Handle(c.handle).Value().(*VFS) }
func fileOf(c *C.fault_file) *vfsFile { return cgo.Handle(c.handle).Value().(*vfsFile) }

//export faultOpen
func faultOpen(c *C.fault_vfs, name *C.char, file *C.fault_file, flags C.int, out *C.int) C.int {
	v := vfsOf(c)
	f := &vfsFile{vfs: v}
	if name != nil {
		f.path = C.GoString(name)
	}
	if rc := v.openFile(f, name, file, flags, out); rc != sqliteOK {
		return rc
	}
	v.open.Add(1)
	C.fault_attach(file, C.uintptr_t(cgo.NewHandle(f)))
	return sqliteOK
}

func (v *VFS) openFile(f *vfsFile, name *C.char, file *C.fault_file, flags C.int, out *C.int) C.int {
	if f.path == "" {
		return C.fault_real_open(v.c, name, file, flags, out)
	}
	v.in.naming.Lock()
	defer v.in.naming.Unlock()
	_, err := os.Lstat(f.path)
	creates := err != nil && flags&openCreate != 0
	if creates {
		if v.in.decide(Create, f.path) != None {
			return sqliteCantOpen
		}
	} else if err == nil {
		if f.node, err = v.in.trace.open(f.path); err != nil {
			return sqliteCantOpen
		}
	}
	if rc := C.fault_real_open(v.c, name, file, flags, out); rc != sqliteOK {
		return rc
	}
	if creates {
		f.node = v.in.trace.create(f.path)
	}
	f.syncDir.Store(flags&openCreate != 0 && flags&openWithDirectory != 0)
	return sqliteOK
}

//export faultClose
func faultClose(handle C.uintptr_t) {
	h := cgo.Handle(handle)
	h.Value().(*vfsFile).vfs.open.Add(-1)
	h.Delete()
}

//export faultDelete
func faultDelete(c *C.fault_vfs, name *C.char, syncDir C.int) C.int {
	v, path := vfsOf(c), C.GoString(name)
	v.in.naming.Lock()
	defer v.in.naming.Unlock()
	if _, err := os.Lstat(path); err != nil {
		return C.fault_real_delete(v.c, name, syncDir)
	}
	if v.in.decide(Remove, path) != None {
		return sqliteIODelete
	}
	if rc := C.fault_real_delete(v.c, name, 0); rc != sqliteOK {
		return rc
	}
	v.in.trace.remove(path)
	if syncDir == 0 {
		return sqliteOK
	}
	if v.in.syncDir(filepath.Dir(path)) != nil {
		return sqliteIODirFsync
	}
	return sqliteOK
}

//export faultWrite
func faultWrite(c *C.fault_file, p unsafe.Pointer, n C.int, offset C.sqlite3_int64) C.int {
	f := fileOf(c)
	failed := sqliteOK
	if f.path != "" {
		switch f.vfs.in.decide(Write, f.path) {
		case None:
		case ShortWrite:
			n, failed = n/2, sqliteFull
		case NoSpace:
			return sqliteFull
		default:
			return sqliteIOWrite
		}
	}
	if rc := C.fault_real_write(c, p, n, offset); rc != sqliteOK {
		return rc
	}
	data := unsafe.Slice((*byte)(p), int(n))
	f.vfs.in.trace.content(Record{Op: Write, Path: f.path, Offset: int64(offset), Data: data}, f.node)
	return C.int(failed)
}

//export faultTruncate
func faultTruncate(c *C.fault_file, size C.sqlite3_int64) C.int {
	f := fileOf(c)
	if f.path != "" && f.vfs.in.decide(Truncate, f.path) != None {
		return sqliteIOTruncate
	}
	if rc := C.fault_real_truncate(c, size); rc != sqliteOK {
		return rc
	}
	f.vfs.in.trace.content(Record{Op: Truncate, Path: f.path, Offset: int64(size)}, f.node)
	return sqliteOK
}

//export faultSync
func faultSync(c *C.fault_file, flags C.int) C.int {
	f := fileOf(c)
	in := f.vfs.in
	if f.path == "" {
		return C.fault_real_sync(c, flags)
	}
	covers := in.trace.now()
	kind := in.decide(Sync, f.path)
	switch kind {
	case EIO:
		return sqliteIOFsync
	case SyncLost, SyncReverted:
		in.trace.synced(Record{Op: Sync, Path: f.path, Lost: true}, f.node, covers)
		if kind == SyncReverted {
			f.revert(c)
		}
		return sqliteIOFsync
	}
	if rc := C.fault_real_sync(c, flags); rc != sqliteOK {
		return rc
	}
	in.trace.synced(Record{Op: Sync, Path: f.path}, f.node, covers)
	if f.syncDir.CompareAndSwap(true, false) {
		in.trace.syncedDir(filepath.Dir(f.path), covers)
	}
	if kind == SyncKept {
		return sqliteIOFsync
	}
	return sqliteOK
}

// pageMax is the most that SQLite ever writes at once; its VFS writes larger pieces wrongly.
const pageMax = 64 << 10

// revert gives the file the content it was last synced with. It goes through SQLite's own handle: opening and closing
// the file here would release the locks of the process.
func (f *vfsFile) revert(c *C.fault_file) {
	if f.node == 0 {
		return
	}
	rc := C.fault_real_truncate(c, 0)
	offset := 0
	for piece := range slices.Chunk(f.vfs.in.trace.durable(f.node), pageMax) {
		p := C.CBytes(piece)
		rc |= C.fault_real_write(c, p, C.int(len(piece)), C.sqlite3_int64(offset))
		C.free(p)
		offset += len(piece)
	}
	if rc != sqliteOK {
		panic(fmt.Sprintf("revert %s: SQLite error %d", f.path, rc)) // a test's disk: nothing sensible can follow
	}
}
