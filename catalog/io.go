package catalog

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"

	"github.com/cespare/xxhash/v2"
	lru "github.com/hashicorp/golang-lru/v2"

	iceio "github.com/apache/iceberg-go/io"
)

// knownFolders bounds the folders remembered as durable; a forgotten one costs an fsync.
const knownFolders = 16384

// writeBuffer gathers the small writes of Avro and JSON encoders.
const writeBuffer = 16 << 10

// IO reads and writes the files of Iceberg tables on an FS. It is what iceberg-go gets instead of its own local file
// access, which never calls fsync. Names are absolute paths or file: URIs. It is safe for concurrent use.
type IO struct {
	fs      FS
	root    string
	step    func(string)
	folders *lru.Cache[string, struct{}] // known to exist durably
	written *lru.Cache[string, content]  // by path: what was written lately

	mu     sync.Mutex
	unread map[string]content // guarded by mu: by path, files of the register that were not read since the start
}

// writtenFiles bounds the files whose size and hash are remembered until they are entered into the register: those of one
// commit and its preparation. A forgotten one is entered without them.
const writtenFiles = 65536

// content is the size of a file and the XXH64 of its bytes.
type content struct {
	bytes int64
	hash  uint64
}

// NewIO gives the file access for tables on files. The folder root exists and is taken for durable. Step hears the names
// of Steps; it may be nil.
func NewIO(files FS, root string, step func(string)) *IO {
	if step == nil {
		step = func(string) {}
	}
	folders, err := lru.New[string, struct{}](knownFolders)
	if err != nil {
		panic(err) // only for a size that is not positive
	}
	written, err := lru.New[string, content](writtenFiles)
	if err != nil {
		panic(err) // only for a size that is not positive
	}
	return &IO{fs: files, root: root, step: step, folders: folders, written: written}
}

// Path gives the local path of a location: file:///x, file:/x (as Java writes it) or x itself. Nothing is decoded: a
// location is "file://" and the path as it is.
func Path(location string) string {
	rest, found := strings.CutPrefix(location, "file:")
	if !found {
		return location
	}
	return "/" + strings.TrimLeft(rest, "/")
}

// Open opens a file for reading. ErrDamaged where it is not as it was written.
func (x *IO) Open(name string) (iceio.File, error) {
	if err := x.Verify(name); err != nil {
		return nil, err
	}
	return x.fs.Open(Path(name))
}

// ErrDamaged is wrapped where a file is not as it was written.
var ErrDamaged = errors.New("file is damaged")

// expect has files compared with what the register says of them before they are read for the first time (correctness 16).
func (x *IO) expect(files []Entry) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.unread = make(map[string]content, len(files))
	for _, f := range files {
		if f.Bytes != 0 || f.Hash != 0 {
			x.unread[Path(f.Location)] = content{f.Bytes, f.Hash}
		}
	}
}

// Verify compares a file with what was written, unless this IO has done so before or has written it. ErrDamaged where it
// differs. A file that the register does not know is taken as it is.
func (x *IO) Verify(name string) error {
	path := Path(name)
	x.mu.Lock()
	want, found := x.unread[path]
	x.mu.Unlock()
	if !found {
		return nil
	}
	f, err := x.fs.Open(path)
	if err != nil {
		return err
	}
	_, err = compare(f, want)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.unread, path)
	return nil
}

// Compare reads a file to its end and compares it with what the register says, where that knows the content. It gives the
// bytes read; ErrDamaged where the file differs.
func (e Entry) Compare(f io.Reader) (bytes int64, err error) {
	return compare(f, content{e.Bytes, e.Hash})
}

func compare(f io.Reader, want content) (bytes int64, err error) {
	h := xxhash.New()
	bytes, err = io.Copy(h, f)
	switch {
	case err != nil:
		return bytes, err
	case want == content{}:
		return bytes, nil
	case bytes != want.bytes:
		return bytes, fmt.Errorf("%w: it has %d bytes, %d were written", ErrDamaged, bytes, want.bytes)
	case h.Sum64() != want.hash:
		return bytes, fmt.Errorf("%w: its hash is %016x, that of what was written %016x", ErrDamaged, h.Sum64(), want.hash)
	}
	return bytes, nil
}

