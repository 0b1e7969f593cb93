package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"headless.ly/catalog/noun"
	"headless.ly/cmd/headlessly/server"
)

var update = flag.Bool("update", false, "rewrite the expected answers in testdata")

// TestScripts runs testdata/*.txt against the real server: once with everything in the tail, once with a publishing after
// each write, which nobody must notice.
//
// A script is blocks with a blank line between them. A line that begins with # is a comment; one that begins with @ is an
// order (@tick 1h moves the clock, which else goes on by a second with each request). Every other block is a request
// (method and path, headers, body), a line ----, and the answer (status, telling headers, body).
//
// Ids, cursors and request ids stand as {contact.1}, {cursor.1}, {req}: numbered in order of appearance in answers.
//
// Of every request that reads or fails the harness checks that no tenant's log has changed and no tenant has come into
// being; of every write that it is one event (an import: one for each row imported).
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		for _, publish := range []bool{false, true} {
			name := strings.TrimSuffix(filepath.Base(file), ".txt")
			if publish {
				name += "/published"
			}
			t.Run(name, func(t *testing.T) {
				if publish && *update {
					t.Skip("rewriting from the tail")
				}
				t.Parallel()
				runScript(t, file, publish)
			})
		}
	}
}

// world is a server under a clock of its own.
type world struct {
	*server.Server
	now     atomic.Pointer[time.Time]
	publish bool
	data    string // the data folder
}

func newWorld(t *testing.T, publish bool) *world {
	t.Helper()
	w := &world{publish: publish, data: t.TempDir()}
	start := time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)
	w.now.Store(&start)
	srv, err := server.Open(t.Context(), server.Config{
		Addr: "127.0.0.1:0", Data: w.data, Interval: time.Hour, Clock: func() time.Time { return *w.now.Load() },
	})
	if err != nil {
		t.Fatal(err)
	}
	w.Server = srv
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := srv.Close(ctx); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return w
}

func (w *world) tick(d time.Duration) {
	now := w.now.Load().Add(d)
	w.now.Store(&now)
}

// heads is the last seq of every tenant there is.
func (w *world) heads(t *testing.T) map[string]int64 {
	t.Helper()
	store := w.Service().Store()
	tenants, err := store.Tenants(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	heads := map[string]int64{}
	for _, tenant := range tenants {
		if heads[tenant], err = store.Head(t.Context(), tenant); err != nil {
			t.Fatal(err)
		}
	}
	return heads
}

// exchange is one request of a script and its answer.
type exchange struct {
	method, path string
	header       http.Header
	body         string
}

type answer struct {
	status int
	header http.Header
	body   []byte
}

func (w *world) send(t *testing.T, x exchange) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), x.method, w.URL()+x.path, strings.NewReader(x.body))
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range x.header {
		req.Header[name] = values
	}
	if host := req.Header.Get("Host"); host != "" {
		req.Host = host
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, body}
}

