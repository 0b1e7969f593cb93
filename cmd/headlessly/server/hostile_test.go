package server_test

import (
	"encoding/json"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	// secret is in the rows of a tenant whom no statement of another may reach.
	secret = "birch-only"
	// hostileLimit is what a statement is given, hostileGrace what stopping it may take besides.
	hostileLimit = 500 * time.Millisecond
	hostileGrace = 5 * time.Second
	// minHostile is how many statements the table has at least.
	minHostile = 120
)

// hostileStatements reads the table, one statement a line.
func hostileStatements(t *testing.T, data string) []string {
	t.Helper()
	source, err := os.ReadFile("testdata/hostile.sql")
	if err != nil {
		t.Fatal(err)
	}
	stands := strings.NewReplacer(
		"{DATA}", data,
		"{DEEP}", "select "+strings.Repeat("(", 5000)+"1"+strings.Repeat(")", 5000),
		"{WIDE}", "select 1"+strings.Repeat(", 1", 50_000),
		"{LONG}", "select '"+strings.Repeat("x", 1<<20)+"'",
		"{UNIONS}", "select 1"+strings.Repeat(" union all select 1", 10_000),
		"{JOINS}", "select count(*) from deal"+strings.Repeat(" natural join deal", 500),
		"{CTES}", "with recursive a as (select 1)"+strings.Repeat(", b as (select * from a)", 2000)+" select * from a",
	)
	var out []string
	for line := range strings.SplitSeq(string(source), "\n") {
		if line != "" && !strings.HasPrefix(line, "--") {
			out = append(out, stands.Replace(line))
		}
	}
	return out
}

var anAddress = regexp.MustCompile(`0x[0-9a-f]{6,}`)

// foreign finds in an answer what the caller must not learn; "" if there is nothing.
func foreign(statement, data string, a answer) string {
	body := string(a.body)
	for _, word := range []string{secret, data, "tenant=", "root:", "HOME=", "libduckdb", "/warehouse/"} {
		if strings.Contains(body, word) && !strings.Contains(statement, word) {
			return word
		}
	}
	var failure struct{ Message string }
	if a.status >= 300 && json.Unmarshal(a.body, &failure) == nil {
		return anAddress.FindString(failure.Message)
	}
	return ""
}

// TestHostile sends every statement of the table: each is refused, or stopped within its limit, or gives what is the
// tenant's own; and when all are over the server answers as before.
func TestHostile(t *testing.T) {
	if testing.Short() {
		t.Skip("a minute")
	}
	w := newWorld(t, true)
	w.write(t, "acme", `{"name": "ours", "value": 1}`)
	w.write(t, "birch", `{"name": "`+secret+`", "value": 2}`)
	if err := w.Service().Lake().Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	statements := hostileStatements(t, w.data)
	if len(statements) < minHostile {
		t.Fatalf("%d statements, want %d", len(statements), minHostile)
	}
	for _, s := range statements {
		body, err := json.Marshal(map[string]any{"sql": s, "timeoutMs": hostileLimit.Milliseconds()})
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		a := w.send(t, exchange{http.MethodPost, "/~acme/sql", http.Header{"Content-Type": {"application/json"}}, string(body)})
		took := time.Since(start)
		shown := s[:min(len(s), 100)]
		t.Logf("%4d %8v %5d MB %s", a.status, took.Round(time.Millisecond), residentMB(t), shown)
		if took > hostileLimit+hostileGrace {
			t.Errorf("%s: took %v", shown, took)
		}
		if a.status >= 500 {
			t.Errorf("%s: status %d: %s", shown, a.status, a.body)
		}
		if word := foreign(s, w.data, a); word != "" {
			t.Errorf("%s: the answer tells %q: %.300s", shown, word, a.body)
		}
	}
	for _, tenant := range []string{"acme", "birch"} {
		a := w.send(t, exchange{method: http.MethodGet, path: "/~" + tenant + "/sql?q=select+count(*)+from+deal"})
		if a.status != http.StatusOK || !strings.Contains(string(a.body), `"rows":[[1]]`) {
			t.Errorf("%s afterwards: %d %s", tenant, a.status, a.body)
		}
	}
}

func (w *world) write(t *testing.T, tenant, deal string) {
	t.Helper()
	a := w.send(t, exchange{http.MethodPost, "/~" + tenant + "/Deal", http.Header{"Content-Type": {"application/json"}}, deal})
	if a.status != http.StatusCreated {
		t.Fatalf("write: %d %s", a.status, a.body)
	}
}

// residentMB is the memory of this process, where the system tells.
func residentMB(t *testing.T) int {
	t.Helper()
	stat, err := os.ReadFile("/proc/self/statm")
	fields := strings.Fields(string(stat))
	if err != nil || len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.Atoi(fields[1])
	return pages * os.Getpagesize() >> 20
}
