package demo

import (
	"embed"
	"encoding/csv"
	"fmt"
	"io/fs"
	"math/big"
	"strconv"
	"time"
)

//go:embed data/*.csv
var files embed.FS

// Dataset is the CSV files after mending, each in file order. It is not changed once read.
type Dataset struct {
	Companies []Company
	Products  []Product
	Agents    []Agent
	Deals     []Deal
	Mended    []Mended // one for each of Rules
}

// Company is a row of accounts.csv.
type Company struct {
	Name, Sector, Country string
	Founded, Employees    int64
	Revenue               string // a year's, in dollars: a JSON number, exact
	Parent                string // another company's Name, or ""
}

// Product is a row of products.csv.
type Product struct {
	Name, Series string
	Price        int64
}

// Agent is a row of sales_teams.csv.
type Agent struct {
	Name, Manager, Office string
}

// Deal is a row of sales_pipeline.csv.
type Deal struct {
	Name, Agent, Product string
	Company              string // "" for none
	Stage                string // the Deal stage it has in the end
	Engaged, Closed      time.Time
	CloseValue           int64
}

// Read parses and mends the embedded files. An error means that the files and this package do not belong together.
func Read() (*Dataset, error) { return read(files, Rules()) }

func read(dir fs.FS, rules []Rule) (*Dataset, error) {
	m, err := newMender(rules)
	if err != nil {
		return nil, err
	}
	d := &Dataset{}
	for _, f := range []struct {
		name string
		add  func(row) error
	}{
		{accountsFile, d.addCompany},
		{productsFile, d.addProduct},
		{teamsFile, d.addAgent},
		{pipelineFile, d.addDeal},
	} {
		if err := eachRow(dir, f.name, m, f.add); err != nil {
			return nil, fmt.Errorf("read %s: %w", f.name, err)
		}
	}
	d.Mended = m.mended
	if err := d.check(); err != nil {
		return nil, fmt.Errorf("check data: %w", err)
	}
	return d, nil
}

// row is one mended row, by column, that remembers the first cell it could not make sense of.
type row struct {
	cells map[string]string
	err   *error
}

func (r row) fail(column string, err error) {
	if *r.err == nil {
		*r.err = fmt.Errorf("%s: %w", column, err)
	}
}

func (r row) text(column string) string {
	v, ok := r.cells[column]
	if !ok {
		r.fail(column, fmt.Errorf("no such column"))
	}
	return v
}

// whole is a whole number; 0 for an empty cell.
func (r row) whole(column string) int64 {
	cell := r.text(column)
	if cell == "" {
		return 0
	}
	n, err := strconv.ParseInt(cell, 10, 64)
	if err != nil {
		r.fail(column, err)
	}
	return n
}

// date is a day at midnight UTC; the zero time for an empty cell.
func (r row) date(column string) time.Time {
	cell := r.text(column)
	if cell == "" {
		return time.Time{}
	}
	t, err := time.Parse("2006-1-2", cell)
	if err != nil {
		r.fail(column, err)
	}
	return t
}

// millions is a decimal number of millions, written out in units. Floating point would miss some by a fraction of a cent.
func (r row) millions(column string) string {
	n, ok := new(big.Rat).SetString(r.text(column))
	if !ok {
		r.fail(column, fmt.Errorf("%q is no decimal number", r.text(column)))
		return "0"
	}
	n.Mul(n, big.NewRat(1_000_000, 1))
	if !n.IsInt() {
		r.fail(column, fmt.Errorf("%q is finer than a millionth", r.text(column)))
	}
	return n.Num().String()
}

// eachRow gives add the rows of a CSV file with a header.
func eachRow(dir fs.FS, name string, m *mender, add func(row) error) error {
	f, err := dir.Open("data/" + name)
	if err != nil {
		return err
	}
	defer f.Close()
	records, err := csv.NewReader(f).ReadAll() // refuses rows of another length than the header
	if err != nil {
		return err
	}
	if len(records) == 0 {
		return fmt.Errorf("no header")
	}
	for i, record := range records[1:] {
		var rowErr error
		r := row{cells: make(map[string]string, len(record)), err: &rowErr}
		for j, cell := range record {
			column := records[0][j]
			r.cells[column] = m.mend(name, column, cell)
		}
		if err := add(r); err != nil {
			return fmt.Errorf("line %d: %w", i+2, err)
		}
	}
	return nil
}

func (d *Dataset) addCompany(r row) error {
	d.Companies = append(d.Companies, Company{
		Name: r.text("account"), Sector: r.text("sector"), Country: r.text("office_location"),
		Founded: r.whole("year_established"), Employees: r.whole("employees"),
		Revenue: r.millions("revenue"), Parent: r.text("subsidiary_of"),
	})
	return *r.err
}

func (d *Dataset) addProduct(r row) error {
	d.Products = append(d.Products, Product{Name: r.text("product"), Series: r.text("series"), Price: r.whole("sales_price")})
	return *r.err
}

func (d *Dataset) addAgent(r row) error {
	d.Agents = append(d.Agents, Agent{Name: r.text("sales_agent"), Manager: r.text("manager"), Office: r.text("regional_office")})
	return *r.err
}

func (d *Dataset) addDeal(r row) error {
	d.Deals = append(d.Deals, Deal{
		Name: r.text("opportunity_id"), Agent: r.text("sales_agent"), Product: r.text("product"), Company: r.text("account"),
		Stage: r.text("deal_stage"), Engaged: r.date("engage_date"), Closed: r.date("close_date"), CloseValue: r.whole("close_value"),
	})
	return *r.err
}
