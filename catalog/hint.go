package catalog

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// hintName is the file by which engines that are given a table's folder find its current metadata.
const hintName = "version-hint.text"

// Hint makes the folder's version-hint.text name the metadata at location: the number n, with the metadata linked as
// vn.metadata.json beside it, which DuckDB, PyIceberg and Spark all read. It is called after the metadata has become
// current, and may be repeated.
func (c *Catalog) Hint(location string) error {
	version, err := metadataVersion(location)
	if err != nil {
		return err
	}
	c.io.step(StepHint.before())
	if err := c.io.hint(Path(location), version); err != nil {
		return fmt.Errorf("write hint for %s: %w", location, err)
	}
	c.io.step(StepHint.after())
	return nil
}

func (x *IO) hint(metadata string, version int) error {
	dir := filepath.Dir(metadata)
	number := strconv.Itoa(version)
	err := x.link(metadata, filepath.Join(dir, "v"+number+".metadata.json"))
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, fs.ErrPermission) {
		number = strings.TrimSuffix(filepath.Base(metadata), ".metadata.json") // no links here: what DuckDB reads at least
	} else if err != nil {
		return err
	}
	tmp := filepath.Join(dir, "."+hintName+".tmp")
	if err := x.fs.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := x.write(tmp, []byte(number)); err != nil {
		return err
	}
	if err := x.fs.Rename(tmp, filepath.Join(dir, hintName)); err != nil {
		return err
	}
	return x.fs.SyncDir(dir)
}

// link gives the metadata its second name. A link of that name to another file, left by an attempt that lost, is replaced.
func (x *IO) link(metadata, link string) error {
	if metadata == link {
		return nil
	}
	err := x.fs.Link(metadata, link)
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	if x.same(metadata, link) {
		return nil
	}
	if err := x.fs.Remove(link); err != nil {
		return err
	}
	return x.fs.Link(metadata, link)
}

func (x *IO) same(a, b string) bool {
	ai, aErr := x.fs.Stat(a)
	bi, bErr := x.fs.Stat(b)
	return aErr == nil && bErr == nil && os.SameFile(ai, bi)
}

// write writes and syncs a small file without announcing a step; its folder is synced by the caller.
func (x *IO) write(name string, data []byte) error {
	f, err := x.fs.Create(name)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// Hinted reports whether the folder's hint names the metadata at location; false where that cannot be read.
func (c *Catalog) Hinted(location string) bool {
	version, err := metadataVersion(location)
	if err != nil {
		return false
	}
	dir := filepath.Dir(Path(location))
	text, err := c.io.ReadFile(filepath.Join(dir, hintName))
	if err != nil || string(text) != strconv.Itoa(version) {
		return false
	}
	_, err = c.io.fs.Stat(filepath.Join(dir, "v"+strconv.Itoa(version)+".metadata.json"))
	return err == nil
}
