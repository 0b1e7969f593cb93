package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"headless.ly/cmd/bench/load"
)

const (
	demoTenant = "demo"
	dealsPath  = "/~" + demoTenant + "/Deal"
	// wonValue is the least close value in the measured list.
	wonValue = 1000
	// readDeals is how many deals are read one by one.
	readDeals = 40
)

// asOfDates are instants within the sample, and one behind it.
func asOfDates() []string {
	return []string{"2016-11-30", "2017-03-31", "2017-06-30", "2017-09-30", "2018-02-01"}
}

// demo starts the demo on a data folder and waits until it is loaded.
func (b *bench) demo(ctx context.Context, data string) (*target, error) {
	c, err := b.start(ctx, "headlessly", b.binary, "demo", "--addr", "127.0.0.1:0", "--data", data)
	if err != nil {
		return nil, err
	}
	t := &target{child: c, dialect: productDialect()}
	if err := t.waitForDeals(ctx); err != nil {
		return nil, errors.Join(err, t.stop())
	}
	return t, nil
}

// waitForDeals waits for the last deal of the sample, should the demo listen before it is loaded.
func (t *target) waitForDeals(ctx context.Context) error {
	const loaded = 8800
	for end := time.Now().Add(readyLimit); ; {
		var answer struct{ Count int }
		if err := t.ask(dealsPath+"?countOnly=true", &answer); err != nil {
			return err
		}
		if answer.Count == loaded {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("the demo has %d deals, want %d", answer.Count, loaded)
		}
		if err := wait(ctx, 200*time.Millisecond); err != nil {
			return err
		}
	}
}

// asOf measures reads of the past beside the same reads of the present: statements on a tenant of many commits, and what the
// doors of entities answer of the demo's.
func (b *bench) asOf(ctx context.Context, r *report) error {
	if err := b.asOfStatements(ctx, r); err != nil {
		return err
	}
	return b.asOfDemo(ctx, r)
}

// asOfDemo measures gets, lists and counts. Only the answers are judged.
func (b *bench) asOfDemo(ctx context.Context, r *report) (err error) {
	deals, err := readPipeline(b.repo)
	if err != nil {
		return err
	}
	data, err := b.folder("demo")
	if err != nil {
		return err
	}
	t, err := b.demo(ctx, data)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.stop()) }()
	ids, err := t.dealIDs(deals)
	if err != nil {
		return err
	}
	r.title("asOf on the demo's %d deals: gets by id, a list (filter stage and value, sort, 25 rows) and its count, 1 client", len(deals))
	var rows []row
	for _, date := range append([]string{""}, asOfDates()...) {
		past, err := newMoment(date, deals)
		if err != nil {
			return err
		}
		rows = append(rows, b.momentRows(t, past, ids)...)
	}
	figures, err := b.measure(ctx, r, rows)
	if err != nil {
		return err
	}
	r.head("")
	for i, f := range figures {
		r.line(rows[i].name, f, fmt.Sprintf("%.2f × now", float64(f.p50)/float64(figures[i%kinds].p50)))
	}
	return nil
}

// dealIDs finds the ids of some deals, spread over the sample, by their names.
func (t *target) dealIDs(deals []deal) (map[string]*deal, error) {
	ids := make(map[string]*deal)
	for i := 0; i < len(deals); i += len(deals) / readDeals {
		var found struct {
			Results []struct {
				ID string `json:"$id"`
			} `json:"results"`
		}
		if err := t.ask(dealsPath+"?"+url.Values{"name": {deals[i].name}}.Encode(), &found); err != nil {
			return nil, err
		}
		if len(found.Results) != 1 {
			return nil, fmt.Errorf("%d deals are called %s, want 1", len(found.Results), deals[i].name)
		}
		ids[found.Results[0].ID] = &deals[i]
	}
	return ids, nil
}

// moment is an instant and what the sample was then.
type moment struct {
	name string
	asOf string // the parameter; "": now
	at   time.Time
	won  []*deal
}

