package catalog

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/apache/iceberg-go/table"
	"github.com/google/uuid"
)

// NewLocation gives a place for a table or view to be made: TableLocation, or beside it where something is there already.
func (c *Catalog) NewLocation(ident table.Identifier) string {
	location := c.TableLocation(ident)
	if c.io.Exists(location) {
		location += "-" + uuid.NewString()
	}
	return location
}

// RemoveAll removes a folder with everything in it. A link is removed, not followed.
func (x *IO) RemoveAll(folder string) error {
	if err := x.removeAll(Path(folder)); err != nil {
		return fmt.Errorf("remove %s: %w", folder, err)
	}
	return nil
}

// Exists says whether a file can be seen.
func (x *IO) Exists(name string) bool {
	_, err := x.fs.Stat(Path(name))
	return err == nil
}

func (x *IO) removeAll(name string) error {
	entries, err := x.fs.ReadDir(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		child := filepath.Join(name, e.Name())
		if e.IsDir() {
			errs = append(errs, x.removeAll(child))
		} else if err := x.fs.Remove(child); !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	x.folders.Remove(name)
	return errors.Join(append(errs, x.fs.Remove(name))...)
}

// deleteAfterCommit is the property by which a table's owner wants metadata deleted that its log does not name any more.
const deleteAfterCommit = "write.metadata.delete-after-commit.enabled"

// tidy deletes metadata files that a guest's table has just dropped, if the table asks for it. Those that stay are in
// nobody's way.
func (c *Catalog) tidy(s *Staged) {
	if s.registered() || !strings.EqualFold(s.Metadata.Properties()[deleteAfterCommit], "true") {
		return
	}
	folder := path.Join(Path(s.Metadata.Location()), "metadata")
	for _, location := range s.Register.Gone {
		name := Path(location)
		if path.Dir(name) != folder {
			continue
		}
		if version, err := metadataVersion(location); err == nil {
			if link := filepath.Join(folder, "v"+strconv.Itoa(version)+".metadata.json"); c.io.same(name, link) {
				_ = c.io.fs.Remove(link)
			}
		}
		_ = c.io.fs.Remove(name)
	}
}
