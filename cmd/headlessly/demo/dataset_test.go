package demo

import (
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

func mustRead(t testing.TB) *Dataset {
	t.Helper()
	d, err := Read()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestReadLosesNoRow(t *testing.T) {
	d := mustRead(t)
	managers := map[string]bool{}
	for _, a := range d.Agents {
		managers[a.Manager] = true
	}
	got := [5]int{len(d.Companies), len(d.Products), len(d.Agents), len(managers), len(d.Deals)}
	if want := [5]int{85, 7, 35, 6, 8800}; got != want {
		t.Errorf("companies, products, agents, managers, deals = %v, want %v", got, want)
	}
	stages := map[string]int{}
	for _, o := range d.Deals {
		stages[o.Stage]++
	}
	for stage, want := range map[string]int{"Won": 4238, "Lost": 2473, "Qualification": 1589, "Prospecting": 500} {
		if stages[stage] != want {
			t.Errorf("%d deals %s, want %d", stages[stage], stage, want)
		}
	}
}

func TestEveryRuleMends(t *testing.T) {
	want := map[string]int{
		"sector technolgy": 12, "office_location Philipines": 1, "product GTXPro": 1480, "deal_stage Engaging": 1589,
		`engage_date (\d{1,2})/(\d{1,2})/(\d{4})`: 8300, `close_date (\d{1,2})/(\d{1,2})/(\d{4})`: 6711, "account ": 1425,
	}
	mended := mustRead(t).Mended
	if len(mended) != len(want) {
		t.Errorf("%d rules, want %d", len(mended), len(want))
	}
	for _, m := range mended {
		if k := m.Column + " " + m.From; m.Cells != want[k] {
			t.Errorf("%s: %d cells mended, want %d", k, m.Cells, want[k])
		}
	}
}

// TestNoDirtIsLeft looks for what a person would look for in the mended data: stray spaces, and values that are one
// letter away from another value of their column.
func TestNoDirtIsLeft(t *testing.T) {
	d := mustRead(t)
	columns := map[string]map[string]bool{}
	add := func(column, value string) {
		if value != strings.TrimSpace(value) || strings.Contains(value, "  ") {
			t.Errorf("%s %q: stray space", column, value)
		}
		if columns[column] == nil {
			columns[column] = map[string]bool{}
		}
		columns[column][value] = true
	}
	for _, c := range d.Companies {
		add("company", c.Name)
		add("sector", c.Sector)
		add("country", c.Country)
	}
	for _, a := range d.Agents {
		add("person", a.Name)
		add("person", a.Manager)
		add("office", a.Office)
	}
	for column, values := range columns {
		folded := map[string]string{}
		for v := range values {
			f := strings.ToLower(strings.NewReplacer(" ", "", "-", "").Replace(v))
			if other, twice := folded[f]; twice {
				t.Errorf("%s: %q and %q", column, v, other)
			}
			folded[f] = v
		}
	}
	for column, want := range map[string]int{"sector": 10, "country": 15, "office": 3} {
		if len(columns[column]) != want {
			t.Errorf("%d values of %s, want %d: %v", len(columns[column]), column, want, columns[column])
		}
	}
}

func TestNumbersAreExact(t *testing.T) {
	d := mustRead(t)
	want := Company{
		Name: "Acme Corporation", Sector: "technology", Country: "United States", Founded: 1996, Employees: 2822, Revenue: "1100040000",
	}
	if d.Companies[0] != want {
		t.Errorf("got %+v, want %+v", d.Companies[0], want)
	}
	first := Deal{
		Name: "1C1I7A6R", Agent: "Moses Frase", Product: "GTX Plus Basic", Company: "Cancity", Stage: "Won",
		Engaged: time.Date(2016, 10, 20, 0, 0, 0, 0, time.UTC), Closed: time.Date(2017, 3, 1, 0, 0, 0, 0, time.UTC), CloseValue: 1054,
	}
	if d.Deals[0] != first {
		t.Errorf("got %+v, want %+v", d.Deals[0], first)
	}
}

func TestReadRefuses(t *testing.T) {
	good := map[string]string{
		accountsFile: "account,sector,year_established,revenue,employees,office_location,subsidiary_of\nA,x,2000,1.5,1,Y,\n",
		productsFile: "product,series,sales_price\nP,S,5\n",
		teamsFile:    "sales_agent,manager,regional_office\nG,M,East\n",
		pipelineFile: "opportunity_id,sales_agent,product,account,deal_stage,engage_date,close_date,close_value\nO,G,P,A,Won,1/2/2017,1/3/2017,4\n",
	}
	for _, c := range []struct{ file, old, new, want string }{
		{"", "", "", ""},
		{accountsFile, ",1.5,", ",1.5x,", "line 2: revenue"},
		{accountsFile, ",1.5,", ",1.00000055,", "finer than a millionth"},
		{accountsFile, "Y,", "Y,B", `no account "B"`},
		{accountsFile, "2000", "MM", "line 2: year_established"},
		{accountsFile, "sector", "sektor", "no such column"},
		{productsFile, "P,S,5", "P,S,5\nP,S,6", `product "P": empty or twice`},
		{productsFile, "P,S,5", "P,S", "wrong number of fields"},
		{teamsFile, "G,M", "G,G", `manager "G"`},
		{pipelineFile, "G,P", "H,P", `no sales agent "H"`},
		{pipelineFile, "G,P", "G,Q", `no product "Q"`},
		{pipelineFile, "P,A", "P,Z", `no account "Z"`},
		{pipelineFile, "Won", "Engaging", "no close date"},
		{pipelineFile, "Won", "Sold", `unknown stage "Sold"`},
		{pipelineFile, "1/3/2017", "1/1/2017", "later close date"},
		{pipelineFile, "1/3/2017", "13/1/2017", "line 2: close_date"},
	} {
		dir := fstest.MapFS{}
		for name, content := range good {
			if name == c.file {
				content = strings.Replace(content, c.old, c.new, 1)
			}
			dir["data/"+name] = &fstest.MapFile{Data: []byte(content)}
		}
		_, err := read(dir, Rules())
		switch {
		case c.want == "" && err != nil:
			t.Errorf("good data: %v", err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s with %q: error %v, want %q", c.file, c.new, err, c.want)
		}
	}
}
