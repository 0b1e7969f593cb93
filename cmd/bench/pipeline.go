package main

import (
	"cmp"
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"
)

// pipelineFile is the sample's deals, in the product's folder.
const pipelineFile = "cmd/headlessly/demo/data/sales_pipeline.csv"

// deal is a line of the sample's pipeline.
type deal struct {
	name            string
	stage           string    // in the end
	engaged, closed time.Time // when it was created and when it was won or lost; closed is zero where it was not
	value           float64   // it was closed with
}

// Columns of pipelineFile.
const (
	nameColumn, stageColumn, engagedColumn, closedColumn, valueColumn = 0, 4, 5, 6, 7
)

// readPipeline reads the sample's deals from the product's folder. Events are at noon; deals that were never engaged are
// created at noon of the day after the last date.
func readPipeline(repo string) ([]deal, error) {
	f, err := os.Open(filepath.Join(repo, pipelineFile))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	lines, err := csv.NewReader(f).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", pipelineFile, err)
	}
	var deals []deal
	var last time.Time
	for i, line := range lines[1:] {
		d, err := newDeal(line)
		if err != nil {
			return nil, fmt.Errorf("read %s, row %d: %w", pipelineFile, i+1, err)
		}
		last = slices.MaxFunc([]time.Time{last, d.engaged, d.closed}, time.Time.Compare)
		deals = append(deals, d)
	}
	for i := range deals {
		if deals[i].engaged.IsZero() {
			deals[i].engaged = last.AddDate(0, 0, 1)
		}
	}
	return deals, nil
}

func newDeal(line []string) (deal, error) {
	d := deal{name: line[nameColumn], stage: line[stageColumn]}
	var err error
	if d.engaged, err = noon(line[engagedColumn]); err != nil {
		return d, err
	}
	if d.closed, err = noon(line[closedColumn]); err != nil {
		return d, err
	}
	if line[valueColumn] != "" {
		if d.value, err = strconv.ParseFloat(line[valueColumn], 64); err != nil {
			return d, err
		}
	}
	if d.stage == "Engaging" {
		d.stage = openStage
	}
	return d, nil
}

// openStage is a deal's stage from its engagement to its close.
const openStage = "Qualification"

// noon reads a US date; the empty one is the zero time.
func noon(date string) (time.Time, error) {
	if date == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse("1/2/2006", date)
	return t.Add(12 * time.Hour), err
}

// stageAt is the deal's stage at t, "" before it exists.
func (d *deal) stageAt(t time.Time) string {
	switch {
	case d.engaged.After(t):
		return ""
	case d.closed.IsZero() || !d.closed.After(t):
		return d.stage
	default:
		return openStage
	}
}

// wonDeals are the deals won by t for at least value, the dearest first, as wonFilter and wonSort say it to the server.
func wonDeals(deals []deal, t time.Time, value float64) []*deal {
	var won []*deal
	for i := range deals {
		if d := &deals[i]; d.stageAt(t) == "Won" && d.value >= value {
			won = append(won, d)
		}
	}
	slices.SortFunc(won, func(a, b *deal) int {
		return cmp.Or(cmp.Compare(b.value, a.value), cmp.Compare(a.name, b.name))
	})
	return won
}
