package lakehouse

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/apache/iceberg-go"
	"github.com/google/uuid"
)

// Sizes of manifests. The more entries one has, the more is written again when one of its files goes; the fewer, the longer
// the manifest list, which every snapshot writes anew. The files of events stay once they are large, those of nouns go with
// every change.
const (
	mergeCount   = 20   // manifests of like size are merged when there are so many
	eventEntries = 2000 // entries of a manifest of events at most
	nounEntries  = 128  // entries of a manifest of a noun's table at most
)

// manifestEntries is how many live entries a manifest of the table has at most.
func (t *Table) manifestEntries() int {
	if t.Noun == nil {
		return eventEntries
	}
	return nounEntries
}

// family is what the files of one manifest have in common.
type family struct {
	content iceberg.ManifestContent
	spec    int32
}

func familyOf(f iceberg.DataFile) family {
	if f.ContentType() != iceberg.EntryContentData {
		return family{iceberg.ManifestContentDeletes, f.SpecID()}
	}
	return family{iceberg.ManifestContentData, f.SpecID()}
}

func (m *manifest) family() family { return family{m.file.ManifestContent(), m.file.PartitionSpecID()} }

// draft is a manifest in memory. Written, it may become several.
type draft struct {
	family
	lines []line
	live  int
}

// line is an entry of a draft with what it is sorted by.
type line struct {
	entry     iceberg.ManifestEntry
	partition string
}

func (d *draft) add(e iceberg.ManifestEntry) {
	d.lines = append(d.lines, line{e, partitionOf(e.DataFile())})
	if e.Status() != iceberg.EntryStatusDELETED {
		d.live++
	}
}

// partitionOf gives a text that orders files by partition.
func partitionOf(f iceberg.DataFile) string {
	values := f.Partition()
	tenant, _ := values[partitionTenant].(string)
	if date, found := values[partitionDate].(iceberg.Date); found {
		return fmt.Sprintf("%s\x00%011d", tenant, date)
	}
	return tenant
}

// take sorts an edit into drafts: what is added, what stays of the manifests that lose files, and tombstones of what goes.
func (b *build) take(e edit) error {
	for _, f := range e.adds {
		var seq *int64
		if n, found := e.sequence[f.FilePath()]; found {
			seq = &n
		}
		b.count.add(f)
		b.small(familyOf(f)).add(iceberg.NewManifestEntry(iceberg.EntryStatusADDED, &b.id, seq, nil, f))
	}
	missing, err := b.remove(e.removes)
	if err != nil {
		return err
	}
	if len(missing) > 0 && !e.lenient {
		return fmt.Errorf("%w: %s and %d more in %s", errStale, missing[0].location, len(missing)-1, b.table.Name)
	}
	return nil
}

// small gives the draft for what is too little for a manifest of its own.
func (b *build) small(f family) *draft {
	if b.smalls[f] == nil {
		b.smalls[f] = b.draft(f)
	}
	return b.smalls[f]
}

func (b *build) draft(f family) *draft {
	d := &draft{family: f}
	b.drafts = append(b.drafts, d)
	return d
}

// remove takes files out of the manifests that hold them, and gives those that none holds. Manifests without live files
// are left out: their tombstones told of an older snapshot.
func (b *build) remove(locations []string) (missing []sought, err error) {
	gone := make(map[string]sought, len(locations))
	for _, location := range locations {
		gone[location] = seek(location)
	}
	// Those known to hold a file come first, so that others are opened only where files are left to find.
	var unknown []*manifest
	for _, m := range b.model.manifests {
		switch {
		case m.live() == 0:
		case m.holds == nil:
			unknown = append(unknown, m)
		default:
			if err := b.part(m, gone); err != nil {
				return nil, err
			}
		}
	}
	for _, m := range unknown {
		if err := b.part(m, gone); err != nil {
			return nil, err
		}
	}
	for _, f := range gone {
		missing = append(missing, f)
	}
	slices.SortFunc(missing, func(x, y sought) int { return cmp.Compare(x.location, y.location) })
	return missing, nil
}

// part keeps a manifest, or where it holds some of the files, drafts what is left of it. Files found are taken out of gone.
func (b *build) part(m *manifest, gone map[string]sought) error {
	if !m.mayHoldAny(gone) {
		b.keep = append(b.keep, m)
		return nil
	}
	entries, err := m.read(b.io)
	if err != nil {
		return err
	}
	stay, leave := split(entries, gone)
	if len(leave) == 0 {
		b.keep = append(b.keep, m)
		return nil
	}
	d := b.small(m.family())
	if len(stay) >= mergeCount {
		d = b.draft(m.family())
	}
	for _, e := range stay {
		d.add(existing(e))
	}
	for _, e := range leave {
		b.count.remove(e.DataFile())
		b.removed = append(b.removed, e.DataFile().FilePath())
		seq := e.SequenceNum()
		d.add(iceberg.NewManifestEntry(iceberg.EntryStatusDELETED, &b.id, &seq, e.FileSequenceNum(), e.DataFile()))
	}
	return nil
}

// split parts entries by whether their files are to go, and takes those found out of gone.
func split(entries []iceberg.ManifestEntry, gone map[string]sought) (stay, leave []iceberg.ManifestEntry) {
	for _, e := range entries {
		location := e.DataFile().FilePath()
		if _, found := gone[location]; found {
			delete(gone, location)
			leave = append(leave, e)
		} else {
			stay = append(stay, e)
		}
	}
	return stay, leave
}

func (m *manifest) mayHoldAny(files map[string]sought) bool {
	for _, f := range files {
		if m.mayHold(f) {
			return true
		}
	}
	return false
}

