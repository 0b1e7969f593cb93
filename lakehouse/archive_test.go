package lakehouse

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"headless.ly/catalog"
)

// oddLog is a log of many small and some large events over several days, with values that are easily changed on the way.
func oddLog(tenant string, n int) *fakeLog {
	log := newFakeLog()
	random := rand.New(rand.NewPCG(7, 7))
	odd := []string{`"n":12345678901234567890123456789.000100`, `"n":1e400`, `"t":"ſ \u0000 \ud83d\ude00 é 漢"`, `"t":null`, `"t":""`, `"o":{"b":[1,{"a":null}],"a":" x "}`,
		`"n":-0.0`, `"t":"` + strings.Repeat("long", 900) + `"`, `"when":"2016-02-29T23:59:60Z"`}
	at := int64(startMS)
	for i := range n {
		at += random.Int64N(2 * dayMS / int64(n/3))
		e := log.append(tenant, pickNoun(i), fmt.Sprintf("contact_%08d", random.IntN(n/4)), "update", `"name":"n","value":1,`+odd[random.IntN(len(odd))], at)
		e.Actor, e.Cause = odd[random.IntN(len(odd))][:3], []string{"", "evt_000000000000"}[i%2]
		for _, text := range []*[]byte{&e.Before, &e.Changes, &e.Input} {
			if random.IntN(2) == 0 {
				*text = []byte("{" + odd[random.IntN(len(odd))] + "}")
			}
		}
	}
	return log
}

func pickNoun(i int) string { return []string{"Contact", "Deal"}[i%5/4] }

// asked gives the events of a range as the log has them.
func asked(all []*Event, r Range) (want []*Event) {
	for _, e := range all {
		if e.Seq > r.After && e.Seq <= r.Upto && (r.Noun == "" || e.Entity == r.Noun) && (r.Target == "" || e.Target == r.Target) {
			want = append(want, e)
		}
	}
	if r.Desc {
		slices.Reverse(want)
	}
	if r.Limit > 0 && len(want) > r.Limit {
		want = want[:r.Limit]
	}
	return want
}

// TestArchive reads events back from the events table: ranges of all kinds, single ones, and by their time, before and after
// files are folded and taken away. They are what the log had, byte for byte.
func TestArchive(t *testing.T) {
	now := time.UnixMilli(startMS)
	const tenant = "acme"
	log := oddLog(tenant, 3000)
	oddly := oddLog("bolt", 40)
	log.events["bolt"] = oddly.events["bolt"]
	all := log.events[tenant]
	l := openLake(t, t.TempDir(), log, patient(&now), func(c *Config) { c.MaxBytesPerRead, c.KeepFiles = 100_000, time.Millisecond })
	publish(t, l)
	random := rand.New(rand.NewPCG(1, 2))
	for round := range 3 {
		for range 150 {
			a, b := random.Int64N(int64(len(all))+1), random.Int64N(int64(len(all))+1)
			r := Range{After: min(a, b), Upto: max(a, b), Desc: random.IntN(2) == 0}
			if random.IntN(3) == 0 {
				r.Noun = pickNoun(random.IntN(5))
			}
			if random.IntN(2) == 0 {
				e := all[random.IntN(len(all))]
				r.Noun, r.Target = e.Entity, e.Target
			}
			if random.IntN(2) == 0 {
				r.Limit = 1 + random.IntN(20)
			}
			var got []*Event
			err := l.ReadEvents(t.Context(), tenant, r, func(e *Event) error { got = append(got, e); return nil })
			if err != nil {
				t.Fatalf("round %d, %+v: %v", round, r, err)
			}
			sameEvents(t, fmt.Sprintf("round %d, %+v", round, r), got, asked(all, r))
		}
		for range 50 {
			var seqs []int64
			var want []*Event
			for range 1 + random.IntN(20) {
				e := all[random.IntN(len(all))]
				seqs, want = append(seqs, e.Seq), append(want, e)
			}
			got, err := l.FindEvents(t.Context(), tenant, seqs)
			if err != nil {
				t.Fatal(err)
			}
			sameEvents(t, fmt.Sprint("round ", round, " ", seqs), got, want)
		}
		for range 100 {
			upto := 1 + random.Int64N(int64(len(all)))
			at := all[random.IntN(len(all))].Timestamp + random.Int64N(3) - 1
			want := int64(0)
			for _, e := range all[:upto] {
				if e.Timestamp <= at {
					want = e.Seq
				}
			}
			if got, err := l.EventAt(t.Context(), tenant, upto, at); err != nil || got != want {
				t.Fatalf("round %d: event of %s up to %d at %d is %d, %v, want %d", round, tenant, upto, at, got, err, want)
			}
		}
		now = now.AddDate(0, 0, 10) // days are settled, files of before have gone
		maintain(t, l)
		now = now.Add(time.Hour)
		maintain(t, l)
	}
	if files := currentFiles(t, l, "events"); len(files) > 30 {
		t.Errorf("%d files: nothing was folded", len(files))
	}
}

func sameEvents(t *testing.T, what string, got, want []*Event) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d events, want %d", what, len(got), len(want))
	}
	for i := range want {
		if !reflect.DeepEqual(got[i], want[i]) {
			t.Fatalf("%s: event %d is\n%+v\nwant\n%+v", what, i, got[i], want[i])
		}
	}
}

// TestArchiveOfDamage changes a byte of a file of events: it is never read.
func TestArchiveOfDamage(t *testing.T) {
	log := oddLog("acme", 300)
	l := openLake(t, t.TempDir(), log)
	publish(t, l)
	for _, name := range currentFiles(t, l, "events") {
		path := catalog.Path(name)
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		data[len(data)/2] ^= 4
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range []Range{{Upto: 10}, {Upto: 300, Desc: true}, {Upto: 300, Noun: "Contact", Target: log.events["acme"][5].Target}} {
		err := l.ReadEvents(t.Context(), "acme", r, func(*Event) error { return nil })
		if !errors.Is(err, ErrDamaged) {
			t.Errorf("%+v: %v", r, err)
		}
	}
	if err := l.ReadEvents(t.Context(), "acme", Range{Upto: 301}, func(*Event) error { return nil }); err == nil {
		t.Error("an event was read that is not there")
	}
}

// TestTagged publishes over several days: the tag of a day says what may leave the log.
func TestTagged(t *testing.T) {
	now := time.Date(2126, 1, 15, 10, 0, 0, 0, time.UTC) // snapshots are not stamped before their tables were made
	log := newFakeLog()
	l := openLake(t, t.TempDir(), log, withTwoNouns(t), patient(&now))
	for day := range int64(4) {
		for i := range int64(3) {
			log.append("acme", "Contact", fmt.Sprint("contact_", 10_000_000+i), "create", `"name":"n"`, now.UnixMilli())
			publish(t, l)
		}
		if got, err := l.Tagged(t.Context(), "acme"); err != nil || got != 3*day {
			t.Errorf("day %d: tagged up to %d, %v, want %d", day, got, err, 3*day)
		}
		now = now.Add(24 * time.Hour)
	}
	if got, err := l.Tagged(context.Background(), "birch"); err != nil || got != 0 {
		t.Errorf("a tenant without events is tagged up to %d, %v", got, err)
	}
}