func newMoment(date string, deals []deal) (*moment, error) {
	m := &moment{name: "now", asOf: date, at: time.Now()}
	if date != "" {
		m.name = date
		var err error
		if m.at, err = time.Parse(time.DateOnly, date); err != nil {
			return nil, err
		}
	}
	m.won = wonDeals(deals, m.at, wonValue)
	return m, nil
}

// query is a query string with the moment in it.
func (m *moment) query(v url.Values) string {
	if m.asOf != "" {
		v.Set("asOf", m.asOf)
	}
	if len(v) == 0 {
		return ""
	}
	return "?" + v.Encode()
}

// kinds is how many rows a moment has.
const kinds = 3

func (b *bench) momentRows(t *target, m *moment, ids map[string]*deal) []row {
	filter := fmt.Sprintf(`{"stage":"Won","value":{"$gte":%d}}`, wonValue)
	list := question{
		wire:  getRequest(dealsPath + m.query(url.Values{"filter": {filter}, "sort": {"-value,name"}})),
		check: m.checkList,
	}
	count := question{
		wire:  getRequest(dealsPath + m.query(url.Values{"filter": {filter}, "countOnly": {"true"}})),
		check: m.checkCount,
	}
	var gets []question
	for id, d := range ids {
		gets = append(gets, question{
			wire:  getRequest(dealsPath + "/" + id + m.query(url.Values{})),
			check: func(a load.Answer) error { return m.checkDeal(a, d) },
		})
	}
	measured := func(kind string, list []question) row {
		return row{m.name + ": " + kind, func(ctx context.Context) (load.Sample, error) {
			l := load.Closed{Clients: 1, Warm: b.warm(), For: b.each / 3, Requests: pick(b, 0, max(10, len(list)))}
			return b.closed(ctx, t, l, func(int) load.Script { return &questions{list: list} })
		}}
	}
	return []row{
		measured("get", gets),
		measured(fmt.Sprintf("list of %d", len(m.won)), []question{list}),
		measured(fmt.Sprintf("count of %d", len(m.won)), []question{count}),
	}
}

// getRequest is a get as it goes over the wire.
func getRequest(path string) []byte { return appendRequest(nil, request{method: "GET", path: path}) }

// checkDeal checks a deal read by its id.
func (m *moment) checkDeal(a load.Answer, d *deal) error {
	stage := d.stageAt(m.at)
	if stage == "" {
		if a.Status != 404 {
			return fmt.Errorf("%s, %s: %w", m.name, d.name, unexpected(a, 404))
		}
		return nil
	}
	if a.Status != 200 {
		return fmt.Errorf("%s, %s: %w", m.name, d.name, unexpected(a, 200))
	}
	var got struct{ Name, Stage string }
	if err := json.Unmarshal(a.Body, &got); err != nil {
		return err
	}
	if got.Name != d.name || got.Stage != stage {
		return fmt.Errorf("%s: got %s in %s, want %s in %s", m.name, got.Name, got.Stage, d.name, stage)
	}
	return nil
}

// checkList checks the first page of the won deals.
func (m *moment) checkList(a load.Answer) error {
	if a.Status != 200 {
		return fmt.Errorf("%s: %w", m.name, unexpected(a, 200))
	}
	var got struct {
		Results []struct{ Name string }
		Total   int
	}
	if err := json.Unmarshal(a.Body, &got); err != nil {
		return err
	}
	var names, want []string
	for _, d := range got.Results {
		names = append(names, d.Name)
	}
	for _, d := range m.won[:min(25, len(m.won))] {
		want = append(want, d.name)
	}
	if got.Total != len(m.won) || strings.Join(names, " ") != strings.Join(want, " ") {
		return fmt.Errorf("%s: got %v of %d, want %v of %d", m.name, names, got.Total, want, len(m.won))
	}
	return nil
}

func (m *moment) checkCount(a load.Answer) error {
	if a.Status != 200 {
		return fmt.Errorf("%s: %w", m.name, unexpected(a, 200))
	}
	var got struct{ Count int }
	if err := json.Unmarshal(a.Body, &got); err != nil {
		return err
	}
	if got.Count != len(m.won) {
		return fmt.Errorf("%s: counted %d, want %d", m.name, got.Count, len(m.won))
	}
	return nil
}