// existing gives a live entry of an older snapshot as one that stays, with the snapshot and sequence numbers it has.
func existing(e iceberg.ManifestEntry) iceberg.ManifestEntry {
	id, seq := e.SnapshotID(), e.SequenceNum()
	return iceberg.NewManifestEntry(iceberg.EntryStatusEXISTING, &id, &seq, e.FileSequenceNum(), e.DataFile())
}

// tier is the class of manifests of like size that a number of live entries belongs to; -1: too large to be merged.
func (b *build) tier(live int) int {
	if live >= b.table.manifestEntries()/2 {
		return -1
	}
	n := 0
	for ; live >= mergeCount; live /= mergeCount {
		n++
	}
	return n
}

// merge puts manifests together where there are many of like size. So their number, and how often an entry is written
// again, grow with the logarithm of the number of files until manifests are full.
func (b *build) merge() error {
	for n := 0; n <= b.tier(b.table.manifestEntries()/2-1); n++ {
		for _, f := range b.families() {
			if err := b.mergeTier(f, n); err != nil {
				return err
			}
		}
	}
	return nil
}

// families lists those of the drafts and of the manifests that stay.
func (b *build) families() []family {
	var all []family
	for _, d := range b.drafts {
		all = append(all, d.family)
	}
	for _, m := range b.keep {
		all = append(all, m.family())
	}
	slices.SortFunc(all, func(x, y family) int { return cmp.Or(cmp.Compare(x.content, y.content), cmp.Compare(x.spec, y.spec)) })
	return slices.Compact(all)
}

// mergeTier merges one tier of one family, if it is full.
func (b *build) mergeTier(f family, n int) error {
	ofDraft := func(d *draft) bool { return d.family == f && b.tier(d.live) == n }
	ofKept := func(m *manifest) bool { return m.family() == f && b.tier(m.live()) == n }
	drafts, kept := chosen(b.drafts, ofDraft), chosen(b.keep, ofKept)
	if len(drafts)+len(kept) < mergeCount {
		return nil
	}
	merged := &draft{family: f}
	for _, d := range drafts {
		merged.lines = append(merged.lines, d.lines...)
		merged.live += d.live
	}
	for _, m := range kept {
		entries, err := m.read(b.io)
		if err != nil {
			return err
		}
		for _, e := range entries {
			merged.add(existing(e))
		}
	}
	b.drafts = append(slices.DeleteFunc(b.drafts, ofDraft), merged)
	b.keep = slices.DeleteFunc(b.keep, ofKept)
	return nil
}

func chosen[T any](all []T, want func(T) bool) []T {
	var out []T
	for _, x := range all {
		if want(x) {
			out = append(out, x)
		}
	}
	return out
}

// write writes the drafts, in order of partition, as manifests of bounded size.
func (b *build) write() error {
	for _, d := range b.drafts {
		slices.SortStableFunc(d.lines, func(x, y line) int { return cmp.Compare(x.partition, y.partition) })
		for lines := range slices.Chunk(d.lines, chunkOf(len(d.lines), b.table.manifestEntries())) {
			m, err := b.writeManifest(d.family, lines)
			if err != nil {
				return err
			}
			b.made = append(b.made, m)
		}
	}
	return nil
}

// chunkOf parts n entries evenly into as few manifests as the limit allows.
func chunkOf(n, limit int) int {
	parts := max(1, (n+limit-1)/limit)
	return max(1, (n+parts-1)/parts)
}

// writeManifest writes one manifest durably.
func (b *build) writeManifest(f family, lines []line) (*manifest, error) {
	spec := b.meta.PartitionSpecByID(int(f.spec))
	if spec == nil {
		return nil, fmt.Errorf("%s has no partition spec %d", b.table.Name, f.spec)
	}
	var w *iceberg.ManifestWriter
	location, size, err := b.create("manifest-"+uuid.NewString()+".avro", func(out io.Writer) (err error) {
		w, err = iceberg.NewManifestWriter(b.meta.Version(), out, *spec, b.meta.CurrentSchema(), b.id, iceberg.WithManifestWriterContent(f.content))
		if err != nil {
			return err
		}
		for _, l := range lines {
			err = errors.Join(err, put(w, l.entry))
		}
		return errors.Join(err, w.Close())
	})
	if err != nil {
		return nil, err
	}
	file, err := w.ToManifestFile(location, size)
	if err != nil {
		return nil, fmt.Errorf("write manifest of %s: %w", b.table.Name, err)
	}
	m := &manifest{file: b.settled(file)}
	entries := make([]iceberg.ManifestEntry, len(lines))
	for i, l := range lines {
		entries[i] = l.entry
	}
	m.remember(entries)
	return m, nil
}

func put(w *iceberg.ManifestWriter, e iceberg.ManifestEntry) error {
	switch e.Status() {
	case iceberg.EntryStatusADDED:
		return w.Add(e)
	case iceberg.EntryStatusDELETED:
		return w.Delete(e)
	default:
		return w.Existing(e)
	}
}

// settled gives a manifest as its manifest list will say it: with the sequence numbers that it inherits from its snapshot,
// so that later snapshots can name it too.
func (b *build) settled(f iceberg.ManifestFile) iceberg.ManifestFile {
	least := f.MinSequenceNum()
	if least < 0 {
		least = b.seq
	}
	return iceberg.NewManifestFile(f.Version(), f.FilePath(), f.Length(), f.PartitionSpecID(), b.id).
		SequenceNum(b.seq, least).Content(f.ManifestContent()).
		AddedFiles(f.AddedDataFiles()).ExistingFiles(f.ExistingDataFiles()).DeletedFiles(f.DeletedDataFiles()).
		AddedRows(f.AddedRows()).ExistingRows(f.ExistingRows()).DeletedRows(f.DeletedRows()).
		Partitions(f.Partitions()).Build()
}
