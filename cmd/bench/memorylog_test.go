package main

import (
	"testing"
	"time"

	"headless.ly/catalog/noun"
	"headless.ly/lakehouse"
)

// What the log hands out is what the lake takes: seqs without gaps, documents that are rows, a last state of each entity.
func TestMemoryLogIsALog(t *testing.T) {
	l := newMemoryLog([]string{"a", "b", "c"}, 20*time.Hour)
	contacts, _ := noun.Core().Get("Contact")
	last := map[string]int64{}
	read := func() {
		for tenant := range l.Heads() {
			err := l.Read(t.Context(), tenant, lakehouse.Range{After: last[tenant]}, func(e *lakehouse.Event) error {
				if e.Seq != last[tenant]+1 {
					t.Errorf("%s: seq %d after %d", tenant, e.Seq, last[tenant])
				}
				last[tenant] = e.Seq
				_, err := lakehouse.Row(contacts, e)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		l.forget()
	}
	l.fill()
	read()
	for range 3 {
		l.write(2, 10)
		read()
	}
	if last["a"]+last["b"]+last["c"] != 3*commitEntities+30 || len(l.Heads()) != 0 {
		t.Errorf("heads %v, waiting %v", last, l.Heads())
	}
	if l.days() != 3 { // 1:00, 21:00, 17:00, 13:00
		t.Errorf("%d days, want 3", l.days())
	}
}