// ReadFile reads a whole file. ErrDamaged where it is not as it was written.
func (x *IO) ReadFile(name string) ([]byte, error) {
	if err := x.Verify(name); err != nil {
		return nil, err
	}
	f, err := x.fs.Open(Path(name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}

// Create begins a new file, making its folder. The file is durable when its writer's Close has returned nil.
func (x *IO) Create(name string) (iceio.FileWriter, error) { return x.create(Path(name)) }

// WriteFile writes a new file durably.
func (x *IO) WriteFile(name string, data []byte) error {
	return x.WriteWith(name, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
}

// WriteWith writes a new file durably, whose content write writes. Where that fails, or the disk does, there is no file.
func (x *IO) WriteWith(name string, write func(io.Writer) error) error {
	w, err := x.create(Path(name))
	if err != nil {
		return err
	}
	if err := write(struct{ io.Writer }{w}); err != nil { // its Close is ours
		w.fail(err)
	}
	return w.Close()
}

// Remove removes a file.
func (x *IO) Remove(name string) error { return x.fs.Remove(Path(name)) }

// Written gives the size of a file that this IO has written and the XXH64 of its content; zeros where it has forgotten.
func (x *IO) Written(name string) (bytes int64, hash uint64) {
	c, _ := x.written.Get(Path(name))
	return c.bytes, c.hash
}

func (x *IO) create(path string) (*writer, error) {
	step := stepOf(path)
	x.step(step.before())
	if err := x.MkdirAll(filepath.Dir(path)); err != nil {
		return nil, err
	}
	f, err := x.fs.Create(path)
	if err != nil {
		return nil, err
	}
	w := &writer{x: x, path: path, step: step, f: f, hash: xxhash.New()}
	w.b = bufio.NewWriterSize(f, writeBuffer)
	return w, nil
}

// MkdirAll makes a folder and those above it, durably. A folder that merely exists may have been left by a call that failed
// before its fsync, so only those that this IO has synced itself are taken for durable.
func (x *IO) MkdirAll(dir string) error {
	parent := filepath.Dir(dir)
	if dir == x.root || dir == parent || x.folders.Contains(dir) {
		return nil
	}
	if err := x.MkdirAll(parent); err != nil {
		return err
	}
	if err := x.fs.Mkdir(dir); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := x.fs.SyncDir(parent); err != nil {
		return err
	}
	x.folders.Add(dir, struct{}{})
	return nil
}

// Forget says that a folder is there no more.
func (x *IO) Forget(dir string) { x.folders.Remove(dir) }

// writer is a file being written. Its first error is kept and comes back from Close too, since encoders drop errors.
type writer struct {
	x    *IO
	path string
	step Step
	f    File
	b    *bufio.Writer
	hash *xxhash.Digest
	size int64
	err  error
	done bool
}

// Write implements io.Writer.
func (w *writer) Write(p []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	n, err := w.b.Write(p)
	_, _ = w.hash.Write(p[:n]) // never fails
	w.size += int64(n)
	w.err = err
	return n, err
}

// ReadFrom implements io.ReaderFrom.
func (w *writer) ReadFrom(r io.Reader) (int64, error) {
	return io.Copy(struct{ io.Writer }{w}, r)
}

// fail keeps an error for Close, unless there is one already.
func (w *writer) fail(err error) {
	if w.err == nil {
		w.err = err
	}
}

// Close makes the file and its name durable. A file that cannot be finished is removed. Only the first call counts.
func (w *writer) Close() error {
	if w.done {
		return w.err
	}
	w.done = true
	if w.err == nil {
		w.err = w.b.Flush()
	}
	if w.err == nil {
		w.err = w.f.Sync()
	}
	if err := w.f.Close(); w.err == nil {
		w.err = err
	}
	if w.err == nil {
		w.err = w.x.fs.SyncDir(filepath.Dir(w.path))
	}
	if w.err != nil {
		_ = w.x.fs.Remove(w.path) // nothing names it; if it stays it is an orphan
		return w.err
	}
	w.x.written.Add(w.path, content{w.size, w.hash.Sum64()})
	w.x.step(w.step.after())
	return nil
}
