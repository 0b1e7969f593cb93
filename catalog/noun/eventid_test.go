package noun_test

import (
	"testing"

	"headless.ly/catalog/noun"
)

func TestEventIDs(t *testing.T) {
	for _, seq := range []int64{1, 2, 61, 62, 63, 1 << 20, 1<<35 + 12345} {
		ids := noun.NewEventIDs()
		id := ids.New(seq)
		checkID(t, id, "evt", 12)
		if got, ok := ids.Seq(id); !ok || got != seq {
			t.Errorf("%s was made for %d and reads %d, %v", id, seq, got, ok)
		}
		if other, _ := (ids + 1).Seq(id); other == seq {
			t.Errorf("%s reads alike in another log", id)
		}
	}
}

// TestEventIDsOfTwoLogs draws ids of two logs for the same seqs: none comes twice.
func TestEventIDsOfTwoLogs(t *testing.T) {
	seen := map[string]bool{}
	for _, ids := range []noun.EventIDs{noun.NewEventIDs(), noun.NewEventIDs()} {
		for seq := range int64(50_000) {
			id := ids.New(seq)
			if seen[id] {
				t.Fatalf("%s came twice", id)
			}
			seen[id] = true
		}
	}
}

func FuzzEventIDSeq(f *testing.F) {
	f.Add("evt_Tq9w2LmXc4Za", uint64(7))
	f.Add("evt_", uint64(0))
	f.Add("contact_fX9bL5nR", uint64(1))
	f.Fuzz(func(t *testing.T, id string, offset uint64) {
		seq, ok := noun.EventIDs(offset % (1 << 35)).Seq(id)
		if seq < 0 || !ok && seq != 0 {
			t.Errorf("%q reads %d, %v", id, seq, ok)
		}
	})
}
