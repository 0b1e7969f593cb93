package lakehouse

import (
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"headless.ly/catalog"
)

// model is what is known of a table's manifests at one metadata. It does not change, but for what manifests remember.
type model struct {
	base      string // location of the metadata
	manifests []*manifest
}

// manifest is one live manifest of a table.
type manifest struct {
	file  iceberg.ManifestFile
	holds []uint64 // hashes of the locations that are live in it, sorted; nil: not opened yet
}

// readModel reads the manifest list of the table's current snapshot, and no manifest.
func readModel(t *table.Table, x *catalog.IO) (*model, error) {
	m := &model{base: t.MetadataLocation()}
	snapshot := t.CurrentSnapshot()
	if snapshot == nil {
		return m, nil
	}
	files, err := snapshot.Manifests(x)
	if err != nil {
		return nil, fmt.Errorf("read manifest list of %s: %w", strings.Join(t.Identifier(), "."), err)
	}
	for _, f := range files {
		m.manifests = append(m.manifests, &manifest{file: f})
	}
	return m, nil
}

// live counts the entries that are not tombstones.
func (m *manifest) live() int { return int(m.file.AddedDataFiles()) + int(m.file.ExistingDataFiles()) }

// read gives the live entries, and remembers their locations.
func (m *manifest) read(x *catalog.IO) ([]iceberg.ManifestEntry, error) {
	entries := make([]iceberg.ManifestEntry, 0, max(0, m.live()))
	for e, err := range m.file.Entries(x, true) {
		if err != nil {
			return nil, fmt.Errorf("read manifest %s: %w", path.Base(m.file.FilePath()), err)
		}
		entries = append(entries, e)
	}
	m.remember(entries)
	return entries, nil
}

// remember notes which files are live in the manifest.
func (m *manifest) remember(entries []iceberg.ManifestEntry) {
	m.holds = make([]uint64, 0, len(entries))
	for _, e := range entries {
		if e.Status() != iceberg.EntryStatusDELETED {
			m.holds = append(m.holds, hashOf(e.DataFile().FilePath()))
		}
	}
	slices.Sort(m.holds)
}

var locationSeed = maphash.MakeSeed()

func hashOf(location string) uint64 { return maphash.String(locationSeed, location) }

// mayHold reports whether a file may be live in the manifest: false is certain.
func (m *manifest) mayHold(f sought) bool {
	if m.holds != nil {
		_, found := slices.BinarySearch(m.holds, f.hash)
		return found
	}
	parts := m.file.Partitions()
	if f.tenant == "" || len(parts) == 0 || parts[0].LowerBound == nil || parts[0].UpperBound == nil {
		return true
	}
	if f.tenant < string(*parts[0].LowerBound) || f.tenant > string(*parts[0].UpperBound) {
		return false
	}
	if f.date == nil || len(parts) < 2 || parts[1].LowerBound == nil || parts[1].UpperBound == nil {
		return true
	}
	return *f.date >= dateOf(*parts[1].LowerBound) && *f.date <= dateOf(*parts[1].UpperBound)
}

// dateOf decodes a date bound of a partition summary.
func dateOf(bound []byte) int32 {
	if len(bound) != 4 {
		return 0
	}
	return int32(binary.LittleEndian.Uint32(bound))
}

// sought is a file that is looked for in manifests, with its partition as far as its location tells.
type sought struct {
	location string
	hash     uint64
	tenant   string // empty: not known
	date     *int32 // nil: none, or not known
}

// seek reads a location of ours: …/data/tenant=acme/date=2026-01-15/… or …/data/tenant=acme/….
func seek(location string) sought {
	f := sought{location: location, hash: hashOf(location)}
	_, rest, found := strings.Cut(location, "/data/tenant=")
	if !found {
		return f
	}
	f.tenant, rest, _ = strings.Cut(rest, "/")
	if text, found := strings.CutPrefix(rest, "date="); found {
		text, _, _ = strings.Cut(text, "/")
		if day, err := time.Parse(time.DateOnly, text); err == nil {
			date := int32(day.Unix() / (24 * 60 * 60))
			f.date = &date
		}
	}
	return f
}
