package demo

import (
	"fmt"
	"regexp"
)

// The files read, by their names in the data folder.
const (
	accountsFile = "accounts.csv"
	productsFile = "products.csv"
	teamsFile    = "sales_teams.csv"
	pipelineFile = "sales_pipeline.csv"
)

// Rule mends one kind of dirt in one column: a cell that From, a regular expression, matches as a whole becomes To.
type Rule struct {
	File, Column string
	From, To     string
	Why          string
}

// Rules is all that is mended in the data, in the order applied. A cell that no rule matches is taken as it stands.
//
// Looked at and left alone: the account dambase (lower-case) and the country Korea (the data does not say which); the
// five agents without a deal.
func Rules() []Rule {
	const usDate, isoDate = `(\d{1,2})/(\d{1,2})/(\d{4})`, `$3-$1-$2`
	return []Rule{
		{accountsFile, "sector", `technolgy`, `technology`, "misspelt"},
		{accountsFile, "office_location", `Philipines`, `Philippines`, "misspelt"},
		{pipelineFile, "product", `GTXPro`, `GTX Pro`, "the product's name in products.csv"},
		{pipelineFile, "deal_stage", `Engaging`, `Qualification`, "the Deal stage that means it"},
		{pipelineFile, "engage_date", usDate, isoDate, "US date, month first"},
		{pipelineFile, "close_date", usDate, isoDate, "US date, month first"},
		{pipelineFile, "account", ``, ``, "no account: the deal keeps no organization"},
	}
}

// Mended says how many cells a rule has mended.
type Mended struct {
	Rule
	Cells int
}

// mender applies rules to cells and counts.
type mender struct {
	mended   []Mended
	patterns []*regexp.Regexp
}

func newMender(rules []Rule) (*mender, error) {
	m := &mender{}
	for _, r := range rules {
		p, err := regexp.Compile(`^(?:` + r.From + `)$`)
		if err != nil {
			return nil, fmt.Errorf("compile rule for %s %s: %w", r.File, r.Column, err)
		}
		m.mended = append(m.mended, Mended{Rule: r})
		m.patterns = append(m.patterns, p)
	}
	return m, nil
}

// mend gives what the rules make of a cell.
func (m *mender) mend(file, column, cell string) string {
	for i := range m.mended {
		r := &m.mended[i]
		if r.File != file || r.Column != column || !m.patterns[i].MatchString(cell) {
			continue
		}
		cell = m.patterns[i].ReplaceAllString(cell, r.To)
		r.Cells++
	}
	return cell
}
