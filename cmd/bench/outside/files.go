package outside

import (
	"fmt"
	"slices"
	"strings"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/io"
	"github.com/apache/iceberg-go/table"
)

// Files are what a version holds.
type Files struct {
	Data, Deletes []File
}

// File is a data file or a file of position deletes.
type File struct {
	Path   string // absolute
	Tenant string
	Rows   int64
	Bytes  int64
}

// Files reads the version's manifests.
func (v *Version) Files() (f Files, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("files of %s at %s: %w", v.Table.Name, v.Hint, err)
		}
	}()
	meta, err := v.metadata()
	if err != nil {
		return f, err
	}
	for _, s := range meta.Snapshots {
		if s.ID != v.snapshot {
			continue
		}
		manifests, err := table.Snapshot{SnapshotID: s.ID, ManifestList: s.List}.Manifests(io.LocalFS{})
		if err != nil {
			return f, err
		}
		for _, m := range manifests {
			if err := f.add(m); err != nil {
				return f, err
			}
		}
	}
	return f, nil
}

// tenantField is the id of the partition field tenant.
const tenantField = 1000

func (f *Files) add(m iceberg.ManifestFile) error {
	for e, err := range m.Entries(io.LocalFS{}, true) {
		if err != nil {
			return err
		}
		df := e.DataFile()
		of, ok := df.Partition()[tenantField].(string)
		if !ok {
			return fmt.Errorf("%s has no tenant", df.FilePath())
		}
		file := File{Path: strings.TrimPrefix(df.FilePath(), "file://"), Tenant: of, Rows: df.Count(), Bytes: df.FileSizeBytes()}
		switch df.ContentType() {
		case iceberg.EntryContentData:
			f.Data = append(f.Data, file)
		case iceberg.EntryContentPosDeletes:
			f.Deletes = append(f.Deletes, file)
		default:
			return fmt.Errorf("%s is neither data nor position deletes", df.FilePath())
		}
	}
	return nil
}

// Rows counts the rows: those of data files less the deleted ones.
func (f Files) Rows() (n int64) {
	for _, d := range f.Data {
		n += d.Rows
	}
	for _, d := range f.Deletes {
		n -= d.Rows
	}
	return n
}

// Of gives one tenant's.
func (f Files) Of(tenant string) Files {
	other := func(of File) bool { return of.Tenant != tenant }
	return Files{Data: slices.DeleteFunc(slices.Clone(f.Data), other), Deletes: slices.DeleteFunc(slices.Clone(f.Deletes), other)}
}
