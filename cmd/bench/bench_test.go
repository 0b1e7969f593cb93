package main

import (
	"encoding/json"
	"errors"
	"io"
	"testing"
	"time"

	"headless.ly/cmd/bench/load"
)

func TestContactsAreJSONAndUnique(t *testing.T) {
	w := newWords()
	emails := make(map[string]bool)
	for n := range 1000 {
		c := w.contact(n)
		var got struct {
			Name, Email, Phone, Title, Department, Stage, Source string
			LeadScore                                            int
		}
		if err := json.Unmarshal(c.appendJSON(nil), &got); err != nil {
			t.Fatal(err)
		}
		if got.Name != c.name || got.Email != c.email || got.Stage != c.stage || got.LeadScore != c.leadScore {
			t.Fatalf("contact %d: %+v is not %+v", n, got, c)
		}
		if emails[c.email] {
			t.Fatalf("two contacts are called %s", c.email)
		}
		emails[c.email] = true
	}
}

// Every query finds something, less than all, in every variant, and never a contact that is created while lists run.
func TestQueriesTellContactsApart(t *testing.T) {
	w := newWords()
	var known, busy []contact
	for n := range 2000 {
		known, busy = append(known, w.contact(n)), append(busy, w.busy(n))
	}
	for _, q := range queries() {
		for k := range variants {
			if total := q.answer(known, k).total; total == 0 || total == len(known) {
				t.Errorf("%s, variant %d: finds %d of %d", q.name, k, total, len(known))
			}
		}
	}
	for _, q := range queries()[:3] { // the last one leaves busy contacts out by $ne, which its match need not repeat
		if total := q.answer(busy, 0).total; total != 0 {
			t.Errorf("%s: finds %d busy contacts", q.name, total)
		}
	}
}

func TestPipelineHasTheStagesOfTheSample(t *testing.T) {
	deals, err := readPipeline("../..")
	if err != nil {
		t.Fatal(err)
	}
	for at, want := range map[string]map[string]int{
		"2016-01-01": {"": 8800},
		"2100-01-01": {"Won": 4238, "Lost": 2473, "Qualification": 1589, "Prospecting": 500},
	} {
		instant, err := time.Parse(time.DateOnly, at)
		if err != nil {
			t.Fatal(err)
		}
		got := make(map[string]int)
		for i := range deals {
			got[deals[i].stageAt(instant)]++
		}
		for stage, n := range want {
			if got[stage] != n {
				t.Errorf("%s: %d in %q, want %d", at, got[stage], stage, n)
			}
		}
	}
}

func TestReportEndsAsItsBarsSay(t *testing.T) {
	for _, c := range []struct {
		name string
		say  func(*report)
		bad  bool
	}{
		{"nothing", func(*report) {}, false},
		{"held", func(r *report) { r.bar(true, "a") }, false},
		{"missed", func(r *report) { r.bar(true, "a"); r.bar(false, "b") }, true},
		{"missed in a short run", func(r *report) { r.short = true; r.bar(false, "b") }, false},
		{"wrong in a short run", func(r *report) {
			r.short = true
			r.check("c", load.Sample{Failed: 1, Failure: errors.New("d")})
		}, true},
	} {
		r := &report{out: io.Discard}
		c.say(r)
		if err := r.end(); (err != nil) != c.bad {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestRowsAreTheSameButForTheOrderOfSums(t *testing.T) {
	want := [][]any{{"a", 0.1 + 0.2, nil}, {"b", 7.0, true}}
	for body, right := range map[string]bool{
		`{"rows":[["a",0.3,null],["b",7,true]]}`:     true,
		`{"rows":[["a",0.3,null]]}`:                  false,
		`{"rows":[["b",7,true],["a",0.3,null]]}`:     false,
		`{"rows":[["a",0.3001,null],["b",7,true]]}`:  false,
		`{"rows":[["a",0.3,""],["b",7,true]]}`:       false,
		`{"rows":[["a",0.3,null],["b",7,true,"c"]]}`: false,
		`{"rows":`: false,
	} {
		if err := checkRows(want)(load.Answer{Status: 200, Body: []byte(body)}); (err == nil) != right {
			t.Errorf("%s: %v", body, err)
		}
	}
	if err := checkRows(nil)(load.Answer{Status: 400}); err == nil {
		t.Error("an error is an answer")
	}
}

func TestMedianTakesEachColumnByItself(t *testing.T) {
	got := median([]figure{{1, 30, 5}, {3, 10, 6}, {2, 20, 4}})
	if want := (figure{2, 20, 5}); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}
