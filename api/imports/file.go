package imports

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"headless.ly/catalog/problem"
)

// receiving begins the names of files that are being received.
const receiving = "import-"

// stepBytes is how much of a file is received between two calls of step.
const stepBytes = 1 << 20

// File is a received file. Close removes it, unless a job has taken it.
type File struct {
	Size int64
	hash string // of its content
	file *os.File
	kept bool
}

// Receive stores what body gives until its end, in DIR/tmp. Step is called before each part. An error is a problem: the body is
// too large or breaks off, or the disk is full; nothing of it stays.
func (j *Jobs) Receive(body io.Reader, step func()) (_ *File, err error) {
	f := &File{}
	if f.file, err = os.CreateTemp(j.tmp(), receiving); err != nil {
		return nil, noRoom(err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close())
		}
	}()
	hash, buf, left := sha256.New(), make([]byte, 64<<10), int64(0)
	for {
		if left <= 0 {
			step()
			left = stepBytes
		}
		n, readErr := body.Read(buf)
		left -= int64(n)
		_, _ = hash.Write(buf[:n]) // never fails
		if _, err := f.file.Write(buf[:n]); err != nil {
			return nil, noRoom(err)
		}
		if f.Size += int64(n); f.Size > j.cfg.MaxFile {
			return nil, problem.New(problem.PayloadTooLarge, "the import is larger than %d bytes: send it in parts", j.cfg.MaxFile)
		}
		if readErr == io.EOF {
			f.hash = hex.EncodeToString(hash.Sum(nil))
			return f, nil
		}
		if readErr != nil {
			p := problem.New(problem.InvalidBody, "the body ended early; nothing was imported")
			p.Cause = readErr
			return nil, p
		}
	}
}

// noRoom is the error of a disk that takes no more.
func noRoom(err error) error {
	if !errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("receive file: %w", err)
	}
	p := problem.New(problem.StorageFull, "there is no space left to store the file; nothing was imported")
	p.Cause = err
	return p
}

// Close removes the file if no job has taken it. It may be called more than once.
func (f *File) Close() error {
	if f.file == nil {
		return nil
	}
	name := f.file.Name()
	err := f.file.Close()
	f.file = nil
	if !f.kept {
		err = errors.Join(err, os.Remove(name))
	}
	return err
}

// keep gives the file, durably, another name.
func (f *File) keep(name string) error {
	if err := f.file.Sync(); err != nil {
		return noRoom(err)
	}
	if err := os.Rename(f.file.Name(), name); err != nil {
		return err
	}
	f.kept = true
	return nil
}

// syncDir makes the names in a folder durable.
func syncDir(name string) error {
	dir, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// replace writes a file as a whole, durably: whoever reads it finds the old content or the new.
func replace(name string, content []byte) error {
	next := name + ".next"
	f, err := os.OpenFile(next, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(next, name); err != nil {
		return err
	}
	return syncDir(filepath.Dir(name))
}
