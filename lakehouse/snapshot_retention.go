package lakehouse

import (
	"slices"
	"strings"
	"time"

	"github.com/apache/iceberg-go/table"

	"headless.ly/catalog"
)

// Which snapshots a table keeps, besides those that others have put a tag or branch on (correctness 15). About 150 of them
// keep the metadata far below a megabyte.
const (
	keepLast    = 50        // the last ones, whatever their age
	keepMinutes = time.Hour // the first one of each minute for so long
	keepDays    = 30        // the last one of each of so many days, tagged day-2026-01-15
	keepMonths  = 12        // the last one of each of so many months, tagged month-2026-01
)

const (
	dayTag   = "day-"
	monthTag = "month-"
)

// retention is what a commit changes of the snapshots and tags that a table keeps.
type retention struct {
	tags   map[string]int64 // snapshot by new tag
	untag  []string
	remove []int64 // snapshot ids
	gaps   []catalog.Gap
	void   []int64 // sequence numbers of snapshots that were rolled back
}

// retain decides what a table keeps when snapshots are added to it.
func retain(meta table.Metadata, added []*table.Snapshot) retention {
	if len(added) == 0 {
		return retention{}
	}
	stamp := time.UnixMilli(added[len(added)-1].TimestampMs).UTC()
	r := retention{tags: newTags(meta, stamp), untag: oldTags(meta, stamp), void: rolledBack(meta)}
	keep := referenced(meta, r)
	all := slices.Clone(meta.Snapshots())
	for _, s := range added {
		all = append(all, *s)
	}
	slices.SortStableFunc(all, func(a, b table.Snapshot) int { return int(a.SequenceNumber - b.SequenceNumber) })
	minute := int64(-1)
	var gone, stays []int64
	for i, s := range all {
		first := s.TimestampMs/time.Minute.Milliseconds() != minute
		minute = s.TimestampMs / time.Minute.Milliseconds()
		young := stamp.Sub(time.UnixMilli(s.TimestampMs)) < keepMinutes
		if i >= len(all)-keepLast || first && young || keep[s.SnapshotID] {
			stays = append(stays, s.SequenceNumber)
			continue
		}
		gone, r.remove = append(gone, s.SequenceNumber), append(r.remove, s.SnapshotID)
	}
	r.gaps = gaps(gone, stays)
	return r
}

// newTags names the last snapshot of a day and of a month, when the first one after it comes.
func newTags(meta table.Metadata, stamp time.Time) map[string]int64 {
	last := meta.CurrentSnapshot()
	tags := map[string]int64{}
	if last == nil {
		return tags
	}
	was := time.UnixMilli(last.TimestampMs).UTC()
	for _, name := range []func(time.Time) string{dayName, monthName} {
		if name(was) != name(stamp) && meta.SnapshotByName(name(was)) == nil {
			tags[name(was)] = last.SnapshotID
		}
	}
	return tags
}

func dayName(t time.Time) string   { return dayTag + t.Format("2006-01-02") }
func monthName(t time.Time) string { return monthTag + t.Format("2006-01") }

// oldTags lists our tags whose time is over. Others' tags are not looked at.
func oldTags(meta table.Metadata, stamp time.Time) []string {
	var old []string
	month := time.Date(stamp.Year(), stamp.Month(), 1, 0, 0, 0, 0, time.UTC)
	for name := range meta.Refs() {
		if text, found := strings.CutPrefix(name, dayTag); found {
			if day, err := time.Parse("2006-01-02", text); err == nil && day.Before(stamp.AddDate(0, 0, -keepDays-1)) {
				old = append(old, name)
			}
		}
		if text, found := strings.CutPrefix(name, monthTag); found {
			if of, err := time.Parse("2006-01", text); err == nil && of.Before(month.AddDate(0, -keepMonths, 0)) {
				old = append(old, name)
			}
		}
	}
	slices.Sort(old)
	return old
}

// referenced gives the snapshots that tags and branches keep: what a tag names, and all of a branch but main.
func referenced(meta table.Metadata, r retention) map[int64]bool {
	keep := map[int64]bool{}
	for name, ref := range meta.Refs() {
		if slices.Contains(r.untag, name) {
			continue
		}
		keep[ref.SnapshotID] = true
		if name != table.MainBranch && ref.SnapshotRefType == table.BranchRef {
			for s := meta.SnapshotByID(ref.SnapshotID); s != nil; s = parentOf(meta, s) {
				keep[s.SnapshotID] = true
			}
		}
	}
	for _, id := range r.tags {
		keep[id] = true
	}
	return keep
}

func parentOf(meta table.Metadata, s *table.Snapshot) *table.Snapshot {
	if s.ParentSnapshotID == nil {
		return nil
	}
	return meta.SnapshotByID(*s.ParentSnapshotID)
}

// rolledBack gives the sequence numbers of snapshots that were current once and are no ancestors of the current one: somebody
// has set the table back. Only as far as the line of ancestors is known without a gap.
func rolledBack(meta table.Metadata) []int64 {
	line := map[int64]bool{}
	least := int64(0)
	for s := meta.CurrentSnapshot(); s != nil; s = parentOf(meta, s) {
		line[s.SnapshotID], least = true, s.SequenceNumber
	}
	var off []int64
	for _, s := range meta.Snapshots() {
		if s.SequenceNumber > least && !line[s.SnapshotID] {
			off = append(off, s.SequenceNumber)
		}
	}
	return off
}

// gaps gives the stretches between snapshots that stay in which some go. Both lists are sorted.
func gaps(gone, stays []int64) []catalog.Gap {
	var out []catalog.Gap
	for _, seq := range gone {
		i, _ := slices.BinarySearch(stays, seq)
		g := catalog.Gap{Before: stays[i]} // the last snapshot always stays
		if i > 0 {
			g.After = stays[i-1]
		}
		if len(out) == 0 || out[len(out)-1] != g {
			out = append(out, g)
		}
	}
	return out
}

// updates gives the retention as updates of the metadata.
func (r retention) updates() []table.Update {
	var updates []table.Update
	for _, name := range r.untag {
		updates = append(updates, table.NewRemoveSnapshotRefUpdate(name))
	}
	for name, id := range r.tags {
		updates = append(updates, table.NewSetSnapshotRefUpdate(name, id, table.TagRef, 0, 0, 0))
	}
	if len(r.remove) > 0 {
		updates = append(updates, table.NewRemoveSnapshotsUpdate(r.remove, false))
	}
	return updates
}
