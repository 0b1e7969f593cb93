package demo

import (
	"testing"
	"time"

	"headless.ly/ingest"
)

func TestHistory(t *testing.T) {
	d := mustRead(t)
	for _, c := range []struct {
		office                               string
		people, won, lost, open, prospecting int
	}{
		{"", 41, 4238, 2473, 1589, 500},
		{"Central", 13, 1629, 975, 408, 500},
		{"East", 14, 1171, 687, 433, 0},
		{"West", 14, 1438, 811, 748, 0},
	} {
		t.Run("office "+c.office, func(t *testing.T) {
			steps := History(d, c.office)
			checkOrder(t, steps)
			nouns, stages, value := finalState(steps)
			want := map[string]int{
				"Organization": 85, "Product": 7, "Contact": c.people, "Deal": c.won + c.lost + c.open + c.prospecting,
			}
			for noun, n := range want {
				if nouns[noun] != n {
					t.Errorf("%d %s, want %d", nouns[noun], noun, n)
				}
			}
			for stage, n := range map[string]int{"Won": c.won, "Lost": c.lost, "Qualification": c.open, "Prospecting": c.prospecting} {
				if stages[stage] != n {
					t.Errorf("%d deals %s, want %d", stages[stage], stage, n)
				}
			}
			if c.office == "" && value["Won"] != 10_005_534 {
				t.Errorf("won %d, want 10,005,534", value["Won"])
			}
		})
	}
}

// checkOrder sees that times rise, that nothing is used before it is created, and that days begin at noon.
func checkOrder(t *testing.T, steps []Step) {
	t.Helper()
	created := map[Key]bool{}
	var last time.Time
	for i, s := range steps {
		switch {
		case s.Op == ingest.OpCreate && created[s.Entity]:
			t.Fatalf("step %d creates %v again", i, s.Entity)
		case s.Op == ingest.OpVerb && !created[s.Entity]:
			t.Fatalf("step %d runs %s on %v before it is created", i, s.Verb, s.Entity)
		case !s.At.After(last):
			t.Fatalf("step %d at %v, after one at %v", i, s.At, last)
		case s.At.Sub(last) != time.Millisecond && !s.At.Equal(s.At.Truncate(24*time.Hour).Add(12*time.Hour)):
			t.Fatalf("step %d at %v, the one before it at %v", i, s.At, last)
		}
		for _, m := range s.Body {
			if m.Ref != (Key{}) && !created[m.Ref] {
				t.Fatalf("step %d needs %v before it is created", i, m.Ref)
			}
		}
		created[s.Entity], last = true, s.At
	}
}

// finalState counts entities by noun, and deals and their values by stage, when all steps are done.
func finalState(steps []Step) (nouns, stages, value map[string]int) {
	nouns, stages, value = map[string]int{}, map[string]int{}, map[string]int{}
	stage, worth := map[Key]string{}, map[Key]int{}
	for _, s := range steps {
		if s.Op == ingest.OpCreate {
			nouns[s.Entity.Noun]++
		}
		if s.Entity.Noun != "Deal" {
			continue
		}
		for _, m := range s.Body {
			switch m.Name {
			case "stage":
				stage[s.Entity] = string(m.Value[1 : len(m.Value)-1])
			case "value":
				worth[s.Entity] = atoi(m.Value)
			}
		}
		switch s.Verb {
		case "win":
			stage[s.Entity] = "Won"
		case "lose":
			stage[s.Entity] = "Lost"
		}
	}
	for k, s := range stage {
		stages[s]++
		value[s] += worth[k]
	}
	return nouns, stages, value
}

func atoi(digits []byte) (n int) {
	for _, c := range digits {
		n = n*10 + int(c-'0')
	}
	return n
}

func TestHistoryDays(t *testing.T) {
	steps := History(mustRead(t), "")
	at := func(s string) time.Time {
		v, err := time.Parse(time.RFC3339Nano, s)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for _, c := range []struct {
		step   int
		at     string
		entity Key
	}{
		{0, "2016-10-19T12:00:00.000Z", Key{"Organization", "Acme Corporation"}},
		{69, "2016-10-19T12:00:00.069Z", Key{"Organization", "Zumgoity"}},
		{70, "2016-10-19T12:00:00.070Z", Key{"Organization", "Bluth Company"}}, // the first subsidiary
		{85, "2016-10-19T12:00:00.085Z", Key{"Product", "GTX Basic"}},
		{92, "2016-10-19T12:00:00.092Z", Key{"Contact", "Dustin Brinkmann"}},
		{98, "2016-10-19T12:00:00.098Z", Key{"Contact", "Anna Snelling"}},
		{133, "2016-10-20T12:00:00.000Z", Key{"Deal", "1C1I7A6R"}},
		{134, "2016-10-25T12:00:00.000Z", Key{"Deal", "Z063OYW0"}},
		{135, "2016-10-25T12:00:00.001Z", Key{"Deal", "EC4QE1BX"}},
		{len(steps) - 500, "2018-01-01T12:00:00.000Z", Key{"Deal", "6CWZFOHJ"}},
		{len(steps) - 1, "2018-01-01T12:00:00.499Z", Key{"Deal", "8I5ONXJX"}},
	} {
		if s := steps[c.step]; !s.At.Equal(at(c.at)) || s.Entity != c.entity {
			t.Errorf("step %d: %v at %v, want %v at %s", c.step, s.Entity, s.At, c.entity, c.at)
		}
	}
	if len(steps) != 85+7+41+8800+6711 {
		t.Errorf("%d steps", len(steps))
	}
}
