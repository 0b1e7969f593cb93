package demo

import (
	"fmt"
	"path/filepath"
	"strings"
)

// OpenDeal is a deal of the tenant demo that the data leaves in Qualification: the one to try a verb on.
func OpenDeal() Key { return Key{"Deal", "HAXMC4IX"} }

// Tour is what a person needs to know to try the demo.
type Tour struct {
	URL       string // http://127.0.0.1:8787
	Warehouse string // the folder that holds a folder per Iceberg table
	Deal      string // id of OpenDeal in the tenant demo
	Company   string // id of any company there
}

// Stop is one thing to try: a line for a POSIX shell.
type Stop struct{ What, Line string }

// Stops are the five things worth trying. Each may be run again and again.
func (t Tour) Stops() []Stop {
	deals := shellQuote(t.URL + "/~demo/Deal")
	return []Stop{
		{
			"Create a deal",
			"curl -s " + deals + ` -H 'Content-Type: application/json' -d '{"name":"Harbour refit","value":26768,"organization":"` + t.Company + `"}'`,
		},
		{
			"Run a verb on a deal that has been open since November 2016",
			"curl -s " + shellQuote(t.URL+"/~demo/Deal/"+t.Deal+"/win") + ` -H 'Content-Type: application/json' -d '{"value":3500}'`,
		},
		{
			"List the five largest deals won with companies of the technology sector",
			"curl -sG " + deals + ` --data-urlencode 'filter={"stage":"Won","organization.industry":"technology"}' -d sort=-value -d limit=5`,
		},
		{
			"Count the deals that were open as 30 June 2017 began (leave out countOnly to see them)",
			"curl -sG " + deals + ` --data-urlencode 'filter={"stage":"Qualification"}' -d asOf=2017-06-30 -d countOnly=true`,
		},
		{
			"Read the files with DuckDB (if it is not there: pip install duckdb-cli==1.5.5)",
			"duckdb -c " + shellQuote(t.pipelineSQL()),
		},
	}
}

// pipelineSQL is the demo's pipeline by stage, from the event files alone, with what every DuckDB carries. Events are
// never rewritten, only regrouped, so the latest event of each deal is its state, whichever files lie there. The noun
// tables' files are rewritten: they need the Iceberg metadata, see IcebergSQL.
func (t Tour) pipelineSQL() string {
	files := filepath.Join(t.Warehouse, "events", "data", "tenant=demo", "*", "*.parquet")
	return "SELECT data->>'stage' AS stage, count(*) AS deals, sum((data->>'value')::DOUBLE) AS value" +
		" FROM (SELECT arg_max(data, version) AS data FROM read_parquet(" + sqlQuote(files) + ")" +
		" WHERE entity = 'Deal' GROUP BY target HAVING arg_max(verb, version) <> 'delete')" +
		" GROUP BY stage ORDER BY deals DESC"
}

// IcebergSQL is the same from the table deal, through its Iceberg metadata. It needs DuckDB's iceberg extension, which
// DuckDB downloads when told to install it.
func (t Tour) IcebergSQL() string {
	return "INSTALL iceberg; LOAD iceberg; SELECT stage, count(*) AS deals, sum(value) AS value" +
		" FROM iceberg_scan(" + sqlQuote(filepath.Join(t.Warehouse, "deal")) + ")" +
		" WHERE tenant = 'demo' GROUP BY stage ORDER BY deals DESC"
}

// String lists the stops, ready to be read and copied.
func (t Tour) String() string {
	var b strings.Builder
	b.WriteString("Five commands worth trying, in another terminal:\n")
	for _, s := range t.Stops() {
		fmt.Fprintf(&b, "\n# %s\n%s\n", s.What, s.Line)
	}
	fmt.Fprintf(&b, "# or the table itself, with DuckDB's iceberg extension (it is downloaded)\nduckdb -c %s\n", shellQuote(t.IcebergSQL()))
	return b.String()
}

// shellQuote gives s as one word of a POSIX shell, in the plainest quotes that carry it.
func shellQuote(s string) string {
	if !strings.ContainsAny(s, "'") {
		return "'" + s + "'"
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "`", "\\`", `$`, `\$`).Replace(s) + `"`
}

func sqlQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
