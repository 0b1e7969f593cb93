package erasure

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// tail is how many bytes at the end of a marker are looked up; shorter markers are not looked for. Ids end in what was drawn at
// random.
const tail = 8

// finding is what a search has come to.
type finding struct {
	Files int
	Bytes int64
	At    []string // paths, below the data folder, that hold a marker
}

// others are the folders that hold what each tenant has written itself, and what other programs have: an import of the tenant
// under another name has the same ids, by right.
func others(rel string) bool {
	parts := strings.Split(filepath.ToSlash(rel), "/")
	return parts[0] == "tenants" || len(parts) > 1 && parts[0] == "warehouse" && parts[1] == "guests" ||
		slices.ContainsFunc(parts, func(p string) bool { return strings.HasPrefix(p, "tenant=") })
}

// search looks for markers in the bytes of all files of a data folder but those that others tells of.
func search(dir string, markers []string) (finding, error) {
	var found finding
	wanted := newMarkers(markers)
	if wanted == nil {
		return found, nil
	}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		rel, relErr := filepath.Rel(dir, path)
		if err = errors.Join(err, relErr); errors.Is(err, fs.ErrNotExist) {
			return nil // removed meanwhile
		}
		if err != nil {
			return err
		}
		if d.IsDir() && rel != "." && others(rel) {
			return fs.SkipDir
		}
		if !d.Type().IsRegular() {
			return nil
		}
		n, has, err := wanted.in(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		found.Files++
		found.Bytes += n
		if has {
			found.At = append(found.At, filepath.ToSlash(rel))
		}
		return err
	})
	return found, err
}

// markers finds any of many texts in one pass: by a filter over four bytes, and then by the ends of the texts.
type markers struct {
	filter [1 << 16]bool
	ends   map[uint64][]string
}

func newMarkers(texts []string) *markers {
	m := &markers{ends: map[uint64][]string{}}
	for _, t := range texts {
		if len(t) < tail {
			continue
		}
		end := t[len(t)-tail:]
		m.filter[slot(binary.LittleEndian.Uint32([]byte(end)))] = true
		key := binary.LittleEndian.Uint64([]byte(end))
		m.ends[key] = append(m.ends[key], t)
	}
	if len(m.ends) == 0 {
		return nil
	}
	return m
}

func slot(v uint32) uint32 { return v * 0x9E3779B1 >> 16 }

// searchBuffer is read at a time. What overlap is kept of the piece before must hold a marker: ids are far shorter.
const (
	searchBuffer = 1 << 20
	overlap      = 4 << 10
)

// in says whether a file has one of the markers, and how many bytes it has.
func (m *markers) in(path string) (size int64, found bool, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, false, err
	}
	defer f.Close()
	in := bufio.NewReaderSize(f, searchBuffer)
	piece := make([]byte, 0, overlap+searchBuffer)
	for {
		kept := min(len(piece), overlap)
		copy(piece[:kept], piece[len(piece)-kept:])
		n, err := io.ReadFull(in, piece[kept:kept+searchBuffer])
		piece = piece[:kept+n]
		size += int64(n)
		if m.match(piece) {
			return size, true, nil
		}
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return size, false, nil
		}
		if err != nil {
			return size, false, err
		}
	}
}

func (m *markers) match(piece []byte) bool {
	for i := 0; i+tail <= len(piece); i++ {
		if !m.filter[slot(binary.LittleEndian.Uint32(piece[i:]))] {
			continue
		}
		for _, text := range m.ends[binary.LittleEndian.Uint64(piece[i:])] {
			if start := i + tail - len(text); start >= 0 && string(piece[start:i+tail]) == text {
				return true
			}
		}
	}
	return false
}

// removeNamed removes what is named for a tenant in the folders that are nobody's own: caches, files in transit, and what
// repairing has put aside.
func removeNamed(dir, tenant string) (Folder, error) {
	var out Folder
	for _, folder := range []string{"cache", "tmp", "repair"} {
		root := filepath.Join(dir, folder)
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err != nil || path == root || d.Name() != tenant && d.Name() != "tenant="+tenant {
				return err
			}
			files, size, err := count(path)
			out.Files, out.Bytes = out.Files+files, out.Bytes+size
			if err = errors.Join(err, os.RemoveAll(path), syncDir(filepath.Dir(path))); err != nil || !d.IsDir() {
				return err
			}
			return fs.SkipDir
		})
		if err != nil {
			return out, err
		}
	}
	return out, nil
}

// count measures a file, or the files of a folder.
func count(path string) (files int, size int64, err error) {
	err = filepath.WalkDir(path, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			files, size = files+1, size+info.Size()
		}
		return err
	})
	return files, size, err
}