// runScript compares, or rewrites, one script.
func runScript(t *testing.T, file string, publish bool) {
	source, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, publish)
	n := newNames()
	var out []string
	for block := range strings.SplitSeq(strings.TrimRight(string(source), "\n"), "\n\n") {
		got := runBlock(t, w, n, block)
		if got != block && !*update {
			t.Errorf("%s:\n%s", file, differ(block, got))
		}
		out = append(out, got)
	}
	if *update {
		if err := os.WriteFile(file, []byte(strings.Join(out, "\n\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// runBlock runs one block and gives it back with the answer that came.
func runBlock(t *testing.T, w *world, n *names, block string) string {
	t.Helper()
	request, _, _ := strings.Cut(block, "\n----")
	var kept []string
	var x *exchange
	var body []string
	for line := range strings.SplitSeq(request, "\n") {
		kept = append(kept, line)
		switch {
		case x == nil && (line == "" || strings.HasPrefix(line, "#")):
		case x == nil && strings.HasPrefix(line, "@tick "):
			d, err := time.ParseDuration(strings.TrimPrefix(line, "@tick "))
			if err != nil {
				t.Fatal(err)
			}
			w.tick(d)
		case x == nil:
			method, path, _ := strings.Cut(n.real(line), " ")
			x = &exchange{method: method, path: path, header: http.Header{}}
		case body == nil && headerLine.MatchString(line):
			name, value, _ := strings.Cut(n.real(line), ": ")
			x.header.Add(name, value)
		default:
			body = append(body, n.real(line))
		}
	}
	if x == nil {
		return block
	}
	x.body = strings.Join(body, "\n")
	if x.header.Get("Content-Type") == "" && (strings.HasPrefix(x.body, "{") || strings.HasPrefix(x.body, "[")) {
		x.header.Set("Content-Type", "application/json")
	}
	w.tick(time.Second)
	before := w.heads(t)
	a := w.send(t, *x)
	after := w.heads(t)
	checkHeads(t, *x, a, before, after)
	if w.publish && !maps.Equal(before, after) {
		if err := w.Service().Lake().Publish(t.Context()); err != nil {
			t.Fatalf("publish: %v", err)
		}
	}
	return strings.Join(kept, "\n") + "\n----\n" + n.stand(a.show())
}

var headerLine = regexp.MustCompile(`^[A-Z][A-Za-z-]*: `)

// asks are the paths of questions that come as a POST.
var asks = regexp.MustCompile(`/(sql|aggregate|analytics/query)(\?|$)`)

// checkHeads holds the promise that what fails or reads changes nothing, and that one write is one event.
func checkHeads(t *testing.T, x exchange, a answer, before, after map[string]int64) {
	t.Helper()
	write := x.method != http.MethodGet && x.method != http.MethodHead && x.method != http.MethodOptions && !asks.MatchString(x.path)
	want := int64(0)
	if write && a.status < 300 && a.header.Get("Idempotent-Replay") == "" {
		want = 1
		if strings.Contains(x.path, "/import/") {
			var sum struct {
				Imported, Replayed, Unchanged int64
				DryRun                        bool
			}
			if err := json.Unmarshal(a.body, &sum); err != nil {
				t.Fatal(err)
			}
			if want = sum.Imported - sum.Replayed - sum.Unchanged; sum.DryRun {
				want = 0
			}
		}
	}
	total := func(heads map[string]int64) (n int64) {
		for _, head := range heads {
			n += head
		}
		return n
	}
	if got := total(after) - total(before); got != want {
		t.Errorf("%s %s: status %d and %d events, want %d", x.method, x.path, a.status, got, want)
	}
	if want == 0 && !maps.Equal(before, after) {
		t.Errorf("%s %s: status %d changed the tenants from %v to %v", x.method, x.path, a.status, before, after)
	}
}

// telling are the headers that scripts show, where an answer has them.
var telling = []string{
	"Content-Type", "ETag", "X-Seq", "X-Consistency", "X-Snapshot-At", "X-Truncated", "Idempotent-Replay", "Retry-After", "Allow",
	"Access-Control-Allow-Origin", "Access-Control-Allow-Methods", "Access-Control-Allow-Headers",
}

func (a answer) show() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d", a.status)
	for _, name := range telling {
		value := a.header.Get(name)
		if value == "" || name == "Content-Type" && value == "application/json" {
			continue
		}
		fmt.Fprintf(&b, "\n%s: %s", name, value)
	}
	if len(a.body) > 0 {
		var pretty bytes.Buffer
		if err := json.Indent(&pretty, a.body, "", "  "); err != nil {
			pretty.Reset()
			pretty.Write(bytes.ReplaceAll(a.body, []byte("\r"), nil))
		}
		b.WriteString("\n")
		b.Write(bytes.TrimRight(pretty.Bytes(), "\n"))
	}
	return b.String()
}

// names are the stand-ins for what differs from run to run.
type names struct {
	stands map[string]string // real → {contact.1}
	reals  map[string]string // {contact.1} → real
	counts map[string]int
	given  map[string]bool // ids that the script itself wrote
}

func newNames() *names {
	return &names{map[string]string{}, map[string]string{}, map[string]int{}, map[string]bool{}}
}

var (
	anID     = regexp.MustCompile(`\b(` + prefixes() + `)_([A-Za-z0-9]{12}|[A-Za-z0-9]{8})\b`)
	aGauge   = regexp.MustCompile(`"(flushedSeq|lagSeconds|sizeBytes|elapsedMs|pid|uptimeSeconds|residentBytes)": [0-9.]+`) // differ with what is published, and with time
	chores   = regexp.MustCompile(`(?s)"maintenance": \[.*?\n  \]`)                                                         // run at times of their own
	aFence   = regexp.MustCompile(`(?s)"(fences|missingFences)": \[.*?\]`)                                                  // those of the machine
	anAge    = regexp.MustCompile(`"freshness": \{(?:\s*"[a-z]+": \{\s*"ageMs": [0-9]+\s*\},?)*\s*\}`)                      // likewise
	held     = regexp.MustCompile(`(?s)"cache": \{.*?\n  \}`)                                                               // decoded beside the reads
	aCursor  = regexp.MustCompile(`"cursor": "([^"{]+)"`)
	aStandIn = regexp.MustCompile(`\{[a-z]+\.[0-9]+\}`)
)

// prefixes are those of all ids.
func prefixes() string {
	all := []string{"evt", "req"}
	for _, n := range noun.Core().All() {
		all = append(all, n.IDPrefix)
	}
	return strings.Join(all, "|")
}

// real puts what they stand for in the place of the stand-ins of a request.
func (n *names) real(text string) string {
	for _, id := range anID.FindAllString(text, -1) {
		n.given[id] = true
	}
	return aStandIn.ReplaceAllStringFunc(text, func(s string) string {
		if real, ok := n.reals[s]; ok {
			return real
		}
		return s
	})
}

// stand puts stand-ins in the place of what differs in an answer.
func (n *names) stand(text string) string {
	text = anID.ReplaceAllStringFunc(text, func(id string) string {
		kind, _, _ := strings.Cut(id, "_")
		switch {
		case kind == "req":
			return "{req}"
		case n.given[id]:
			return id
		}
		return n.name(kind, id)
	})
	text = aGauge.ReplaceAllString(text, `"$1": 0`)
	text = aFence.ReplaceAllString(text, `"$1": []`)
	text = chores.ReplaceAllString(text, `"maintenance": []`)
	text = held.ReplaceAllString(text, `"cache": {}`)
	text = anAge.ReplaceAllString(text, `"freshness": {}`)
	return aCursor.ReplaceAllStringFunc(text, func(pair string) string {
		cursor := aCursor.FindStringSubmatch(pair)[1]
		return `"cursor": "` + n.name("cursor", cursor) + `"`
	})
}

func (n *names) name(kind, real string) string {
	if s, ok := n.stands[real]; ok {
		return s
	}
	n.counts[kind]++
	s := fmt.Sprintf("{%s.%d}", kind, n.counts[kind])
	n.stands[real], n.reals[s] = s, real
	return s
}

// differ shows the lines in which two blocks differ.
func differ(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	start := 0
	for start < min(len(w), len(g)) && w[start] == g[start] {
		start++
	}
	end := 0
	for end < min(len(w), len(g))-start && w[len(w)-1-end] == g[len(g)-1-end] {
		end++
	}
	var b strings.Builder
	for _, line := range w[:start] {
		fmt.Fprintf(&b, "  %s\n", line)
	}
	for _, line := range slices.Concat(prefixed("- ", w[start:len(w)-end]), prefixed("+ ", g[start:len(g)-end]), prefixed("  ", w[len(w)-end:])) {
		fmt.Fprintln(&b, line)
	}
	return b.String()
}

func prefixed(prefix string, lines []string) []string {
	out := make([]string, len(lines))
	for i, line := range lines {
		out[i] = prefix + line
	}
	return out
}
